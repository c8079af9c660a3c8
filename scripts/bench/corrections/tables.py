"""The figures of all seeds on one dataset as Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from injection.named import RIGHT_PLACE_IOU
from injection.tables import cell, counted_row
from measure import table

from corrections.figures import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        counted_row("lines named: corrected (images thrown out left aside)", [f.lines for f in figures]),
        counted_row("corrected images: flagged", [f.corrected_flagged for f in figures]),
        counted_row("images that nobody corrected: flagged", [f.clean_flagged for f in figures]),
        counted_row(f"places named: fit an added box (IoU ≥ {RIGHT_PLACE_IOU})", [f.places for f in figures]),
        counted_row("added boxes: have a place that fits", [f.added for f in figures]),
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
