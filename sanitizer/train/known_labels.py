"""Reads the plain images and labels of a dataset many at a time, where Ultralytics would check each by itself.

Ultralytics opens every image and every label before the first epoch, about a third of a millisecond a pair. Of most
pairs its check says no more than their rows and the size of the image. These are read here, a tenth of the time, and
handed to Ultralytics in place of the check. All other pairs, and anything that is odd about a file, go to the check.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, Chunk, FileStatus, ImageStatus, RowKind, TaskSpec
from sanitizer.images.header import MIN_SIDE_PX
from sanitizer.rules.checks.box_copies import exact_copies
from sanitizer.ultra.label_check import BOX_COLUMNS
from sanitizer.ultra.library import YOLODataset, dataset_module, img2label_paths
from sanitizer.ultra.samples import read_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, ImageTable, LabelTable

    Check = Callable[[tuple[Any, ...]], Sequence[Any]]

_PAIRS_AT_ONCE = 4096
_FEWEST_PAIRS = 1000
"""Below this, a dataset is checked within a second."""
_COMPARED = 32
"""Pairs of each dataset that are read in both ways: if one differs, Ultralytics checks all by itself."""
_MOST_PX = 80_000_000
"""Pillow warns of larger images."""


class KnownPair(NamedTuple):
    """What the check would say of an image and its label.

    Attributes:
        rows: float32 (R, 5) class, centre, size.
        shape: (height, width) in pixels.
        has_label: There is a label file.
        highest_class: -1 without rows.
    """

    rows: NDArray[np.float32]
    shape: tuple[int, int]
    has_label: bool
    highest_class: float

    def answer(self, image: str) -> tuple[Any, ...]:
        """The check's answer, as `verify_image_label` gives it from Ultralytics 8.3.200 to 8.4.190."""
        missing, empty = not self.has_label, self.has_label and not len(self.rows)
        return image, self.rows, self.shape, [], None, int(missing), int(self.has_label), int(empty), 0, ""


@contextlib.contextmanager
def labels_read_ahead() -> Iterator[None]:
    """Inside the block, Ultralytics' datasets of boxes get their plain pairs from here. Their content is the same."""
    module: Any = dataset_module
    dataset_class: Any = YOLODataset
    check, cache_labels = module.verify_image_label, dataset_class.cache_labels

    def with_known(dataset: Any, *args: Any, **options: Any) -> Any:
        images: list[Any] = list(map(str, dataset.im_files))
        if dataset.use_segments or dataset.use_keypoints or dataset.use_obb or len(images) < _FEWEST_PAIRS:
            return cache_labels(dataset, *args, **options)
        known = read_known(images, img2label_paths(images))
        if known and agrees(check, known):
            module.verify_image_label = _Check(check, known)
        try:
            return cache_labels(dataset, *args, **options)
        finally:
            module.verify_image_label = check

    dataset_class.cache_labels = with_known
    try:
        yield
    finally:
        dataset_class.cache_labels = cache_labels


class _Check:
    """Ultralytics' check, which looks at files of unknown pairs only."""

    def __init__(self, check: Check, known: dict[tuple[str, str], KnownPair]) -> None:
        self._check, self._known = check, known

    def __call__(self, args: tuple[Any, ...]) -> Sequence[Any]:
        image, label, _, with_keypoints, n_classes, n_keypoints, _, single_class = args
        known = self._known.pop((image, label), None)
        if known is None or with_keypoints or n_keypoints:
            return self._check(args)
        if not single_class and known.highest_class >= n_classes:
            return self._check(args)
        return known.answer(image)


def agrees(check: Check, known: dict[tuple[str, str], KnownPair]) -> bool:
    """Whether Ultralytics' check says the same of some of the pairs."""
    pairs = list(known.items())
    for (image, label), pair in pairs[:: max(1, len(pairs) // _COMPARED)]:
        n_classes = pair.highest_class + 1
        try:
            theirs = check((image, label, "", False, n_classes, 0, 0, False))
            if not _are_equal(theirs, pair.answer(image)):
                return False
        except Exception:  # another version: whatever is wrong there, it is to find that out without us
            return False
    return True


def _are_equal(theirs: Sequence[Any], ours: Sequence[Any]) -> bool:
    rows, other = theirs[1], ours[1]
    same_rows = isinstance(rows, np.ndarray) and rows.dtype == other.dtype and np.array_equal(rows, other)
    return same_rows and [theirs[0], *theirs[2:]] == [ours[0], *ours[2:]]


def read_known(images: Sequence[str], labels: Sequence[str]) -> dict[tuple[str, str], KnownPair]:
    """The plain pairs among some, by the paths of image and label."""
    known: dict[tuple[str, str], KnownPair] = {}
    for start in range(0, len(images), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        chunk = Chunk("", images[some], labels[some])
        known.update(_plain_pairs(read_chunk(chunk, TaskSpec("detect", None))))
    return known


def _plain_pairs(tables: ChunkTables) -> Iterator[tuple[tuple[str, str], KnownPair]]:
    """(paths, what is known) of pairs of which every version of Ultralytics says the same."""
    rows = tables.labels
    plain = _plain_images(tables.images) & _plain_labels(rows)
    starts = np.searchsorted(rows.file, np.arange(rows.n_files + 1))
    in_plain = plain[rows.file]
    ends = np.concatenate(([0], np.cumsum(in_plain)))[starts].tolist()
    boxes = _boxes(rows, np.flatnonzero(in_plain))
    width, height = tables.images.width.tolist(), tables.images.height.tolist()
    has_label = (rows.status != FileStatus.MISSING).tolist()
    for i in np.flatnonzero(plain).tolist():
        image, label = tables.chunk.images[i], tables.chunk.labels[i]
        of_file = boxes[ends[i] : ends[i + 1]]
        highest = float(of_file[:, 0].max()) if len(of_file) else -1.0
        assert image is not None
        assert label is not None
        yield (image, label), KnownPair(of_file, (height[i], width[i]), has_label[i], highest)


def _plain_images(images: ImageTable) -> NDArray[np.bool_]:
    """bool (F,): healthy JPEG files of usual size that no EXIF tag turns. Of a PNG the check reads all bytes."""
    plain: NDArray[np.bool_] = (images.status == ImageStatus.OK) & ~images.rewritten & ~images.dropped
    plain &= (images.format == IMAGE_FORMATS.index("jpeg")) & (images.orientation <= 1)
    plain &= np.array([detail is None for detail in images.detail.tolist()], np.bool_)
    plain &= np.minimum(images.width, images.height) >= MIN_SIDE_PX
    plain &= images.width.astype(np.int64) * images.height <= _MOST_PX
    return plain


def _plain_labels(rows: LabelTable) -> NDArray[np.bool_]:
    """bool (F,): no file, an empty one, or one with nothing but boxes inside the image, each only once."""
    usual = np.isin(rows.status, (FileStatus.OK, FileStatus.MISSING))
    usual |= (rows.status == FileStatus.EMPTY) & (rows.size_bytes == 0)
    for fault in rows.faults:
        if fault.rule != "L007":
            usual[fault.file] = False
    ok = (rows.kind == RowKind.BOX) & (rows.n_columns == BOX_COLUMNS)
    first = np.searchsorted(rows.file, rows.file)
    ok &= rows.line == np.arange(1, len(rows) + 1) - first  # no blank line, which some versions refuse
    ok &= np.logical_and.reduce((rows.xywh >= 0) & (rows.xywh <= 1), axis=1)
    ok &= (rows.class_id >= 0) & (rows.class_id == np.floor(rows.class_id)) & (rows.class_id < 2**20)
    usual[rows.file[~ok]] = False
    copies, _ = exact_copies(rows, "detect")
    usual[rows.file[copies]] = False
    return usual


def _boxes(rows: LabelTable, chosen: NDArray[np.intp]) -> NDArray[np.float32]:
    """float32 (K, 5): these rows, which all have five columns."""
    return np.asarray(rows.tokens[rows.first_token[chosen][:, None] + np.arange(BOX_COLUMNS)], np.float32)
