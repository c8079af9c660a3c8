"""A label file read again for its findings: the line as it stands, and whether it is still the one that was judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.labels.label_files import parse_labels
from sanitizer.labels.row_kinds import BOX_COLUMNS
from sanitizer.reports.label_lines import MAX_LABEL_BYTES, lines_of
from sanitizer.util.bounded_read import TooLargeError, as_size, read_bounded
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import LabelTable, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.reports.html.crops import Box

MAX_ROW_CHARACTERS = 200
CHANGED = "The label file changed since the scan: this line no longer holds what the finding is about."
GONE = "The label file can no longer be read."
TOO_LARGE = f"The label file has more than {as_size(MAX_LABEL_BYTES)} and is not read again."


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The rows of one label file as they stand now.

    Attributes:
        lines: Its physical lines, without their ends.
        table: Its rows; None where there is no file to read.
        per_keypoint: Columns of a keypoint, 2 or 3; 0 without keypoints.
        problem: Why there is no table, a sentence.
    """

    lines: Sequence[bytes]
    table: LabelTable | None
    per_keypoint: int = 0
    problem: str = GONE

    @classmethod
    def read(cls, path: str | None, spec: TaskSpec) -> LabelFile:
        """The file at `path`; without rows where it cannot be read, or is larger than `MAX_LABEL_BYTES`."""
        if path is None:
            return cls((), None)
        try:
            content = read_bounded(path, MAX_LABEL_BYTES)
        except TooLargeError:
            return cls((), None, problem=TOO_LARGE)
        except (OSError, ValueError):
            return cls((), None)
        return cls(lines_of(content), parse_labels([content], spec), spec.kpt_shape[1])

    def line(self, number: int) -> str | None:
        """The text of a physical line, legible and cut to `MAX_ROW_CHARACTERS`; None where it ends before."""
        if not 1 <= number <= len(self.lines):
            return None
        # A character has at most four bytes; a polygon of a thousand points is not decoded to its end.
        text = self.lines[number - 1][: 4 * MAX_ROW_CHARACTERS + 4].decode("utf-8", "surrogateescape")
        text = "\t".join(map(legible, text.split("\t")))
        return text if len(text) <= MAX_ROW_CHARACTERS else f"{text[: MAX_ROW_CHARACTERS - 1]}…"

    def row_of(self, finding: Finding) -> int | None:
        """Number of the table's row that the finding is about; None where its line has no such row any more."""
        if self.table is None or finding.line is None:
            return None
        return next((row for row in self.rows_at(finding.line) if _is_row_of(self.table, row, finding)), None)

    def rows_at(self, line: int) -> range:
        """Numbers of the table's rows that stand on a physical line."""
        if self.table is None:
            return range(0)
        return range(*np.searchsorted(self.table.line, [line, line + 1]).tolist())

    def corners(self, row: int | None) -> Box | None:
        """Normalised corners of a row's box; None for no row, and for one without a box."""
        if self.table is None or row is None or not np.isfinite(self.table.xywh[row]).all():
            return None
        x, y, w, h = self.table.xywh[row].tolist()
        return x - abs(w) / 2, y - abs(h) / 2, x + abs(w) / 2, y + abs(h) / 2

    def with_keypoints(self, row: int | None, box: Box | None) -> Box | None:
        """The box, made large enough to hold the row's keypoints too: one that strayed is what is to be seen."""
        if self.table is None or row is None or box is None or self.table.kind[row] != RowKind.POSE:
            return box
        tokens = self.table.tokens[self.table.first_token[row] : self.table.first_token[row + 1]]
        points = keypoints(tokens, self.per_keypoint)
        x, y = points[points[:, 2] != 0, :2].T.tolist()
        return min(box[0], *x), min(box[1], *y), max(box[2], *x), max(box[3], *y)

    def doubt(self, finding: Finding, row: int | None) -> str | None:
        """What is to be said where the line is not the one that was judged."""
        if self.table is None:
            return self.problem
        is_gone = finding.line is not None and finding.line > len(self.lines)
        return CHANGED if is_gone or (row is None and finding.x_center is not None) else None


def keypoints(tokens: NDArray[np.float64], per_keypoint: int) -> NDArray[np.float64]:
    """float64 (K, 3): x, y, visibility of a row's keypoints; visibility 2 where labels have none."""
    points = tokens[BOX_COLUMNS:].reshape(-1, per_keypoint)
    return points if per_keypoint == 3 else np.hstack((points, np.full((len(points), 1), 2.0)))


def _is_row_of(table: LabelTable, row: int, finding: Finding) -> bool:
    """Whether class and numbers are those of the finding; what a finding leaves out may be anything."""
    now = (table.class_id[row], *table.xywh[row])
    then = (finding.class_id, finding.x_center, finding.y_center, finding.width, finding.height)
    return all(b is None or a == b for a, b in zip(now, then, strict=True))
