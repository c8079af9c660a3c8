"""The same picture twice, and copies whose labels disagree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from sanitizer.config import Config, RuleConfig
from sanitizer.dataset.model import Dataset, Split
from sanitizer.dataset.tables import RowKind, TaskSpec
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.rules.checks.copies import Likeness, find_copies
from sanitizer.rules.checks.duplicates import best_match_iou, conflicting_duplicates, duplicate_images
from sanitizer.rules.checks.near_hashes import hamming
from sanitizer.rules.hits import Params
from sanitizer.rules.survey import Survey
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

PARAMS = Params(
    {
        "max_hash_distance": 8,
        "max_mean_difference": 1.5,
        "max_difference": 10,
        "min_correlation": 0.9,
        "min_iou": 0.99,
        "min_iou_reencoded": 0.9,
    }
)


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)).resize(size)


def split_of(name: str, image_dir: Path, label_dir: Path) -> Split:
    names = sorted(os.listdir(image_dir))
    has_label = np.array([(label_dir / n).with_suffix(".txt").exists() for n in names], np.bool_)
    ones, where = np.ones(len(names), np.bool_), np.zeros(len(names), np.int32)
    return Split.build(name, [str(image_dir)], [str(label_dir)], where, names, ones, has_label)


def survey_of(root: Path, splits: list[Split], mode: str = "decode") -> Survey:
    spec = TaskSpec("detect", 3)
    images = read_images([s.image_path(i) for s in splits for i in range(len(s))], mode)  # type: ignore[arg-type]
    labels = read_labels([s.label_path(i) for s in splits for i in range(len(s))], spec)
    n_rows = np.bincount(labels.file[labels.kind != RowKind.FAULTY], minlength=len(images)).astype(np.int32)
    width, height = images.upright_size()
    nothing: Any = None
    return Survey(
        dataset=Dataset(str(root), str(root), None, splits, "detect", 3, {}),
        spec=spec,
        split_start=np.cumsum([0, *map(len, splits)]).astype(np.int64),
        image_digest=images.digest,
        label_digest=labels.digest,
        phash=images.phash,
        image_bytes=images.size_bytes,
        decoded=images.decoded,
        width=width,
        height=height,
        n_rows=n_rows,
        dropped=images.dropped,
        background=n_rows == 0,
        rewritten=images.rewritten,
        found=labels.digest != 0,
        boxed=np.zeros(len(images), np.bool_),
        loaded=np.full(len(images), 3, np.uint8),
        class_counts={},
        shapes=nothing,
        n_label_files=0,
        n_boxes=0,
    )


class Folder:
    """A dataset folder to put images and labels into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self, name: str, content: Image.Image | bytes, rows: str | None = None, **options: object
    ) -> None:
        path = self.root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        if rows is not None:
            label = (self.root / "labels" / name).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(rows)

    def bytes_of(self, name: str) -> bytes:
        return (self.root / "images" / name).read_bytes()

    def survey(self, mode: str = "decode", **splits: str) -> Survey:
        """Of split name = folder under images/; labels lie in labels/ beside it."""
        folders = splits or {"train": "train"}
        parts = [split_of(n, self.root / "images" / f, self.root / "labels" / f) for n, f in folders.items()]
        return survey_of(self.root, parts, mode)

    def duplicates(self, mode: str = "decode", **splits: str) -> list[str]:
        survey = self.survey(mode, **splits)
        return [str(p.values["detail"]) for p in duplicate_images(survey, PARAMS)]

    def conflicts(self) -> list[str]:
        survey = self.survey()
        return [str(p.values["detail"]) for p in conflicting_duplicates(survey, PARAMS)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.add("train/a.jpg", picture(1), "0 0.5 0.5 0.4 0.3\n")
    folder.add("train/z.jpg", picture(2), "0 0.5 0.5 0.4 0.3\n")
    return folder


def test_different_pictures_are_no_duplicates(folder: Folder) -> None:
    for seed in range(3, 20):
        folder.add(f"train/p{seed}.jpg", picture(seed))
    assert folder.duplicates() == []


@pytest.mark.parametrize("mode", ["header", "decode"])
def test_equal_bytes_in_one_split(folder: Folder, mode: str) -> None:
    folder.add("train/b.jpg", folder.bytes_of("train/a.jpg"))
    folder.add("train/c.jpg", folder.bytes_of("train/a.jpg"))
    same = "duplicate in train: byte for byte the same image as images/train/a.jpg"
    assert folder.duplicates(mode) == [same, same]


def test_equal_bytes_across_splits_are_a_leak(folder: Folder) -> None:
    folder.add("val/x.jpg", folder.bytes_of("train/a.jpg"))
    assert folder.duplicates("header", train="train", val="val") == [
        "leak between train and val: byte for byte the same image as images/train/a.jpg"
    ]


def test_equal_head_tail_and_size_are_not_enough(folder: Folder) -> None:
    content = folder.bytes_of("train/a.jpg")
    folder.add("train/b.jpg", content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    assert folder.duplicates("header") == []


def test_one_folder_under_two_splits_is_no_leak_image_by_image(folder: Folder) -> None:
    assert folder.duplicates(train="train", val="train") == []
    (folder.root / "images" / "valid").symlink_to(folder.root / "images" / "train")
    assert folder.duplicates(train="train", val="valid") == []


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_is_named_as_one(folder: Folder, link: Any) -> None:
    link(folder.root / "images/train/a.jpg", folder.root / "images/train/b.jpg")
    assert folder.duplicates() == ["duplicate in train: the same file (by a link) as images/train/a.jpg"]


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("val/q.jpg", (320, 240), {"quality": 30}),
        ("val/p.png", (320, 240), {}),
        ("val/half.jpg", (160, 120), {}),
        ("val/double.jpg", (640, 480), {}),
    ],
)
def test_the_same_picture_encoded_again(
    folder: Folder, name: str, size: tuple[int, int], options: dict[str, object]
) -> None:
    folder.add(name, Image.open(folder.root / "images/train/a.jpg").resize(size), **options)
    assert folder.duplicates("decode", train="train", val="val") == [
        "leak between train and val: the same picture, re-encoded or resized, as images/train/a.jpg"
    ]
    assert folder.duplicates("header", train="train", val="val") == []


def test_a_moved_object_makes_another_picture(folder: Folder) -> None:
    """Frames of a fixed camera have near hashes, but are not the same picture."""
    for n, left in enumerate((40, 150)):
        frame = picture(30)
        frame.paste((255, 255, 255), (left, 60, left + 30, 90))
        folder.add(f"train/frame{n}.jpg", frame, quality=95)
    survey = folder.survey()
    assert int(hamming(survey.phash[1:2], survey.phash[2])[0]) <= 16
    assert not list(find_copies(survey, Likeness(max_hash_distance=64)))


def test_flat_pictures_are_never_called_the_same(folder: Folder) -> None:
    for n, level in enumerate((0, 0, 128, 255)):
        folder.add(f"train/flat{n}.png", Image.new("RGB", (64 + n, 64), (level, level, level)))
    assert folder.duplicates() == []


A = "0 0.5 0.5 0.4 0.3\n"
B = "1 0.2 0.2 0.1 0.1\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (A + B, A + B),
        (A + B, "1 .20 .20 1e-1 0.10\r\n0 0.500 0.5 0.4 0.3"),
        (A, A + "\n\n"),
        (None, None),
        (None, ""),
        ("0 0.5 0.5 0 0\n", "0 0.50 0.5 0 0\n"),
    ],
)
def test_labels_that_agree(folder: Folder, first: str | None, second: str | None) -> None:
    folder.add("train/c1.jpg", picture(7), first)
    folder.add("train/c2.jpg", folder.bytes_of("train/c1.jpg"), second)
    assert folder.conflicts() == []


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (A + B, A, "1 box here, 2 boxes there, mean IoU 0.50"),
        (A, "1 0.5 0.5 0.4 0.3\n", "1 box here, 1 box there, mean IoU 0.00"),
        (A, "0 0.5 0.5 0.2 0.3\n", "1 box here, 1 box there, mean IoU 0.50"),
        (A, None, "no label file here, 1 box there"),
        (A, "", "0 boxes here, 1 box there"),
    ],
)
def test_labels_that_conflict(folder: Folder, first: str, second: str | None, words: str) -> None:
    folder.add("train/c1.jpg", picture(7), first)
    folder.add("train/c2.jpg", folder.bytes_of("train/c1.jpg"), second)
    prefix = "labels disagree with those of the same image images/train/c1.jpg: "
    assert folder.conflicts() == [prefix + words]


def test_rounding_in_a_resized_copy_is_no_conflict(folder: Folder) -> None:
    folder.add("train/c1.jpg", picture(7), "0 0.5 0.5 0.4 0.3\n")
    folder.add("train/c2.jpg", picture(7, (160, 120)), "0 0.502 0.5 0.4 0.302\n")
    assert len(folder.duplicates()) == 1
    assert folder.conflicts() == []


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], [], 1.0),
        ([[0, 0.5, 0.5, 0.2, 0.2]], [], 0.0),
        ([[0, 0.5, 0.5, 0.2, 0.2]], [[0, 0.5, 0.5, 0.2, 0.2]], 1.0),
        ([[0, 0.5, 0.5, 0.2, 0.2]], [[0, 0.6, 0.5, 0.2, 0.2]], 1 / 3),
        ([[0, 0.5, 0.5, 0.2, 0.2]], [[0, 0.6, 0.5, 0.2, 0.2], [0, 0.5, 0.5, 0.2, 0.2]], 0.5),
        ([[0, 0.5, 0.5, 0.2, 0.2]] * 2, [[0, 0.5, 0.5, 0.2, 0.2]], 0.5),
        ([[0, np.nan, 0.5, 0.2, 0.2]], [[0, 0.5, 0.5, 0.2, 0.2]], 0.0),
    ],
)
def test_best_match_iou(a: list[list[float]], b: list[list[float]], expected: float) -> None:
    sets = [np.array(rows, np.float64).reshape(-1, 5) for rows in (a, b)]
    assert best_match_iou(*sets) == pytest.approx(expected)
    assert best_match_iou(*reversed(sets)) == pytest.approx(expected)


def test_best_match_iou_of_crowds() -> None:
    boxes = np.column_stack([np.zeros(3000), np.random.default_rng(0).random((3000, 4))])
    assert best_match_iou(boxes, boxes[::-1]) == 1.0
    assert best_match_iou(boxes, boxes[:-1]) == 0.0


def test_hamming_counts_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.random.default_rng(0).integers(0, 2**64, (5, 1), np.uint64, endpoint=False)
    expected = [[(int(x) ^ int(y)).bit_count() for y in a[:, 0]] for x in a[:, 0]]
    assert hamming(a, a.T).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert hamming(a, a.T).tolist() == expected


@pytest.mark.parametrize(
    ("name", "n_images", "copies"),
    [("bccd", 364, []), ("neudet600", 600, [("patches_105.jpg", "patches_101.jpg")])],
)
def test_published_sets_have_only_their_known_copies(
    shared_data: Path, name: str, n_images: int, copies: list[tuple[str, str]]
) -> None:
    """bccd's blood smears look alike and are all different; neudet600 has one picture twice."""
    root = shared_data / name
    folders = sorted({p.parent for p in root.rglob("*") if p.suffix in {".jpg", ".jpeg"}})
    survey = survey_of(root, [split_of(f.name, f, f) for f in folders])
    assert survey.decoded.sum() == n_images

    def file_name(i: int) -> str:
        return os.path.basename(survey.image_path(i) or "")

    found = find_copies(survey, Likeness())
    assert [(file_name(c.index), file_name(c.original)) for c in found] == copies


@pytest.mark.parametrize(("change", "expected"), [({}, 1), ({"max_mean_difference": 0.0}, 0)])
def test_conflicts_are_judged_among_the_copies_that_the_user_wants_to_see(
    folder: Folder, change: dict[str, float], expected: int
) -> None:
    """What is set for D009 says which pictures are copies, even where D009 itself is not selected."""
    again = Image.open(folder.root / "images/train/a.jpg")
    folder.add("train/b.jpg", again, "1 0.2 0.2 0.1 0.1\n", quality=60)
    config = Config(select=("D010",), rules={"D009": RuleConfig(params=change)})
    found = scan(folder.root, config=config, images="decode", cache=False).findings
    assert [f.rule for f in found] == ["D010"] * expected
