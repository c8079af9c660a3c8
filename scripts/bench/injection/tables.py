"""The figures of all methods and seeds as Markdown tables: medians, with least and most over the seeds."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from measure import table

from injection.errors import NAMES
from injection.evaluation import ALL, LINE_KINDS, PLACE_KIND, UNSEEN
from injection.named import FDRS, Counted
from injection.scores import CLEANLAB_PARTS, METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from injection.evaluation import Figures
    from injection.named import NamedFigures

NOT_RUN = "not run"


def dataset_tables(figures: Mapping[str, Sequence[Figures]], counts: str) -> str:
    """All tables of one dataset.

    Args:
        figures: Method to its figures, one a seed; a method that is absent was not run.
        counts: A sentence on how many images there are.
    """
    kinds = (*NAMES, UNSEEN, ALL)
    return "\n".join(
        (
            counts,
            "",
            "AUROC against clean images:",
            "",
            kind_table(figures, kinds, lambda kind: lambda f: f.auroc[kind]),
            "Average precision against clean images:",
            "",
            kind_table(figures, kinds, lambda kind: lambda f: f.ap[kind]),
            "Average precision of the three parts of cleanlab's label quality, each alone:",
            "",
            kind_table(figures, kinds, lambda kind: lambda f: f.ap[kind], CLEANLAB_PARTS),
            "Share of the images of each kind that are flagged:",
            "",
            kind_table(figures, kinds, lambda kind: lambda f: f.flagged[kind]),
            "Flagged images, right lines and right places:",
            "",
            table(("share", *METHODS), share_rows(figures)),
            *named_tables([f.named for f in figures.get("probe", ()) if f.named is not None]),
        )
    )


def named_tables(found: Sequence[NamedFigures]) -> list[str]:
    """What the probe names, all seeds together, and how much of it is right; nothing where it was not run."""
    if not found:
        return []
    rules = sorted({rule for f in found for rule in f.by_rule})
    rows = [
        ("lines, all rules", [f.lines for f in found]),
        *((f"lines, {rule}", [f.by_rule.get(rule, Counted()) for f in found]) for rule in rules),
        ("places, G005", [f.places for f in found]),
    ]
    at = [(f"{fdr:g}", f"{1 - fdr:.2f}", [f.at_fdr[fdr] for f in found]) for fdr in FDRS]
    return [
        "What the probe names, counted over all seeds, and the share that is right by seed:",
        "",
        table(("what", "named", "right", "share right"), [[name, *count_cells(c)] for name, c in rows]),
        "Lines named at other values of --fdr, from the column p of boxes.csv:",
        "",
        table(
            ("--fdr", "share right, as promised", "named", "right", "share right"),
            [[fdr, promised, *count_cells(c)] for fdr, promised, c in at],
        ),
    ]


def count_cells(counts: Sequence[Counted]) -> list[str]:
    """How many were named and right over all seeds, and the share that is right by seed."""
    return [
        f"{sum(c.total for c in counts):,}",
        f"{sum(c.right for c in counts):,}",
        cell([c.share for c in counts]),
    ]


def kind_table(
    figures: Mapping[str, Sequence[Figures]],
    kinds: Sequence[str],
    value_of: Callable[[str], Callable[[Figures], float]],
    methods: Sequence[str] = METHODS,
) -> str:
    """One row a kind of error, one column a method."""
    return table(("kind", *methods), [[kind, *cells(figures, value_of(kind), methods)] for kind in kinds])


def share_rows(figures: Mapping[str, Sequence[Figures]]) -> list[list[str]]:
    """What is counted beside the ranking of images."""
    rows: list[tuple[str, Callable[[Figures], float]]] = [("clean images flagged", lambda f: f.clean_flagged)]
    for kind in LINE_KINDS:
        rows += [
            (f"{kind}: altered line first, of the flagged", lambda f, k=kind: f.line_of_flagged[k]),  # type: ignore[misc]
            (f"{kind}: altered line first, of all", lambda f, k=kind: f.line_of_all[k]),  # type: ignore[misc]
        ]
    rows += [
        (f"{PLACE_KIND}: a place inside a removed box, of all", lambda f: f.place),
        (f"{PLACE_KIND}: a place inside a removed box, of those with a place", lambda f: f.place_of_named),
        (f"{PLACE_KIND}: likeliest place inside a removed box, of all", lambda f: f.best_place),
        ("clean images with a place", lambda f: f.clean_place),
    ]
    return [[name, *cells(figures, value)] for name, value in rows]


def cells(
    figures: Mapping[str, Sequence[Figures]],
    value: Callable[[Figures], float],
    methods: Sequence[str] = METHODS,
) -> list[str]:
    """One cell a method."""
    return [cell([value(f) for f in figures[m]]) if m in figures else NOT_RUN for m in methods]


def counted_row(name: str, counts: Sequence[Counted]) -> list[str]:
    """A row of a table: how many are right of all, seed by seed, and the share that is right."""
    return [name, ", ".join(f"{c.right} of {c.total}" for c in counts), cell([c.share for c in counts])]


def cell(values: Sequence[float]) -> str:
    """Median, and least to most where there are several; – where nothing could be counted."""
    counted = [v for v in values if not math.isnan(v)]
    if not counted:
        return "–"
    middle = f"{median(counted):.2f}"
    return middle if len(counted) == 1 else f"{middle} ({min(counted):.2f}–{max(counted):.2f})"
