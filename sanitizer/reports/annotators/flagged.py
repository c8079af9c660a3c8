"""The images that findings name, with every label row as a shape in pixels: what annotation tools are given."""

from __future__ import annotations

import math
import posixpath
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, cast

import numpy as np

from sanitizer.dataset.listing import label_of
from sanitizer.dataset.tables import LABEL_TASKS, RowKind, TaskSpec
from sanitizer.findings.finding import characters_of
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.reports.reach import OUTSIDE, Reach
from sanitizer.util.escape import legible
from sanitizer.util.paths import common_path, join_path, normal_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from tqdm import tqdm

    from sanitizer.dataset.tables import ImageTable, LabelTable, Task
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

IMAGES_PER_CHUNK = 256
"""Read at once: bounds memory, whatever the number of flagged images."""

MAX_FINDINGS = 400_000
"""Findings that are kept, about a kilobyte each; those after them are left out, and counted."""

MAX_CHARACTERS = 1 << 27
"""Text of findings that is kept, for the same reason."""

LINES_OF_A_NOTE = 40
"""Findings that a note on an image spells out; the rest are counted."""

RECTANGLE_TOLERANCE_PX = 0.5
"""An oriented box whose corners are this near those of a rectangle is one: coordinates of labels are rounded."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box, turned clockwise about its centre by `rotation_deg`; pixels. Not rotated: corners in order."""

    x_center: float
    y_center: float
    width: float
    height: float
    rotation_deg: float = 0.0

    def corners(self) -> NDArray[np.float64]:
        """float64 (4, 2), pixels: upper left before it was turned, then clockwise."""
        angle = math.radians(self.rotation_deg)
        x_axis = np.array([math.cos(angle), math.sin(angle)]) * self.width / 2
        y_axis = np.array([-math.sin(angle), math.cos(angle)]) * self.height / 2
        return np.array([self.x_center, self.y_center]) + np.stack(
            (-x_axis - y_axis, x_axis - y_axis, x_axis + y_axis, y_axis - x_axis)
        )

    def quarter_turned(self) -> Rectangle:
        """The same rectangle, its sides called by the other name."""
        return Rectangle(
            self.x_center, self.y_center, self.height, self.width, (self.rotation_deg + 90) % 360
        )


@dataclass(frozen=True, slots=True)
class Polygon:
    """Vertices in order: float64 (P, 2), pixels."""

    points: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Keypoint:
    """One keypoint of a row, in pixels. `number` counts from 1; `hidden`: visibility 1, behind something."""

    number: int
    x: float
    y: float
    hidden: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """One label row.

    Attributes:
        line: 1-based line of the label file.
        label: Name of its class, as `ClassLabels` gives it.
        outline: Where it lies.
        keypoints: Those that are labelled, in order.
        note: Its findings in words, "" where there is none.
    """

    line: int
    label: str
    outline: Rectangle | Polygon
    keypoints: Sequence[Keypoint]
    note: str


@dataclass(frozen=True, slots=True)
class FlaggedImage:
    """One image with findings.

    Attributes:
        name: POSIX path relative to the folder of the export; never absolute, never with `..` steps.
        path: Absolute path.
        source: POSIX path relative to the dataset root, as findings name it.
        split: Split name, or "".
        width, height: Pixels as training and browsers see them: EXIF rotation applied.
        note: All findings of the image in words, one a line.
        n_findings: How many there are.
        shapes: Its label rows, in order of the file. Rows that cannot be read are not among them.
    """

    name: str
    path: str
    source: str
    split: str
    width: int
    height: int
    note: str
    n_findings: int
    shapes: Sequence[Shape]


class ExportError(Exception):
    """Nothing can be exported; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        files: Paths, the main one first.
        images: Number of images in it.
        left_out: "PATH: why", of flagged images that are not.
        hints: Sentences on what to do with it.
    """

    files: Sequence[str]
    images: int
    left_out: Sequence[str]
    hints: Sequence[str]


@dataclass(slots=True)
class ClassLabels:
    """Names of classes for tools that know no ids: each is there once, legible, and never empty."""

    names: Mapping[int, str]
    by_class: dict[float, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for cls in sorted(self.names):
            self.of(cls)

    def of(self, cls: float) -> str:
        """The label of a class; a class that data.yaml does not name is "class 7"."""
        label = self.by_class.get(cls)
        if label is None:
            name = self.names.get(int(cls)) if cls == int(cls) else None
            label = legible(name or "").strip() or f"class {cls:g}"
            if label in self._taken:
                label = f"{label} (class {cls:g})"
            self._taken.add(label)
            self.by_class[cls] = label
        return label

    def free(self, wanted: str) -> str:
        """The wanted label, or one like it that no class has."""
        while wanted in self._taken:
            wanted += "_"
        return wanted


@dataclass(slots=True)
class Flagged:
    """The flagged images of a report, read when iterated over: a few hundred at a time.

    Attributes:
        report: Where findings come from.
        labels: Names of all classes met; complete once every image was read.
        left_out: "PATH: why", of images that cannot be opened; complete once every image was read.
        folder: Absolute folder that holds the dataset and every flagged image.
        progress: Show a bar on stderr while reading.
        reach: Which files may be read.
    """

    report: Report
    labels: ClassLabels
    left_out: list[str]
    folder: str
    progress: bool
    reach: Reach
    _findings: dict[str, list[Finding]]

    @classmethod
    def of(cls, report: Report, progress: bool = False, reach: Reach | None = None) -> Flagged:
        """Sort the findings by the image they name. ExportError where none names one.

        Args:
            report: Where findings come from.
            progress: Show a bar on stderr while reading.
            reach: Which files may be read; None: all.
        """
        reach = reach or Reach.everywhere(report)
        findings: dict[str, list[Finding]] = {}
        left_out: list[str] = []
        room = MAX_CHARACTERS
        n_kept = n_over = 0
        for f in report.findings:
            if f.image is None:
                continue
            room -= characters_of(f)
            if room < 0 or n_kept == MAX_FINDINGS:
                n_over += 1
            else:
                n_kept += 1
                findings.setdefault(f.image, []).append(f)
        if not findings:
            raise ExportError("no finding is about an image, so there is none to show")
        if reach.closed:
            raise ExportError(reach.closed)
        if n_over:
            left_out.append(f"{n_over:,} findings: more than an annotation tool is given at once")
        for image in [image for image in findings if reach.path(image) is None]:
            del findings[image]
            left_out.append(f"{image}: {OUTSIDE}")
        folders = {posixpath.dirname(_absolute(report, image)) for image in findings}
        folder = common_path([report.root, *folders])
        return cls(report, ClassLabels(report.names), left_out, folder, progress, reach, findings)

    def __iter__(self) -> Iterator[FlaggedImage]:
        with _bar(len(self._findings), self.progress) as bar:
            for image in self._read():
                yield image
                bar.update()

    def require(self, images: int) -> None:
        """Raise ExportError if not one image could be exported."""
        if not images:
            n = len(self._findings) or len(self.left_out)
            outside = f"; {left_out}" if (left_out := self.reach.note()) else ""
            raise ExportError(
                f"none of the {n:,} images with findings can be read below {self.report.root}"
                f" (--root names the dataset's folder, where it has moved){outside}"
            )

    def _read(self) -> Iterator[FlaggedImage]:
        spec = TaskSpec(cast("Task", self.report.task), None, self.report.names, self.report.kpt_shape)
        flagged = list(self._findings)
        for first in range(0, len(flagged), IMAGES_PER_CHUNK):
            sources = flagged[first : first + IMAGES_PER_CHUNK]
            paths = [_absolute(self.report, source) for source in sources]
            images = read_images(paths, "header")
            labels = read_labels(list(map(self._label_path, sources, paths)), spec)
            starts = np.searchsorted(labels.file, np.arange(len(sources) + 1)).tolist()
            for i, (start, stop) in enumerate(pairwise(starts)):
                yield from self._image(i, sources[i], paths[i], images, labels, range(start, stop))

    def _label_path(self, source: str, path: str) -> str | None:
        """Where the label of an image lies: where its findings say, else where training looks; None: out of reach."""
        if self.report.task not in LABEL_TASKS:
            return None
        named = next((f.label for f in self._findings[source] if f.label), None)
        if named is None:
            named = label_of(path)
        label = self.reach.label_path(named)
        if label is None:
            self.left_out.append(f"{named}, the label of {source}: {OUTSIDE}")
            return None
        return _absolute(self.report, named)

    def _image(
        self, i: int, source: str, path: str, images: ImageTable, table: LabelTable, rows: range
    ) -> Iterator[FlaggedImage]:
        """The image, unless it cannot be opened."""
        widths, heights = images.upright_size()
        width, height = int(widths[i]), int(heights[i])
        if width <= 0 or height <= 0:
            self.left_out.append(f"{source}: {images.detail[i] or 'its size cannot be read'}")
            return
        findings = self._findings[source]
        notes: dict[int, list[str]] = {}
        for f in findings:
            if f.line is not None:
                notes.setdefault(f.line, []).append(f"{f.rule} {legible(f.message)}")
        yield FlaggedImage(
            name=posixpath.relpath(path, self.folder),
            path=path,
            source=source,
            split=next((f.split for f in findings if f.split), ""),
            width=width,
            height=height,
            note=_note(findings),
            n_findings=len(findings),
            shapes=[s for r in rows if (s := self._shape(table, r, width, height, notes)) is not None],
        )

    def _shape(
        self, table: LabelTable, row: int, width: int, height: int, notes: Mapping[int, Sequence[str]]
    ) -> Shape | None:
        kind = table.kind[row]
        if kind == RowKind.FAULTY:
            return None
        tokens = table.tokens[table.first_token[row] + 1 : table.first_token[row + 1]]
        size = np.array([width, height], np.float64)
        keypoints: list[Keypoint] = []
        outline: Rectangle | Polygon
        if kind in (RowKind.POLYGON, RowKind.OBB):
            points = tokens[: len(tokens) // 2 * 2].reshape(-1, 2) * size
            turned = rectangle_of(points) if kind == RowKind.OBB else None
            outline = turned or Polygon(points)
        else:
            (x, y), (w, h) = table.xywh[row].reshape(2, 2) * size
            outline = Rectangle(float(x), float(y), abs(float(w)), abs(float(h)))
            if kind == RowKind.POSE:
                keypoints = _keypoints(tokens[4:], self.report.kpt_shape, size)
        line = int(table.line[row])
        label = self.labels.of(float(table.class_id[row]))
        return Shape(line, label, outline, keypoints, "\n".join(notes.get(line, ())))


def _bar(total: int, shown: bool) -> tqdm[NoReturn]:
    from tqdm import tqdm

    return tqdm(total=total, unit=" images", leave=False, desc="exporting", delay=0.5, disable=not shown)


def rectangle_of(corners: NDArray[np.float64]) -> Rectangle | None:
    """The rectangle with these four corners, float64 (4, 2); None where they are no rectangle's."""
    if len(corners) != 4:
        return None
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    if along[0] * across[1] < along[1] * across[0]:  # counter-clockwise: start with the other side
        along, across = across, along
    angle_deg = math.degrees(math.atan2(along[1], along[0])) % 360
    center_x, center_y = corners.mean(axis=0).tolist()
    ideal = Rectangle(center_x, center_y, float(np.hypot(*along)), float(np.hypot(*across)), angle_deg)
    distance_px = np.linalg.norm(corners[:, None] - ideal.corners()[None], axis=2)
    off_px = max(distance_px.min(axis=0).max(), distance_px.min(axis=1).max())
    return ideal if off_px <= RECTANGLE_TOLERANCE_PX else None


def _keypoints(
    tokens: NDArray[np.float64], kpt_shape: tuple[int, int], size: NDArray[np.float64]
) -> list[Keypoint]:
    """Keypoints that are labelled: visibility over 0, or without visibility not at 0, 0."""
    points = tokens.reshape(kpt_shape)
    labelled = points[:, 2] > 0 if kpt_shape[1] == 3 else points.any(axis=1)
    hidden = points[:, 2] == 1 if kpt_shape[1] == 3 else np.zeros(len(points), np.bool_)
    return [
        Keypoint(int(i) + 1, float(points[i, 0] * size[0]), float(points[i, 1] * size[1]), bool(hidden[i]))
        for i in np.flatnonzero(labelled)
    ]


def _note(findings: Sequence[Finding]) -> str:
    lines = [
        f"{f'line {f.line}: ' if f.line is not None else ''}{f.rule} {legible(f.message)}"
        for f in findings[:LINES_OF_A_NOTE]
    ]
    rest = len(findings) - LINES_OF_A_NOTE
    return "\n".join([*lines, f"… and {rest:,} more"] if rest > 0 else lines)


def _absolute(report: Report, path: str) -> str:
    return normal_path(join_path(report.root, path))
