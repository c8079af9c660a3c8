"""The benchmark's label errors: exactly the altered rows differ, and each kind is the error that it says it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

from injection.errors import KINDS, NAMES, SWAPPED, resembles, shift
from injection.inject import Truth, inject, read_injected
from injection.rows import InjectionError, Page, Row, iou

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT, CLASSES = 200, 120, 4
IMAGES = 80
EACH = 2  # a quarter of 80 images, by 8 kinds, rounded down


def write_set(folder: Path) -> Path:
    """A set with one to nine boxes an image, every third label file without a line end at its end."""
    random = np.random.default_rng(7)
    for split, count in (("train", IMAGES), ("val", 3)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for n in range(count):
            Image.new("RGB", (WIDTH, HEIGHT), (n, n, n)).save(folder / f"images/{split}/{n:03}.png")
            size = random.uniform(0.05, 0.4, (random.integers(1, 10), 2))
            centre = size / 2 + random.random(size.shape) * (1 - size)
            rows = [
                f"{random.integers(CLASSES)} {x} {y} {w:.3f} {h:.4f}"
                for (x, y), (w, h) in zip(centre.tolist(), size.tolist(), strict=True)
            ]
            end = "" if n % 3 == 0 else "\n"
            (folder / f"labels/{split}/{n:03}.txt").write_text("\n".join(rows) + end)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b, c, d]\n")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def copy(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies") / "injected"
    inject(str(source), str(folder), seed=3)
    return folder


@pytest.fixture(scope="module")
def truth(copy: Path) -> dict[str, Truth]:
    return read_injected(str(copy)).truth


def lines(folder: Path, image: str) -> list[str]:
    return (folder / image.replace("images", "labels")).with_suffix(".txt").read_text().splitlines()


def boxes(rows: list[str]) -> list[tuple[float, ...]]:
    return [tuple(map(float, row.split()[1:])) for row in rows]


def of_kind(truth: dict[str, Truth], kind: str) -> list[str]:
    return [image for image, t in truth.items() if t.kind == kind]


def numbers(rows: list[str], wanted: Callable[[int], bool]) -> list[str]:
    return [row for n, row in enumerate(rows, 1) if wanted(n)]


def test_every_kind_has_as_many_images_and_an_image_one_kind(truth: dict[str, Truth]) -> None:
    assert {kind: len(of_kind(truth, kind)) for kind in NAMES} == dict.fromkeys(NAMES, EACH)
    assert all(image.startswith("images/train/") for image in truth)


def test_other_images_and_val_keep_every_byte(source: Path, copy: Path, truth: dict[str, Truth]) -> None:
    files = [p for p in sorted(source.rglob("*")) if p.is_file() and p.name != "data.yaml"]
    assert len(files) == 2 * (IMAGES + 3)
    altered = {image.replace("images", "labels").replace(".png", ".txt") for image in truth}
    differ = {
        str(p.relative_to(source))
        for p in files
        if (copy / p.relative_to(source)).read_bytes() != p.read_bytes()
    }
    assert differ == altered


def test_exactly_the_altered_lines_differ(source: Path, copy: Path, truth: dict[str, Truth]) -> None:
    for image, t in truth.items():
        before, after = lines(source, image), lines(copy, image)
        if t.kind == SWAPPED:
            assert t.lines == list(range(1, len(after) + 1))
            continue
        kept = numbers(after, lambda n, t=t: n not in t.lines)  # type: ignore[misc]
        if t.removed:
            assert [row for row in before if boxes([row])[0] not in [tuple(b) for b in t.removed]] == kept
        else:
            replaced = [n for n in t.lines if n <= len(before)]
            assert kept == numbers(before, lambda n, r=replaced: n not in r)  # type: ignore[misc]
            assert all(after[n - 1] != before[n - 1] for n in replaced)
        assert max(t.lines, default=0) <= len(after)


def test_half_of_the_rows_are_altered(source: Path, copy: Path, truth: dict[str, Truth]) -> None:
    for kind in ("wrong class", "shifted box", "missing box", "second class on a box"):
        for image in of_kind(truth, kind):
            n_rows, t = len(lines(source, image)), truth[image]
            assert len(t.lines) + len(t.removed) == max(1, n_rows // 2)


def test_a_wrong_class_is_another_one_on_the_same_box(
    source: Path, copy: Path, truth: dict[str, Truth]
) -> None:
    for image in of_kind(truth, "wrong class"):
        for n in truth[image].lines:
            before, after = (lines(folder, image)[n - 1].split() for folder in (source, copy))
            assert before[1:] == after[1:]
            assert before[0] != after[0] and 0 <= int(after[0]) < CLASSES


def test_a_shifted_box_keeps_its_size_and_stays_inside(
    source: Path, copy: Path, truth: dict[str, Truth]
) -> None:
    for image in of_kind(truth, "shifted box"):
        for n in truth[image].lines:
            before, after = (lines(folder, image)[n - 1] for folder in (source, copy))
            (x, y, w, h), (x2, y2, w2, h2) = boxes([before])[0], boxes([after])[0]
            assert before.split()[0] == after.split()[0] and (w, h) == pytest.approx((w2, h2), abs=1e-6)
            assert 0.5 - 1e-3 <= np.hypot((x2 - x) / w, (y2 - y) / h) <= 1 + 1e-3
            assert min(x2 - w / 2, y2 - h / 2, 1 - x2 - w / 2, 1 - y2 - h / 2) >= -1e-5


def test_a_missing_box_leaves_at_least_one(copy: Path, truth: dict[str, Truth]) -> None:
    assert all(len(lines(copy, image)) >= 1 for image in of_kind(truth, "missing box"))
    assert all(truth[image].lines == [] for image in of_kind(truth, "missing box"))


def test_swapped_labels_go_round_and_do_not_fit(source: Path, copy: Path, truth: dict[str, Truth]) -> None:
    images = of_kind(truth, SWAPPED)
    before, after = ([lines(folder, image) for image in images] for folder in (source, copy))
    assert sorted(before) == sorted(after)
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_objects_without_a_fitting_row_are_known(source: Path, copy: Path, truth: dict[str, Truth]) -> None:
    for image, t in truth.items():
        before, after = (boxes(lines(folder, image)) for folder in (source, copy))
        uncovered = {tuple(box) for box in t.uncovered}
        if t.kind == "missing box":
            assert uncovered == {tuple(box) for box in t.removed}
        elif t.kind == "shifted box":
            assert uncovered == {before[n - 1] for n in t.lines}
        elif t.kind == SWAPPED:
            fits = (iou(before, after) >= 0.5).any(1).tolist()  # type: ignore[arg-type]
            assert uncovered == {box for box, fit in zip(before, fits, strict=True) if not fit}
        else:
            assert not uncovered


def test_added_boxes_are_what_their_kind_says(copy: Path, truth: dict[str, Truth]) -> None:
    for kind in ("aspect over 50", "full-image box", "tiny boxes"):
        for image in of_kind(truth, kind):
            added = boxes(numbers(lines(copy, image), lambda n, i=image: n in truth[i].lines))  # type: ignore[misc]
            sides = [sorted((w * WIDTH, h * HEIGHT)) for _, _, w, h in added]
            inside = [min(x - w / 2, y - h / 2, 1 - x - w / 2, 1 - y - h / 2) for x, y, w, h in added]
            assert min(inside) > -1e-5
            if kind == "aspect over 50":
                assert 1 <= len(added) <= 2 and all(b / a > 50 for a, b in sides)
            elif kind == "full-image box":
                assert added == [(0.5, 0.5, 1.0, 1.0)]
            else:
                assert 3 <= len(added) <= 5 and all(0.99 < a <= b < 2.01 for a, b in sides)


def test_a_second_class_stands_on_a_box_of_the_image(copy: Path, truth: dict[str, Truth]) -> None:
    for image in of_kind(truth, "second class on a box"):
        rows = lines(copy, image)
        first = [r for n, r in enumerate(rows, 1) if n not in truth[image].lines]
        for n in truth[image].lines:
            class_id, *box = rows[n - 1].split()
            assert any(r.split()[1:] == box and r.split()[0] != class_id for r in first)


def test_the_same_seed_gives_the_same_labels_and_another_does_not(source: Path, tmp_path: Path) -> None:
    inject(str(source), str(tmp_path / "a"), seed=3)
    inject(str(source), str(tmp_path / "b"), seed=3)
    inject(str(source), str(tmp_path / "c"), seed=4)
    a, b, c = ((tmp_path / name / "truth.json").read_text() for name in "abc")
    assert a == b != c
    for image in read_injected(str(tmp_path / "a")).truth:
        assert lines(tmp_path / "a", image) == lines(tmp_path / "b", image)


def test_the_copy_can_be_loaded_from_anywhere(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sanitizer.archives.finding import find_dataset

    monkeypatch.chdir(os.sep)
    dataset = find_dataset([str(copy / "data.yaml")])
    assert {s.name: len(s) for s in dataset.splits} == {"train": IMAGES, "val": 3}
    assert dict(dataset.names) == {0: "a", 1: "b", 2: "c", 3: "d"}


def test_a_set_that_is_too_small_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InjectionError, match=r"80 training images: a share of 0\.1 gives no two images"):
        inject(str(source), str(tmp_path / "out"), seed=0, share=0.1)


def test_a_kind_that_too_few_images_allow_is_refused(source: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    write_set(alone)
    for label in (alone / "labels/train").iterdir():
        label.write_text(label.read_text().splitlines()[0])
    with pytest.raises(InjectionError, match="missing box: only 0 images allow it, and 2 are wanted"):
        inject(str(alone), str(tmp_path / "out"), seed=0)


def test_polygon_rows_are_refused_with_their_place(tmp_path: Path) -> None:
    label = tmp_path / "a.txt"
    label.write_text("0 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    with pytest.raises(InjectionError, match=r"a\.txt:2: a row of a detection set"):
        Page.read(str(label), WIDTH, HEIGHT, CLASSES)


def page(*rows: tuple[int, tuple[float, float, float, float]]) -> Page:
    written = [Row(n, class_id, box) for n, (class_id, box) in enumerate(rows, 1)]
    return Page([f"{r.class_id} {r.box}" for r in written], written, WIDTH, HEIGHT, CLASSES)


def test_boxes_that_cannot_move_or_news_that_is_none_rule_a_kind_out() -> None:
    possible = {kind.name: kind.possible for kind in KINDS}
    large = page((0, (0.5, 0.5, 0.98, 0.96)))
    assert not possible["shifted box"](large)
    assert not possible["full-image box"](large)
    assert not possible["missing box"](large)
    assert possible["shifted box"](page((0, (0.5, 0.5, 0.2, 0.2))))
    assert not possible["wrong class"](page())


def test_labels_resemble_where_half_of_them_would_be_right() -> None:
    here = page((0, (0.3, 0.3, 0.2, 0.2)), (1, (0.7, 0.7, 0.2, 0.2)))
    assert resembles(here, page((0, (0.31, 0.3, 0.2, 0.2)), (1, (0.1, 0.1, 0.1, 0.1))))
    assert not resembles(here, page((1, (0.31, 0.3, 0.2, 0.2))))
    assert not resembles(here, page((0, (0.9, 0.9, 0.1, 0.1))))


def test_overlap_of_boxes() -> None:
    assert iou(
        [(0.5, 0.5, 0.2, 0.2)], [(0.5, 0.5, 0.2, 0.2), (0.6, 0.5, 0.2, 0.2), (0.9, 0.9, 0.1, 0.1)]
    ) == (pytest.approx(np.array([[1, 1 / 3, 0]])))


def test_a_shift_finds_the_only_side_with_room() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        x, y, *_ = shift((0.31, 0.5, 0.6, 1.0), random)
        assert 0.31 + 0.3 <= x <= 0.7 and y == 0.5
