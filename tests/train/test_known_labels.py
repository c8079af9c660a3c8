"""Pairs that training gets without Ultralytics' check: they are as the check would have them, and only plain ones."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from example_files import image_bytes

pytest.importorskip("ultralytics")

from sanitizer.train import known_labels
from sanitizer.train.known_labels import agrees, labels_read_ahead, read_known
from sanitizer.ultra.library import YOLODataset, dataset_module, img2label_paths

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.ultralytics

GOOD = "0 0.5 0.5 0.25 0.3\n"
PLAIN = {
    "one": GOOD,
    "many": f"{GOOD}2 0 1 0 1\n1 0.123456789012345678 1e-3 .5 0.3333333333\n",
    "no-last-line-end": GOOD.strip(),
    "blank-end": f"{GOOD}  \n\n",
    "crlf": GOOD.replace("\n", "\r\n") + "1 0.5 0.5 0.25 0.3\r\n",
    "same-box": f"{GOOD}1 0.5 0.5 0.25 0.3\n",
    "minus-zero": "0 -0.0 0.5 0.25 0.3\n",
    "empty": "",
}
ODD = {
    "twice": GOOD * 2,
    "twice-as-float32": f"{GOOD}0 0.500000001 0.5 0.25 0.3\n",
    "twice-but-for-the-sign-of-zero": "0 0 0.5 0.25 0.3\n0 -0.0 0.5 0.25 0.3\n",
    "blank-within": f"{GOOD} \n1 0.5 0.5 0.25 0.3\n",
    "blank": "\n \n",
    "mark": "\ufeff" + GOOD,
    "outside": "0 1.005 0.5 0.25 0.3\n",
    "far-outside": "0 1.5 0.5 0.25 0.3\n",
    "negative": "0 -0.005 0.5 0.25 0.3\n",
    "fraction": "0.5 0.5 0.5 0.25 0.3\n",
    "polygon": "0 0.1 0.1 0.2 0.1 0.2 0.2\n",
    "mixed": f"{GOOD}0 0.1 0.1 0.2 0.1 0.2 0.2\n",
    "six": "0 0.5 0.5 0.25 0.3 0.9\n",
    "word": "cat 0.5 0.5 0.25 0.3\n",
    "nan": "0 nan 0.5 0.25 0.3\n",
    "underscore": "0 0.5 0.5 0.2_5 0.3\n",
    "wide-digit": "0 0.5 0.5 0.2\uff15 0.3\n",
}
IMAGES = {
    "tail": "64x48 tail",
    "turned": "64x48 exif6",
    "tiny": "9x9",
    "cut": "64x48 truncated",
    "text": "64x48 text",
}


def build(folder: Path) -> tuple[list[str], list[str]]:
    """A folder of images with all of these labels: the paths of images and labels."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    specs = dict.fromkeys((*PLAIN, *ODD, "bare", "high-class"), "64x48") | IMAGES
    for name, spec in specs.items():
        (folder / f"images/{name}.jpg").write_bytes(image_bytes(spec, "jpeg"))
    (folder / "images/png.png").write_bytes(image_bytes("64x48 png", "png"))
    for name in (*IMAGES, "png"):
        (folder / f"labels/{name}.txt").write_text(GOOD)
    for name, text in {**PLAIN, **ODD, "high-class": "7 0.5 0.5 0.25 0.3\n"}.items():
        (folder / f"labels/{name}.txt").write_bytes(text.encode())
    images: list[Any] = sorted(map(str, (folder / "images").iterdir()))
    return images, img2label_paths(images)


def as_plain(value: Any) -> Any:
    """Arrays as what they hold to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: as_plain(v) for key, v in value.items()}
    return [as_plain(v) for v in value] if isinstance(value, list | tuple) else (type(value), value)


def test_what_is_known_is_what_the_check_says(tmp_path: Path) -> None:
    images, labels = build(tmp_path)
    known = read_known(images, labels)
    assert {image.rpartition("/")[2][:-4] for image, _ in known} == {*PLAIN, "bare", "high-class"}
    check: Any = dataset_module.verify_image_label  # type: ignore[attr-defined]
    for (image, label), pair in known.items():
        theirs = check((image, label, "", False, 80, 0, 0, False))
        assert as_plain(list(pair.answer(image))) == as_plain(list(theirs)), image
    assert agrees(check, known)


def test_another_answer_leaves_all_to_the_check(tmp_path: Path) -> None:
    images, labels = build(tmp_path)
    known = read_known(images, labels)
    check: Any = dataset_module.verify_image_label  # type: ignore[attr-defined]
    assert not agrees(lambda args: (*check(args)[:-1], "something new"), known)
    assert not agrees(lambda args: check(args)[:-1], known)


@pytest.mark.parametrize("single_cls", [False, True])
def test_a_dataset_is_the_same_and_only_odd_pairs_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single_cls: bool
) -> None:
    build(tmp_path / "set")
    shutil.copytree(tmp_path / "set", tmp_path / "first")
    data = {"names": {0: "a", 1: "b", 2: "c"}, "nc": 3, "channels": 3}

    def loaded(folder: Path) -> tuple[Any, Any]:
        """(labels of a dataset, what its cache file holds besides)."""
        dataset: Any = YOLODataset(
            str(folder / "images"), data=data, task="detect", augment=False, single_cls=single_cls
        )
        cache = np.load(folder / "labels.cache", allow_pickle=True).item()
        kept = as_plain({key: cache[key] for key in ("labels", "results", "version", "msgs")})
        return as_plain(dataset.labels), kept

    theirs = loaded(tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    shutil.move(tmp_path / "first", tmp_path / "set")
    checked: list[str] = []
    check: Any = dataset_module.verify_image_label  # type: ignore[attr-defined]

    def noting(args: Any) -> Any:
        checked.append(args[0].rpartition("/")[2][:-4])
        return check(args)

    monkeypatch.setattr(dataset_module, "verify_image_label", noting)
    monkeypatch.setattr(known_labels, "_FEWEST_PAIRS", 1)
    monkeypatch.setattr(known_labels, "agrees", lambda *_: True)
    with labels_read_ahead():
        ours = loaded(tmp_path / "set")
    assert ours == theirs
    assert sorted(checked) == sorted({*ODD, *IMAGES, "png", *([] if single_cls else ["high-class"])})
    assert dataset_module.verify_image_label is noting  # type: ignore[attr-defined]
