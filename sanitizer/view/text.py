"""The text that the command line prints about a new view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.fixes.outcomes import lost_besides_boxes, outcome_lines
from sanitizer.fixes.planning import boxes_lost
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.view.write import View


def view_summary(view: View, shown_as: str, tally: Sequence[str], advice: bool = True) -> str:
    """A few lines of text: what is in the view, what was left out, what to run next.

    Args:
        view: The view.
        shown_as: The view's folder as the user wrote it.
        tally: One line for each kind of repair.
        advice: Add a line on what to run next.
    """
    n_images, n_boxes = sum(view.images.values()), sum(view.boxes.values())
    splits = ", ".join(f"{name} {n:,}" for name, n in view.images.items())
    lines = [
        f"Wrote {shown_as}: {n_images:,} images ({splits}) with {n_boxes:,} boxes. The dataset is as it was."
    ]
    lines += outcome_lines(view.outcomes, would=False)
    if view.changed:
        files = in_thousands(len(view.changed), "label file")
        lost = sum(boxes_lost(file.plan) for file in view.files)
        besides = "".join(f", {what} too" for what in lost_besides_boxes(view.outcomes))
        end = ":" if tally else "."
        lines.append(
            f"{files} repaired, in the copy; {lost or 'no'} box{'es' * (lost != 1)} lost{besides}{end}"
        )
        lines += tally
    if view.copied:
        lines.append(
            f"{in_thousands(view.copied, 'image')} copied rather than linked, as training would rewrite"
            f" {'it' if view.copied == 1 else 'them'} on disk."
        )
    if view.moved:
        n = in_thousands(view.moved, "image")
        lines.append(f"{n} moved into the split where most copies of the same picture are, by their names.")
    if view.excluded:
        n = in_thousands(len(view.excluded), "image")
        lines.append(f"{n} left out: {join_path(shown_as, 'excluded.csv')} says why.")
    if advice:
        lines.append(f"Train with data={join_path(shown_as, 'data.yaml')}")
    return "\n".join(lines)
