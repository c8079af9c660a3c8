"""Pictures of the other image of findings about two, such as copies: small, with the boxes of its label file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.dataset.listing import label_of
from sanitizer.reports.common import plain
from sanitizer.reports.html.thumbnails import Wanted, make_thumbnails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.reports.reach import Reach

MAX_TWINS = 5000
"""Of more, the first are shown: findings with a card have twice as many pictures at most."""


def twin_pictures(
    shown: Sequence[Finding],
    spec: TaskSpec,
    run: str,
    crops: str,
    reach: Reach,
    progress: bool = False,
    jobs: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Path of an image, as findings name it, to what the page shows of it: picture, size, boxes, or why there is none.

    Args:
        shown: The findings with a card.
        spec: The task that rows are judged by.
        run: Folder for the pictures.
        crops: The same folder as seen from the page, POSIX.
        reach: Which images and labels may be read.
        progress: Show a bar on stderr.
        jobs: Worker processes; None takes the cores there are, where it is worth it.
    """
    deadly = {f.image for f in shown if f.kind == "ends-process"}
    names = list(dict.fromkeys(f.twin for f in shown if f.twin and not deadly & {f.image, f.twin}))[
        :MAX_TWINS
    ]
    if not names or reach.closed:
        return {}
    wanted = [
        Wanted(reach.path(name), reach.label_path(label_of(f"/{name}")[1:]), (), run, spec) for name in names
    ]
    made = make_thumbnails(wanted, progress, jobs)
    return {
        plain(name): {
            "crop": None if picture.name is None else f"{crops}/{picture.name}",
            "width": picture.width_px,
            "height": picture.height_px,
            "others": picture.others,
            "about": plain(picture.problem),
        }
        for name, picture in zip(names, made, strict=True)
    }
