"""The figures of all seeds on one dataset as Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from injection.tables import cell
from measure import table

from corrections.figures import METHODS, RIGHT_PLACE_IOU

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from injection.named import Counted

    from corrections.figures import Figures


def dataset_tables(figures: Sequence[Figures], seeds: Sequence[int]) -> str:
    """All tables of one dataset.

    Args:
        figures: One a seed.
        seeds: The seeds.
    """
    first = figures[0]
    ranking = [["corrected images", *_aps([f.image_ap for f in figures])]]
    if all(f.most_ap for f in figures):
        ranking.append(["the quarter with most corrections", *_aps([f.most_ap for f in figures])])
    rows = [
        _share_row("lines named: corrected (images thrown out left aside)", figures, lambda f: f.lines),
        _share_row("corrected images: flagged", figures, lambda f: f.corrected_flagged),
        _share_row("images that nobody corrected: flagged", figures, lambda f: f.clean_flagged),
        _share_row(f"places named: fit an added box (IoU ≥ {RIGHT_PLACE_IOU})", figures, lambda f: f.places),
        _share_row("added boxes: have a place that fits", figures, lambda f: f.added),
    ]
    row_aps = [
        [
            "corrected lines",
            str(first.rows.right),
            f"{first.rows.total:,}",
            cell([f.row_ap for f in figures]),
        ],
        [
            "and all lines of images thrown out",
            str(first.rows_with_whole.right),
            f"{first.rows_with_whole.total:,}",
            cell([f.row_ap_with_whole for f in figures]),
        ],
    ]
    return "\n".join(
        (
            f"{first.images.total} images that somebody looked at, {first.images.right} of them corrected; "
            f"seeds {', '.join(map(str, seeds))}. "
            f"Lines named in images thrown out: {', '.join(str(f.lines_of_whole) for f in figures)}.",
            "",
            table(("AP of images", *METHODS), ranking),
            table(("AP of lines by the probe's score", "corrected", "of lines", "AP"), row_aps),
            table(("counted, by seed", "right of all", "share"), rows),
        )
    )


def _aps(found: Sequence[Mapping[str, float]]) -> list[str]:
    return [cell([of[method] for of in found]) for method in METHODS]


def _share_row(name: str, figures: Sequence[Figures], count: Callable[[Figures], Counted]) -> list[str]:
    counts = [count(f) for f in figures]
    return [name, ", ".join(f"{c.right} of {c.total}" for c in counts), cell([c.share for c in counts])]
