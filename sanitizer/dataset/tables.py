"""The values that flow from one stage to the next: frozen tables of equally long NumPy arrays.

A chunk is a few thousand image/label pairs. It is the unit of work: it bounds memory, it is what a worker
process gets, and it is what the cache stores. `file` and `image` indices count from zero inside a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sanitizer.dataset.tasks.behaviour import NEWEST, Behaviour
from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tasks.mask_table import MaskTable
    from sanitizer.findings.finding import About, FindingKind, Severity

Task = Literal["detect", "segment", "semantic", "classify", "pose", "obb"]
TASKS: tuple[Task, ...] = ("detect", "segment", "semantic", "classify", "pose", "obb")
LABEL_TASKS: tuple[Task, ...] = ("detect", "segment", "pose", "obb")
"""Tasks whose objects are rows of label files. classify has a folder for each class, and semantic has masks."""


class RowKind(IntEnum):
    """What the columns of a label row are, by their number and the task."""

    FAULTY = 0
    """Cannot be read as any row: wrong number of columns, or a token that is no number."""
    BOX = 1
    """class x_center y_center width height"""
    POLYGON = 2
    """class x1 y1 x2 y2 x3 y3 … (three or more vertices)"""
    POSE = 3
    """class x_center y_center width height, then kpt_shape[0] × kpt_shape[1] keypoint columns"""
    OBB = 4
    """class and four corners: nine columns, when the task is obb"""


class FileStatus(IntEnum):
    """How reading one label file went."""

    OK = 0
    MISSING = 1
    """No regular file of that name, or a link that leads to none: training reads the image as background."""
    EMPTY = 2
    """Zero bytes or blanks only."""
    UNREADABLE = 3
    """The operating system refuses to read it."""
    NOT_TEXT = 4
    """Not UTF-8, so training drops the image (UTF-16 too)."""
    LFS_POINTER = 5
    """A git-lfs pointer in place of labels."""
    TOO_LARGE = 6
    """Larger than the limit, so not read. We do not know what training makes of the file."""
    MISREAD = 7
    """The version of Ultralytics at hand reads no numbers in it: `Behaviour` says why. Its rows are in the table."""


class ImageStatus(IntEnum):
    """How reading one image went, as far as `images` asked for."""

    OK = 0
    NOT_READ = 1
    """`--images none`, or a label without image. Its size is unknown."""
    MISSING = 2
    BROKEN_LINK = 3
    UNREADABLE = 4
    """The operating system refuses to read it, or it is a folder."""
    EMPTY = 5
    """Zero bytes."""
    LFS_POINTER = 6
    NOT_IMAGE = 7
    """No format that training can open."""
    TRUNCATED = 8
    """Header is fine, pixels end early. JPEG: training drops it."""
    UNDECODABLE = 9
    """Header is fine, pixels are damaged."""
    ENDS_PROCESS = 10
    """Not read, because reading the image ends the process: its decoder crashes, or memory runs out."""
    TOO_LARGE = 11
    """Too costly to open or to decode within our limits. We do not know its pixels."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What training assumes of every row.

    Attributes:
        task: One of `TASKS`.
        nc: Number of classes, or None where the data.yaml does not say (then no class check).
        names: Class id to name.
        kpt_shape: (number of keypoints, 2 or 3), or (0, 0).
        label_mapping: Id in a mask to the class id that training makes of it (semantic); ids not named stay.
        channels: Channels that the model takes, `channels:` of the data.yaml.
        single_cls: Training takes every class for one; `nc` is None then, as any id will do.
        behaviour: What the version of Ultralytics that rows are judged by does.
        max_label_bytes: The largest label file that is read.
        max_table_bytes: The most memory that one table of several label files may take; None for any.
    """

    task: Task
    nc: int | None
    names: Mapping[int, str] = field(default_factory=dict)
    kpt_shape: tuple[int, int] = (0, 0)
    label_mapping: Mapping[int, int] = field(default_factory=dict)
    channels: int = 3
    single_cls: bool = False
    behaviour: Behaviour = NEWEST
    max_label_bytes: int = limits.LABEL_BYTES
    max_table_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a label row or an image that reading found, before any rule looks at tables.

    Attributes:
        rule: Code of the rule, such as L003.
        file: Index of the image/label pair in its chunk.
        line: 1-based physical line, or None.
        column: 1-based character in the line, or None.
        values: What the rule's message template may name, such as {"token": "cat"}.
        suggestion: What to do, if it depends on the case; else the rule's own text is used.
        severity: The severity, if it depends on the case. The user's configuration overrides it.
        about: What it is about, where that differs from what its rule is about.
        kind: Of the finding, where it depends on the case; else the rule's own.
        n_more: How many further rows of the file it stands for; None where it is one fault.
    """

    rule: str
    file: int
    line: int | None = None
    column: int | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    suggestion: str | None = None
    severity: Severity | None = None
    about: About | None = None
    kind: FindingKind | None = None
    n_more: int | None = None


class RunStage(IntEnum):
    """Where in a training run something stops it, in the order of the run."""

    DATA_YAML = 0
    MODEL = 1
    TRAIN = 2
    """While the train split is listed and checked."""
    AUGMENT = 3
    """While the augmentation of the train split is set up."""
    VAL = 4
    BATCH = 5
    """While pictures are read and augmented."""


@dataclass(frozen=True, slots=True)
class DatasetFault:
    """A fault of the dataset as a whole. It may name any file, so its paths are absolute.

    Attributes:
        rule: Code of the rule, such as D002.
        file: Absolute path of the file that shows the fault (data.yaml, an image, a label), or None.
        image: Absolute path of the faulty image, or None.
        label: Absolute path of the faulty label file, or None.
        split: Split name or None.
        line, column: 1-based, or None.
        class_id: The class that it is about, or None.
        values: What the message template may name; `value` and `threshold` also fill those report columns.
        suggestion, severity, kind: As in `Fault`.
        stops_with: The exception with which training stops because of it, in a sentence; None where it goes on.
        stops_task: The only task that stops; None for any.
        stops_at: Where training stops.
        twin: Absolute path of the other image of a fault about two, such as the one that `image` is a copy of.
    """

    rule: str
    file: str | None = None
    image: str | None = None
    label: str | None = None
    split: str | None = None
    line: int | None = None
    column: int | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    suggestion: str | None = None
    severity: Severity | None = None
    kind: FindingKind | None = None
    class_id: int | None = None
    stops_with: str | None = None
    stops_task: Task | None = None
    stops_at: RunStage = RunStage.DATA_YAML
    twin: str | None = None


def dataset_fault(
    rule: str, detail: str, suggestion: str, severity: Severity | None = None, **fields: Any
) -> DatasetFault:
    """A `DatasetFault` whose message is the whole sentence `detail`; `fields` are other fields of `DatasetFault`."""
    return DatasetFault(rule, values={"detail": detail}, suggestion=suggestion, severity=severity, **fields)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """Every label row of a chunk, in columns. R rows, T tokens, F files.

    A row is what Ultralytics sees as one: the text decoded as utf-8-sig, split by str.splitlines, blank lines
    left out, columns split at blanks. Rows are ordered by file, then line.

    Attributes:
        file: int32 (R,) index of the file the row is in.
        line: int32 (R,) 1-based physical line (ends at \\n, \\r\\n or \\r).
        kind: uint8 (R,) a `RowKind`.
        n_columns: int32 (R,) number of tokens in the row.
        class_id: float64 (R,) first column as written; NaN where it is no number.
        xywh: float64 (R, 4) normalised centre and size. As written for BOX and POSE rows; the bounding box of
            the vertices for POLYGON and OBB rows; NaN for FAULTY rows.
        first_token: int64 (R + 1,) row r's tokens are first_token[r] to first_token[r + 1].
        tokens: float64 (T,) every number as float() reads it; NaN where the token is no number.
        token_column: int32 (T,) 1-based character where the token starts in its physical line.
        faults: What could not be read, in file and line order (codes L001 to L004, L007 to L010).
        status: uint8 (F,) a `FileStatus`.
        size_bytes: int64 (F,) length of the file, -1 where there is none.
        digest: uint64 (F,) hash of the file's bytes, 0 where there is none. Equal bytes, equal digest.
        numbers_ok: bool (F,) every token of the file is one that float() accepts.
    """

    file: NDArray[np.int32]
    line: NDArray[np.int32]
    kind: NDArray[np.uint8]
    n_columns: NDArray[np.int32]
    class_id: NDArray[np.float64]
    xywh: NDArray[np.float64]
    first_token: NDArray[np.int64]
    tokens: NDArray[np.float64]
    token_column: NDArray[np.int32]
    faults: Sequence[Fault]
    status: NDArray[np.uint8]
    size_bytes: NDArray[np.int64]
    digest: NDArray[np.uint64]
    numbers_ok: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.file)

    @property
    def n_files(self) -> int:
        """Number of label files, missing ones counted."""
        return len(self.status)


IMAGE_FORMATS: tuple[str, ...] = (
    "",
    "jpeg",
    "png",
    "bmp",
    "webp",
    "tiff",
    "gif",
    "mpo",
    "avif",
    "heif",
    "jpeg2000",
    "dng",
    "other",
)
"""What `ImageTable.format` indexes. "" is unknown; "other" opens in Pillow but training refuses it."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageTable:
    """Header facts of every image of a chunk. F images.

    Attributes:
        width, height: int32 (F,) pixels as stored, before any EXIF rotation; -1 where unknown.
        orientation: uint8 (F,) EXIF orientation 1 to 8, 0 where there is none. 5 to 8 swap width and height.
        format: uint8 (F,) index into `IMAGE_FORMATS`, by content and not by name.
        channels: uint8 (F,) 1 gray or palette, 2 gray+alpha, 3 RGB, 4 RGBA or CMYK; 0 unknown.
        bit_depth: uint8 (F,) bits a channel; 0 unknown.
        pages: uint8 (F,) pages of a gray TIFF that all have one size, so that training may stack them as channels; 1
            for any other image; 0 where OpenCV, with which training reads pixels, lacks the compression.
        size_bytes: int64 (F,) -1 where there is no file.
        digest: uint64 (F,) hash of size and of the first block read: equal files, equal digest; candidates for
            D009, to be confirmed by reading both files. 0 where not read.
        status: uint8 (F,) an `ImageStatus`.
        rewritten: bool (F,) training would re-encode the file in place (JPEG that does not end in FF D9 but
            still decodes).
        dropped: bool (F,) Ultralytics' check_image would raise on it, so the image is dropped.
        detail: object (F,) str or None: what is wrong, in words, where status is not OK or `rewritten` is set.
        decoded: bool (F,) pixels were decoded (`--images decode`).
        phash: uint64 (F,) perceptual hash, meaningful where decoded.
    """

    width: NDArray[np.int32]
    height: NDArray[np.int32]
    orientation: NDArray[np.uint8]
    format: NDArray[np.uint8]
    channels: NDArray[np.uint8]
    bit_depth: NDArray[np.uint8]
    pages: NDArray[np.uint8]
    size_bytes: NDArray[np.int64]
    digest: NDArray[np.uint64]
    status: NDArray[np.uint8]
    rewritten: NDArray[np.bool_]
    dropped: NDArray[np.bool_]
    detail: NDArray[np.object_]
    decoded: NDArray[np.bool_]
    phash: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.width)

    def upright_size(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(width, height), int32 (F,), as training sees them: swapped for EXIF orientations 5 to 8."""
        swap = self.orientation >= 5
        return np.where(swap, self.height, self.width), np.where(swap, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A batch of image/label pairs to read: the work of one process at a time. Plain values, cheap to pickle.

    Attributes:
        split: Split name (train, val, test, …), or "" for files given one by one.
        images: Absolute image paths; None for a label without image.
        labels: Absolute label paths, of masks in a semantic set; None where an image has none.
        states: As `Split.states` has them for these pairs.
        classes: int32 (F,) class of each image by its folder, as `Split.dir_classes` has it; None for other tasks than
            classification.
    """

    split: str
    images: Sequence[str | None]
    labels: Sequence[str | None]
    states: NDArray[np.int64] | None = None
    classes: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class ChunkTables:
    """Everything read from one chunk. Rules of scope `row` and `file` work on this.

    Attributes:
        masks: None but for the task semantic, whose label table has no row.
        label_heads: First bytes of the label files of some pairs, where to read them again would cost requests.
    """

    chunk: Chunk
    labels: LabelTable
    images: ImageTable
    masks: MaskTable | None = None
    label_heads: Mapping[int, bytes] = field(default_factory=dict)
