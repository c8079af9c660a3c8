"""What `find_dataset` finds behind a path, and what it says when that is not what training would find."""

from __future__ import annotations

import errno
import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strange_files import STRANGE, put, within

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset import listing as listing_module
from sanitizer.dataset.listing import image_folder, label_folder
from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.places.partners import are_partners
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import DatasetFault

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
YAML = "train: images/train\nval: images/val\nnames: [a, b]\n"
PAIRS = (
    "images/train/a.jpg", "labels/train/a.txt", "images/train/b.png", "labels/train/b.txt",
    "images/val/c.jpg", "labels/val/c.txt",
)  # fmt: skip


def make(folder: Path, files: Sequence[str] = PAIRS, **texts: str) -> Path:
    """Touch files; `yaml=` writes data.yaml, other keywords write a file of that name with a .txt ending."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name, text in texts.items():
        (folder / ("data.yaml" if name == "yaml" else f"{name}.txt")).write_text(text)
    return folder


def find(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    return find_dataset([str(path)], splits)


def pairs(dataset: Dataset) -> dict[str, list[tuple[str | None, str | None]]]:
    """Split name to (image, label), relative to the root."""
    return {
        chunk.split: [
            (dataset.relative(i), dataset.relative(lb))
            for i, lb in zip(chunk.images, chunk.labels, strict=True)
        ]
        for chunk in (split.chunk(0, len(split)) for split in dataset.splits)
    }


def sizes(dataset: Dataset) -> dict[str, int]:
    return {split.name: len(split) for split in dataset.splits}


@given(
    images=st.lists(st.text("ab-.\n", max_size=3).map(lambda stem: f"{stem}x.jpg"), max_size=4, unique=True),
    labels=st.lists(st.text("ab-.\n", max_size=3).map(lambda stem: f"{stem}x.txt"), max_size=4, unique=True),
    other=st.sampled_from(["", "png", "JPG"]),
)
def test_partners_are_files_of_the_same_stems(images: list[str], labels: list[str], other: str) -> None:
    if other and images:
        images[0] = f"{images[0][:-3]}{other}"
    stems, wanted = {name[:-4] for name in images}, {name[:-4] for name in labels}
    if are_partners(sorted(images), labels):
        assert stems == wanted
    elif images and len({name[-3:] for name in images}) == 1 and "\n" not in "".join(images):
        assert stems != wanted


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ((), {}),
        (("labels/train/c.txt",), {"D007": ["no image of this name"]}),
        (("images/train/c.jpg",), {"D006": ["no label file of this name"]}),
        (("images/train/c.png", "labels/train/c.txt"), {}),
        (("labels/train/c.TXT", "labels/train/d.TXT"), {"D007": ["no image of this name"] * 2}),
        (("images/train/c.jpg", "labels/train/c.TXT"), {"L009": ["does not find c.TXT"]}),
    ],
)
def test_what_stands_beside_complete_pairs_is_told(
    tmp_path: Path, extra: Sequence[str], expected: Mapping[str, Sequence[str]]
) -> None:
    complete = [f"{kind}/train/{stem}" for stem in "ab" for kind in ("images", "labels")]
    names = [f"{path}.{'jpg' if path.startswith('images') else 'txt'}" for path in complete]
    make(tmp_path, [*names, *extra, "images/val/v.jpg", "labels/val/v.txt"], yaml=YAML)
    told = [(f.rule, f.values["detail"]) for f in find(tmp_path).faults]
    wanted = [(rule, text) for rule, texts in expected.items() for text in texts]
    assert len(told) == len(wanted)
    assert all(
        rule == told_rule and text in said
        for (rule, text), (told_rule, said) in zip(wanted, told, strict=True)
    )


def faults(dataset: Dataset, *rules: str) -> list[DatasetFault]:
    return [f for f in dataset.faults if not rules or f.rule in rules]


def detail(fault: DatasetFault) -> str:
    return str(fault.values["detail"])


def test_a_yaml_in_order_has_pairs_and_no_fault(tmp_path: Path) -> None:
    dataset = find(make(tmp_path, yaml=YAML) / "data.yaml")
    assert pairs(dataset) == {
        "train": [("images/train/a.jpg", "labels/train/a.txt"), ("images/train/b.png", "labels/train/b.txt")],
        "val": [("images/val/c.jpg", "labels/val/c.txt")],
    }
    assert (dataset.nc, dataset.names, dataset.root) == (2, {0: "a", 1: "b"}, str(tmp_path))
    assert (dataset.faults, dataset.files_only, dataset.declared_task) == ([], False, None)


@pytest.mark.parametrize(
    ("more", "task"),
    [
        ("task: obb\n", "obb"),
        ("task: Segment\n", "segment"),
        ("task:\n", None),
        ("kpt_shape: [3, 3]\n", "pose"),
    ],
)
def test_declared_task(tmp_path: Path, more: str, task: str | None) -> None:
    assert find(make(tmp_path, yaml=YAML + more) / "data.yaml").declared_task == task


@pytest.mark.parametrize(
    ("image_dir", "labels"),
    [
        ("/d/images/train", "/d/labels/train"),
        ("/d/images", "/d/labels"),
        ("/d/images/images/x", "/d/images/labels/x"),
        ("/d/train/images", "/d/train/labels"),
        ("/d/obj", "/d/obj"),
        ("/d/myimages/x", "/d/myimages/x"),
    ],
)
def test_the_last_images_folder_becomes_labels(image_dir: str, labels: str) -> None:
    assert label_folder(image_dir) == labels
    assert image_folder(labels) == image_dir


# --- layouts without yaml ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("train/images/a.jpg", "train/labels/a.txt", "valid/images/b.jpg"), {"train": 1, "val": 1}),
        (("images/train/a.jpg", "images/test/b.jpg", "labels/train/a.txt"), {"train": 1, "test": 1}),
        (("train/a.jpg", "train/a.txt", "val/b.jpg"), {"train": 1, "val": 1}),
        (("images/a.jpg", "labels/a.txt"), {"": 1}),
        (("a.jpg", "a.txt", "classes.txt"), {"": 1}),
        (("deep/er/a.jpg", "deep/er/a.txt"), {"": 1}),
        (("labels/a.txt", "labels/b.txt"), {"": 2}),
        (("labels/train/a.txt", "labels/val/b.txt"), {"train": 1, "val": 1}),
        (("a.txt", "sub/b.txt"), {"": 2}),
    ],
)
def test_a_folder_without_yaml_is_read_by_its_look(
    tmp_path: Path, files: tuple[str, ...], expected: dict[str, int]
) -> None:
    dataset = find(make(tmp_path, files))
    assert sizes(dataset) == expected
    (note,) = faults(dataset, "D001")
    assert (note.severity, "no data.yaml" in detail(note)) == (INFO, True)
    assert (dataset.nc, dataset.yaml_path) == (None, None)


def test_labels_alone_are_judged_without_images_and_with_one_note(tmp_path: Path) -> None:
    dataset = find(make(tmp_path, ("labels/a.txt", "labels/b.txt", "labels/README.txt")))
    assert pairs(dataset) == {"": [(None, "labels/a.txt"), (None, "labels/b.txt")]}
    (note,) = faults(dataset, "D007")
    assert (note.severity, "2 label files in labels" in detail(note)) == (INFO, True)


def test_a_labels_folder_finds_its_images_and_the_yaml_above(tmp_path: Path) -> None:
    make(tmp_path, yaml=YAML)
    dataset = find(tmp_path / "labels" / "train")
    assert (sizes(dataset), dataset.nc, faults(dataset)) == ({"": 2}, 2, [])


def test_darknet_lists_and_names(tmp_path: Path) -> None:
    make(tmp_path, ("obj_train_data/a.jpg", "obj_train_data/a.txt", "obj_train_data/b.jpg"))
    (tmp_path / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\nvalid = data/nothing.txt\n"
    )
    (tmp_path / "obj.names").write_text("ship\nbuoy\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n")
    for path in (tmp_path, tmp_path / "obj.data"):
        dataset = find(path)
        assert pairs(dataset) == {
            "train": [("obj_train_data/a.jpg", "obj_train_data/a.txt"), ("obj_train_data/b.jpg", None)]
        }
        assert (dataset.nc, dataset.names) == (2, {0: "ship", 1: "buoy"})
        assert [f.rule for f in faults(dataset)] == ["D001", "D006"]


def test_classes_txt_names_the_classes_of_a_flat_folder(tmp_path: Path) -> None:
    make(tmp_path, ("a.jpg", "a.txt"), classes="ship\nbuoy\n")
    assert find(tmp_path).names == {0: "ship", 1: "buoy"}


@pytest.mark.parametrize(
    ("texts", "chosen", "n_faults"),
    [
        ({"data.yaml": YAML, "other.yaml": YAML}, "data.yaml", 0),
        ({"set.yaml": YAML, "a.yaml": YAML}, "set.yaml", 0),
        ({"b.yaml": YAML, "a.yaml": YAML}, "a.yaml", 1),
        ({"data.yaml": YAML, "sanitize.yaml": "rules: {names: 1}"}, "data.yaml", 0),
        ({"model.yaml": "nc: 3\nbackbone: []\n", "boats.yml": YAML}, "boats.yml", 0),
        ({"sub/boats.yaml": YAML.replace(" images", " ../images")}, "sub/boats.yaml", 0),
    ],
)
def test_the_yaml_of_a_folder(tmp_path: Path, texts: Mapping[str, str], chosen: str, n_faults: int) -> None:
    folder = make(tmp_path / "set")
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    dataset = find(folder)
    assert dataset.yaml_path == str(folder / chosen)
    assert len(faults(dataset, "D001")) == n_faults
    assert sizes(dataset) == {"train": 2, "val": 1}


def test_a_broken_yaml_does_not_stop_the_scan(tmp_path: Path) -> None:
    dataset = find(make(tmp_path, yaml="train: [images\n") / "data.yaml")
    assert (sizes(dataset), dataset.nc) == ({"train": 2, "val": 1}, None)
    assert [f.rule for f in dataset.faults] == ["D001"]


# --- paths of a data.yaml ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yaml", "severity", "line", "words", "expected"),
    [
        (
            "train: images/train\nval: valid\n",
            ERROR,
            2,
            "Found images/val (1 image) instead",
            {"train": 2, "val": 1},
        ),
        ("train: images/train\n", ERROR, 1, "the key `val:` is missing", {"train": 2, "val": 1}),
        ("train: images/train\nval:\n", ERROR, 2, "`val:` is empty", {"train": 2, "val": 1}),
        (
            "train: images/train\nval: images/val\ntest: t\n",
            WARNING,
            3,
            "does not exist",
            {"train": 2, "val": 1},
        ),
        ("train: images/train\nval: labels/val\n", ERROR, 2, "holds no image", {"train": 2, "val": 1}),
        (
            "train: images/train\nval: images/val/c.jpg\n",
            ERROR,
            2,
            "neither a folder nor",
            {"train": 2, "val": 0},
        ),
        (
            "path: /no/such\ntrain: images/train\nval: images/val\n",
            ERROR,
            1,
            "on this machine",
            {"train": 2, "val": 1},
        ),
        (
            "path: .\ntrain: images/train\nval: images/val\n",
            WARNING,
            1,
            "training is started",
            {"train": 2, "val": 1},
        ),
        (
            "train: [images/train, x]\nval: images/val\n",
            ERROR,
            1,
            "`train: x` does not exist",
            {"train": 2, "val": 1},
        ),
        (
            "train: [images/train, images/train]\nval: images/val\n",
            WARNING,
            1,
            "twice",
            {"train": 2, "val": 1},
        ),
    ],
)
def test_paths_that_do_not_resolve(
    tmp_path: Path, yaml: str, severity: Severity, line: int, words: str, expected: dict[str, int]
) -> None:
    dataset = find(make(tmp_path, yaml=f"{yaml}names: [a]\n") / "data.yaml")
    (fault,) = faults(dataset, "D002")
    assert (fault.severity, fault.line, fault.file) == (severity, line, str(tmp_path / "data.yaml"))
    assert words in detail(fault)
    assert sizes(dataset) == expected


def test_two_likely_folders_are_named_and_none_is_scanned(tmp_path: Path) -> None:
    make(tmp_path, (*PAIRS, "valid/images/d.jpg"), yaml="train: images/train\nval: nowhere\nnames: [a]\n")
    dataset = find(tmp_path / "data.yaml")
    (fault,) = faults(dataset, "D002")
    assert "could be one of images/val (1 image), valid/images (1 image)" in detail(fault)
    assert sizes(dataset) == {"train": 2}


def test_a_folder_that_is_another_split_is_no_guess(tmp_path: Path) -> None:
    make(tmp_path, ("val/a.jpg",), yaml="train: val\nval: nowhere\nnames: [a]\n")
    dataset = find(tmp_path / "data.yaml")
    assert sizes(dataset) == {"train": 1}
    assert "Found" not in detail(faults(dataset, "D002")[0])


def test_path_is_taken_from_the_folder_training_starts_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, yaml=f"path: .\n{YAML}")
    monkeypatch.chdir(tmp_path)
    assert faults(find_dataset(["data.yaml"])) == []


def test_path_is_taken_from_the_datasets_folder_of_ultralytics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "sets" / "boats")
    (tmp_path / "Ultralytics").mkdir()
    (tmp_path / "Ultralytics" / "settings.json").write_text(f'{{"datasets_dir": "{tmp_path / "sets"}"}}')
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    (tmp_path / "my.yaml").write_text(f"path: boats\n{YAML}")
    dataset = find(tmp_path / "my.yaml")
    assert (sizes(dataset), dataset.root) == ({"train": 2, "val": 1}, str(tmp_path / "sets" / "boats"))
    assert faults(dataset) == []


def test_a_folder_that_cannot_be_listed_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, yaml=YAML)

    def refuse(real: Any, path: str) -> Any:
        if path.endswith("images/val"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    with monkeypatch.context() as refusing:
        for function in ("listdir", "scandir"):
            refusing.setattr(listing_module.os, function, partial(refuse, getattr(os, function)))
        dataset = find(tmp_path / "data.yaml")
    assert any(
        "images/val cannot be listed (Permission denied)" in detail(f) for f in faults(dataset, "D002")
    )
    assert sizes(dataset)["train"] == 2


@pytest.mark.parametrize("value", ["https://example.com/train", "ul://me/datasets/x"])
def test_a_url_as_path_is_an_error_and_not_fetched(tmp_path: Path, value: str) -> None:
    dataset = find(make(tmp_path, yaml=f"train: {value}\nval: images/val\nnames: [a]\n") / "data.yaml")
    (fault,) = faults(dataset)
    assert (fault.rule, fault.severity, fault.line) == ("D004", ERROR, 1)


@pytest.mark.parametrize("links", [False, True])
def test_paths_that_leave_the_dataset(tmp_path: Path, links: bool) -> None:
    make(tmp_path / "elsewhere", ("images/x.jpg", "labels/x.txt"))
    folder = make(tmp_path / "set", ("images/val/c.jpg", "labels/val/c.txt"))
    (folder / "images" / "train").symlink_to(tmp_path / "elsewhere" / "images")
    source = "images/train" if links else "../elsewhere/images"
    (folder / "data.yaml").write_text(f"train: {source}\nval: images/val\nnames: [a]\n")
    (fault,) = faults(find(folder / "data.yaml"))
    assert (fault.rule, fault.severity, fault.line) == ("D005", None, 1)
    assert "`train:` leads to ../elsewhere/images" in detail(fault)
    assert ("through a link" in detail(fault)) == links


def test_a_link_below_the_images_that_leaves_the_dataset(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", ("x.jpg", "x.txt"))
    folder = make(tmp_path / "set", yaml=YAML)
    (folder / "images" / "train" / "more").symlink_to(tmp_path / "elsewhere")
    dataset = find(folder / "data.yaml")
    (fault,) = faults(dataset, "D005")
    assert "images/train/more is a link to ../elsewhere" in detail(fault)
    assert ("images/train/more/x.jpg", None) in pairs(dataset)["train"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    folder = make(tmp_path, yaml=YAML)
    (folder / "images" / "train" / "again").symlink_to(folder / "images" / "train")
    (folder / "images" / "train" / "up").symlink_to("..")
    (folder / "images" / "val" / "self").symlink_to("self")
    dataset = find(folder / "data.yaml")
    # `up` leads to images, in which train is a parent of the walk but val is not.
    images = [i for i, _ in pairs(dataset)["train"]]
    assert images == ["images/train/a.jpg", "images/train/b.png", "images/train/up/val/c.jpg"]


def test_links_to_and_fro_are_followed_a_thousand_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_module, "MAX_LINKED_FOLDERS", 20)
    folder = make(tmp_path, [f"images/train/{i}/{i}.jpg" for i in range(8)] + ["images/val/a.jpg"], yaml=YAML)
    for i in range(8):
        for j in set(range(8)) - {i}:
            (folder / f"images/train/{i}/to{j}").symlink_to(f"../{j}")
    assert any("links to folders without end" in detail(f) for f in faults(find(folder), "D002"))


# --- lists ------------------------------------------------------------------------------------------------


def test_a_list_is_read_as_training_reads_it(tmp_path: Path) -> None:
    absolute = tmp_path / "images" / "val" / "c.jpg"
    make(tmp_path, yaml="train: train.txt\nval: images/val\nnames: [a]\n")
    (tmp_path / "train.txt").write_text(
        f"\ufeff\n./images/train/b.png\r\n./images/train/gone.jpg\n{absolute}\n\n", encoding="utf-8"
    )
    dataset = find(tmp_path / "data.yaml")
    assert pairs(dataset)["train"] == [
        ("images/train/b.png", "labels/train/b.txt"),
        ("images/train/gone.jpg", None),
        ("images/val/c.jpg", "labels/val/c.txt"),
    ]
    assert Counter(f.rule for f in dataset.faults) == {"D006": 1, "D009": 1}


@pytest.mark.parametrize(
    ("text", "severity", "line", "words"),
    [
        ("", ERROR, 1, "names no image"),
        ("./images/train/a.jpg\n\n./movie.gif\n", WARNING, 3, "1 line such as ./movie.gif"),
        ("\n\nimages/train/a.jpg\nimages/train/b.png\n", WARNING, 3, "2 lines such as images/train/a.jpg"),
    ],
)
def test_lines_of_a_list_that_training_takes_otherwise(
    tmp_path: Path, text: str, severity: Severity, line: int, words: str
) -> None:
    make(tmp_path, yaml="train: train.txt\nval: images/val\nnames: [a]\n", train=text)
    (fault,) = faults(find(tmp_path / "data.yaml"))
    assert (fault.rule, fault.severity, fault.line) == ("D002", severity, line)
    assert fault.file == str(tmp_path / "train.txt")
    assert words in detail(fault)


def test_a_line_that_begins_with_images_finds_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, yaml="train: train.txt\nval: images/val\nnames: [a]\n", train="images/train/a.jpg\n")
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(["data.yaml"])
    assert pairs(dataset)["train"] == [("images/train/a.jpg", None)]
    assert [f.rule for f in dataset.faults] == ["D002", "D006"]
    assert "looking for labels" in detail(dataset.faults[0]) or "labels beside the images" in detail(
        dataset.faults[0]
    )


@pytest.mark.parametrize("names", [("gone", "i1", "i2"), ("i1", "gone", "i2")])
@pytest.mark.parametrize("folder", ["flat/", ""])
def test_each_line_of_a_list_is_judged_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str], folder: str
) -> None:
    """Training, started here, takes i1.jpg and i2.jpg and leaves out gone.jpg alone."""
    lines = "".join(f"{folder}{name}.jpg\n" for name in names)
    files = [f"{folder}{name}" for name in ("i1.jpg", "i1.txt", "i2.jpg", "i2.txt")]
    make(tmp_path, [*files, *PAIRS], yaml="train: train.txt\nval: images/val\nnames: [a]\n", train=lines)
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(["data.yaml"])
    assert pairs(dataset)["train"] == [
        (f"{folder}gone.jpg", None),
        (f"{folder}i1.jpg", f"{folder}i1.txt"),
        (f"{folder}i2.jpg", f"{folder}i2.txt"),
    ]
    assert [f.rule for f in dataset.faults if f.rule != "D006"] == ([] if folder else ["D002"])


@pytest.mark.parametrize(
    ("lines", "stops"),
    [
        ("a.jpg\n", True),
        ("b.jpg\na.jpg\n", True),
        ("z.jpg\nflat/a.jpg\n", False),
        ("./z.jpg\na.jpg\n", False),
    ],
)
def test_a_list_whose_first_name_has_no_folder_stops_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, stops: bool
) -> None:
    files = ("a.jpg", "b.jpg", "z.jpg", "flat/a.jpg", *PAIRS)
    make(tmp_path, files, yaml="train: train.txt\nval: images/val\nnames: [a]\n", train=lines)
    monkeypatch.chdir(tmp_path)
    found = [f for f in faults(find_dataset(["data.yaml"]), "D002") if "without a folder" in detail(f)]
    assert [f.severity for f in found] == ([ERROR] if stops else [])


def test_lines_of_one_folder_that_training_finds_here_and_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "flat/a.jpg\nflat/b.jpg\nflat/c.jpg\n"
    files = ("flat/b.jpg", "flat/b.txt", "flat/c.jpg", "flat/c.txt", *PAIRS)
    make(tmp_path / "set", files, yaml="train: train.txt\nval: images/val\nnames: [a]\n", train=lines)
    make(tmp_path, ("flat/a.jpg", "flat/a.txt"))
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(["set/data.yaml"])
    assert pairs(dataset)["train"] == [
        ("../flat/a.jpg", "../flat/a.txt"), ("flat/b.jpg", "flat/b.txt"), ("flat/c.jpg", "flat/c.txt")
    ]  # fmt: skip
    (fault,) = faults(dataset, "D002")
    assert (fault.line, "2 lines such as flat/b.jpg" in detail(fault)) == (2, True)


@pytest.mark.parametrize("content", [b"\xff\xfe./\x00", b"./caf\xe9.jpg\n"])
def test_a_list_that_is_not_utf8(tmp_path: Path, content: bytes) -> None:
    make(tmp_path, yaml="train: train.txt\nval: images/val\nnames: [a]\n")
    (tmp_path / "train.txt").write_bytes(content)
    (fault,) = faults(find(tmp_path / "data.yaml"))
    assert (fault.rule, "is not UTF-8 text" in detail(fault)) == ("D002", True)


def test_labels_of_images_that_no_list_names_are_no_orphans(tmp_path: Path) -> None:
    make(tmp_path, yaml="train: train.txt\nval: images/val\nnames: [a]\n", train="./images/train/a.jpg\n")
    dataset = find(make(tmp_path, ("labels/train/lost.txt",)) / "data.yaml")
    assert [dataset.relative(f.label) for f in faults(dataset)] == ["labels/train/lost.txt"]


# --- partners ---------------------------------------------------------------------------------------------


def test_images_and_labels_without_partner(tmp_path: Path) -> None:
    make(tmp_path, yaml=YAML)
    (tmp_path / "labels/train/b.txt").unlink()
    make(
        tmp_path,
        ("labels/train/x.txt", "labels/val/deeper/y.txt", "labels/val/classes.txt", "labels/val/._c.txt"),
    )
    dataset = find(tmp_path / "data.yaml")
    assert [
        (f.rule, dataset.relative(f.image), dataset.relative(f.label), f.split) for f in dataset.faults
    ] == [
        ("D006", "images/train/b.png", None, "train"),
        ("D007", None, "labels/train/x.txt", "train"),
        ("D007", None, "labels/val/deeper/y.txt", "val"),
    ]
    assert pairs(dataset)["train"][2] == (None, "labels/train/x.txt")
    assert pairs(dataset)["val"][1] == (None, "labels/val/deeper/y.txt")
    assert "in labels/train:" in detail(dataset.faults[0])


def test_orphans_beside_images_in_a_flat_folder(tmp_path: Path) -> None:
    make(tmp_path, ("obj/a.jpg", "obj/a.txt", "obj/7.txt", "obj/README.txt", "obj/train.txt"))
    (tmp_path / "data.yaml").write_text("train: obj\nval: obj\nnames: [a]\n")
    dataset = find(tmp_path / "data.yaml")
    assert [dataset.relative(f.label) for f in faults(dataset, "D007")] == ["obj/7.txt"]
    assert [s.has_image.tolist() for s in dataset.splits] == [[True, False], [True]]


@pytest.mark.parametrize(
    ("label", "rules", "words"),
    [
        ("a.TXT", ["L009"], "does not find a.TXT"),
        ("a.Txt", ["L009"], "does not find a.Txt"),
        ("A.txt", ["D006"], "A.txt differs in upper and lower case only"),
        ("b.TXT", ["D006", "D007"], "no label file"),
    ],
)
def test_labels_that_a_name_hides(tmp_path: Path, label: str, rules: list[str], words: str) -> None:
    files = ("images/train/a.JPG", f"labels/train/{label}", "images/val/c.jpg", "labels/val/c.txt")
    make(tmp_path, ("images/train/z.jpg", "labels/train/z.txt"))
    dataset = find(make(tmp_path, files, yaml=YAML) / "data.yaml")
    assert [f.rule for f in dataset.faults] == rules
    assert words in detail(dataset.faults[0])
    assert pairs(dataset)["train"][0] == ("images/train/a.JPG", None)
    if rules == ["L009"]:
        (fault,) = dataset.faults
        assert fault.severity is WARNING
        assert fault.values["problem"] == fault.values["detail"]


def test_images_that_share_a_label(tmp_path: Path) -> None:
    dataset = find(
        make(tmp_path, (*PAIRS, "images/train/a.png", "images/train/a.bmp"), yaml=YAML) / "data.yaml"
    )
    assert [(f.rule, dataset.relative(f.image), dataset.relative(f.label)) for f in dataset.faults] == [
        ("D008", "images/train/a.jpg", "labels/train/a.txt"),
        ("D008", "images/train/a.png", "labels/train/a.txt"),
    ]
    assert detail(dataset.faults[0]).startswith("a.jpg and a.bmp share one label file, labels/train/a.txt")


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: images\nval: images\n", "train and val are the same 3 images (images)"),
        ("train: images\nval: images/val\n", "train and val have 1 image in common"),
        (
            "train: images/train\nval: images/val\ntest: images/val\n",
            "val and test are the same 1 image (images/val)",
        ),
    ],
)
def test_splits_that_share_images(tmp_path: Path, yaml: str, words: str) -> None:
    (fault,) = faults(find(make(tmp_path, yaml=f"{yaml}names: [a]\n") / "data.yaml"))
    assert fault.rule == "D009"
    assert words in detail(fault)


def test_a_folder_in_two_splits_has_its_faults_once(tmp_path: Path) -> None:
    make(tmp_path, ("images/a.jpg", "images/a.png", "images/b.jpg", "labels/a.txt", "labels/z.txt"))
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    counts = Counter(f.rule for f in find(tmp_path / "data.yaml").faults)
    assert counts == {"D006": 1, "D007": 1, "D008": 1, "D009": 1}


def test_a_train_split_without_any_label_stops_training(tmp_path: Path) -> None:
    make(tmp_path, ("images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"), yaml=YAML)
    found = faults(find(tmp_path))
    assert [(f.rule, f.severity, f.split) for f in found] == [
        ("D006", ERROR, "train"),
        ("D006", None, "val"),
    ]
    assert "none of the 2 images of train has a label file; training stops here" in detail(found[0])


def test_labels_that_lie_where_training_does_not_look(tmp_path: Path) -> None:
    make(
        tmp_path,
        (
            "imgs/train/a.jpg",
            "imgs/train/b.jpg",
            "labels/train/a.txt",
            "images/val/c.jpg",
            "labels/val/c.txt",
        ),
    )
    (tmp_path / "data.yaml").write_text("train: imgs/train\nval: images/val\nnames: [a]\n")
    (fault,) = faults(find(tmp_path / "data.yaml"))
    assert (fault.rule, fault.severity) == ("D006", ERROR)
    assert "all 2 images of train" in detail(fault)
    assert "labels are in labels/train" in detail(fault)


# --- caches -----------------------------------------------------------------------------------------------


class Bait:
    """Pickles to a call that leaves a trace: loading it would show."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    ("content", "age_s", "severity", "words"),
    [
        ("{root}/images/train/a.jpg", 10, WARNING, "older than labels/train/a.txt"),
        ("{root}/images/train/a.jpg", -10, INFO, "of an earlier training"),
        ("/home/someone/images/train/a.jpg", -10, WARNING, "from elsewhere"),
    ],
)
def test_label_caches_are_judged_by_age_and_paths_and_never_loaded(
    tmp_path: Path, content: str, age_s: int, severity: Severity, words: str
) -> None:
    import pickle

    make(tmp_path, yaml=YAML)
    cache = tmp_path / "labels" / "train.cache"
    cache.write_bytes(pickle.dumps([content.format(root=tmp_path), Bait(tmp_path / "trace")]))
    label = (tmp_path / "labels/train/a.txt").stat()
    os.utime(cache, (label.st_mtime - age_s,) * 2)
    for name in ("b", "a"):
        os.utime(tmp_path / f"labels/train/{name}.txt", (label.st_mtime,) * 2)
    (fault,) = faults(find(tmp_path / "data.yaml"))
    assert (fault.rule, fault.severity, fault.file) == ("D011", severity, str(cache))
    assert words in detail(fault)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["train.cache", "train.cache.cache", "other.cache"])
@pytest.mark.parametrize("kind", [kind for kind in STRANGE if kind != "gone"])
def test_what_is_called_a_label_cache_and_is_no_file_neither_hangs_nor_ends_the_scan(
    tmp_path: Path, kind: str, name: str
) -> None:
    make(tmp_path, yaml=YAML)
    cache = tmp_path / "labels" / name
    put(kind, cache)
    with within(10):
        (fault,) = faults(find(tmp_path / "data.yaml"))
    assert (fault.rule, fault.severity, fault.file) == ("D011", Severity.WARNING, str(cache))
    words = {
        "link loop": "cannot be read",
        "link to nowhere": "cannot be read",
        "sparse file of 64 GB": "from elsewhere",
    }
    assert words.get(kind, "is no file but a folder, pipe or device") in detail(fault)


def test_a_label_cache_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, yaml=YAML)
    cache = tmp_path / "labels" / "train.cache"
    cache.write_bytes(b"x")
    real = os.open

    def refuse(path: object, *args: object, **options: object) -> int:  # as root every file can be read
        if path == str(cache):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    (fault,) = faults(find(tmp_path / "data.yaml"))
    assert "cannot be read (Permission denied)" in detail(fault)


# --- single files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["labels/train/a.txt"], [("images/train/a.jpg", "labels/train/a.txt")]),
        (["images/train/a.jpg"], [("images/train/a.jpg", "labels/train/a.txt")]),
        (["images/train/a.jpg", "labels/train/a.txt"], [("images/train/a.jpg", "labels/train/a.txt")]),
        (["labels/train/a.txt", "images/train/a.jpg"], [("images/train/a.jpg", "labels/train/a.txt")]),
        (["labels/train/odd.txt"], [("images/train/odd.Jp2", "labels/train/odd.txt")]),
        (["labels/train/lone.txt"], [(None, "labels/train/lone.txt")]),
        (["images/train/new.png"], [("images/train/new.png", None)]),
        (["flat/f.txt", "README.md"], [("flat/f.png", "flat/f.txt")]),
        (["labels/train/a.txt", "data.yaml"], [("images/train/a.jpg", "labels/train/a.txt")]),
    ],
)
def test_files_given_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], expected: list[Any]
) -> None:
    more = ("images/train/odd.Jp2", "labels/train/odd.txt", "labels/train/lone.txt", "images/train/new.png")
    make(tmp_path, (*PAIRS, *more, "flat/f.png", "flat/f.txt", "README.md"), yaml=f"{YAML}task: segment\n")
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(given)
    assert pairs(dataset) == {"": expected}
    assert (dataset.files_only, dataset.root, dataset.nc, dataset.declared_task) == (
        True,
        str(tmp_path),
        2,
        "segment",
    )
    assert [f.rule for f in dataset.faults] == ["D006"] * (expected[0][1] is None)


def test_files_without_a_yaml_above(tmp_path: Path) -> None:
    make(tmp_path, (".git/HEAD", *PAIRS))
    dataset = find_dataset([str(tmp_path / "labels/train/a.txt"), str(tmp_path / "images/val/c.jpg")])
    assert (dataset.root, dataset.nc, dataset.yaml_path) == (str(tmp_path), None, None)
    assert len(dataset) == 2


def test_a_faulty_yaml_above_is_reported_with_the_files(tmp_path: Path) -> None:
    make(tmp_path, yaml="names: [a, b]\nnc: 3\n")
    dataset = find_dataset([str(tmp_path / "labels/train/a.txt")])
    assert [(f.rule, f.line) for f in dataset.faults] == [("D003", 2)]


# --- odd names, wanted splits, nothing at all -------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a b", "two\nlines", "🚢 ship", "caf\udce9", "a.b.c", "100%{x}", "-rf", "[x]*?"]
)
def test_any_name_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    files = (f"images/train/{name}.jpg", f"labels/train/{name}.txt", f"images/val/{name}.png")
    dataset = find(make(tmp_path, files, yaml=YAML) / "data.yaml")
    assert pairs(dataset) == {
        "train": [(f"images/train/{name}.jpg", f"labels/train/{name}.txt")],
        "val": [(f"images/val/{name}.png", None)],
    }
    (fault,) = dataset.faults
    assert fault.image == f"{tmp_path}/images/val/{name}.png"
    assert detail(fault).encode("utf-8").isascii() or name in detail(fault)
    assert "\n" not in detail(fault)


def test_relative_paths_give_absolute_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, yaml=YAML)
    monkeypatch.chdir(tmp_path / "images")
    dataset = find_dataset(["../data.yaml"])
    assert dataset.splits[0].image_path(0) == str(tmp_path / "images/train/a.jpg")
    assert (dataset.data, dataset.yaml_path) == ("../data.yaml", str(tmp_path / "data.yaml"))


def test_only_wanted_splits(tmp_path: Path) -> None:
    make(tmp_path, yaml=f"{YAML}test: nowhere\n")
    assert sizes(find(tmp_path, ["val"])) == {"val": 1}
    assert faults(find(tmp_path, ["val"])) == []
    assert [f.split for f in faults(find(tmp_path, ["test"]))] == ["test"]


@pytest.mark.parametrize(
    ("given", "splits", "words"),
    [
        ([], None, "no path was given"),
        (["nothing.yaml"], None, "nothing.yaml does not exist (looked in "),
        (["empty"], None, "empty holds neither images nor labels nor a data.yaml"),
        (["README.md"], None, "neither a data.yaml nor a folder"),
        (["images", "labels"], None, "one folder at a time"),
        (["data.yaml", "other.yaml"], None, "one folder at a time"),
        (["data.yaml"], ["vall"], "data.yaml has no split 'vall'; its splits: train, val"),
        (["images"], ["test"], "images has no split 'test'"),
    ],
)
def test_nothing_to_scan_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], splits: list[str] | None, words: str
) -> None:
    make(tmp_path, (*PAIRS, "README.md", "other.yaml"), yaml=YAML)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        find_dataset(given, splits)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- published datasets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "rules"),
    [
        ("bccd", {"train": (205, 205), "val": (87, 87), "test": (72, 72)}, {}),
        ("neudet600", {"train": (540, 540), "val": (60, 60)}, {}),
        ("ships_dirty", {"train": (405, 317), "val": (99, 133), "test": (63, 63)}, {"D006": 88, "D007": 34}),
        ("dronetraffic", {"train": (587, 587), "val": (587, 587)}, {"D009": 1}),
        ("nuinsseg18_seg", {"train": (14, 14), "val": (4, 4)}, {}),
        ("ltvideo12_pose", {"train": (12, 10), "val": (12, 10)}, {"D006": 2, "D009": 1}),
        ("mcore14_obb", {"train": (14, 14), "val": (14, 14)}, {"D009": 1}),
        ("ultralytics_coco8", {"train": (4, 4), "val": (4, 4)}, {}),
        ("ultralytics_coco8-pose", {"train": (4, 4), "val": (4, 4)}, {}),
        ("lfs_pointers20", {"train": (20, 20), "val": (20, 20)}, {"D009": 1}),
        ("visdrone_val_labels", {"": (0, 548)}, {"D001": 1, "D007": 1}),
        ("crackseg_test_labels", {"": (0, 112)}, {"D001": 1, "D007": 1}),
    ],
)
def test_published_datasets(
    shared_data: Path, name: str, expected: dict[str, tuple[int, int]], rules: dict[str, int]
) -> None:
    dataset = find(shared_data / name)
    found = {s.name: (int(s.has_image.sum()), int(s.has_label.sum())) for s in dataset.splits}
    assert found == expected
    assert Counter(f.rule for f in dataset.faults) == rules
    assert all(f.severity is not ERROR for f in dataset.faults)


def test_a_broken_yaml_beside_a_stray_picture_makes_no_dataset_of_everything_below(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", yaml=YAML)
    (tmp_path / "holiday.jpg").write_bytes(b"")
    (tmp_path / "packing.txt").write_text("2 socks\n")
    (tmp_path / "data.yaml").write_text("train: [a\n")
    dataset = find(tmp_path / "data.yaml")
    assert len(dataset) == 0
    assert [f.rule for f in dataset.faults if f.rule == "D001"]
