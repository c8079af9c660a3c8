"""A clean view: what it holds, where it may lie, and that the dataset stays as it is."""

from __future__ import annotations

import csv
import errno
import multiprocessing
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from example_files import build, image_bytes
from viewed import fix_into_view

from sanitizer.archives.finding import find_dataset
from sanitizer.cli import main
from sanitizer.fixes.fixing import fix
from sanitizer.fixes.journal.runs import JournalError
from sanitizer.images.image_files import read_images
from sanitizer.reports.formats import render
from sanitizer.scanner.run import scan
from sanitizer.util.processes import START_METHOD
from sanitizer.view import files as view_files
from sanitizer.view import fixing
from sanitizer.view import pairs as pairs_module
from sanitizer.view import write as write_module
from sanitizer.view.write import ViewError, write_view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOOD = "0 0.5 0.5 0.4 0.3"
OUTSIDE = "1 0.9 0.5 0.21 0.3"
CLIPPED = "1 0.8975 0.5 0.205 0.3"
NO_CLASS = "7 0.5 0.5 0.4 0.3"
PICTURE = {"image": "64x48"}

forked = pytest.mark.skipif(
    sys.platform != "linux" or os.environ.get(START_METHOD) == "spawn",
    reason="a process that was not forked knows of no patch",
)


def tree(folder: Path) -> dict[str, tuple[str | bytes, int]]:
    """Every path of a folder, folders too: content or target, and time of change."""
    found: dict[str, tuple[str | bytes, int]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (content, path.lstat().st_mtime_ns)
    return found


def texts(folder: Path) -> dict[str, str]:
    """The label files of a view."""
    labels = folder / "labels"
    return {str(p.relative_to(labels)): p.read_text() for p in sorted(labels.rglob("*")) if p.is_file()}


def lines(folder: Path, split: str) -> list[str]:
    return (folder / f"{split}.txt").read_text("utf-8").splitlines()


def excluded(folder: Path) -> list[list[str]]:
    """Rows of excluded.csv, without its head."""
    with open(folder / "excluded.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Makes a dataset; gives its folder."""

    def make(rows: str = GOOD, files: Mapping[str, object] | None = None, **more: object) -> Path:
        folder = tmp_path / "set"
        build({"rows": rows, "files": files or {}, "image": "64x48", **more}, folder)
        return folder

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "view"


def decide(folder: Path, sheet: Path, **decisions: str) -> None:
    """Scan, and decide on every finding of some rules."""
    rows = list(csv.DictReader(render(scan(folder), "csv").lstrip("\ufeff").splitlines()))
    with open(sheet, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "decision": decisions.get(row["rule"], "")} for row in rows)


def test_the_dataset_stays_as_it_is(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(f"{GOOD}\n{OUTSIDE}\n{GOOD}", {"labels/train.cache": "old"})
    before = tree(folder)
    view = fix_into_view(folder / "data.yaml", out=str(out))
    assert tree(folder) == before
    assert texts(out) == {"train/example.txt": f"{GOOD}\n{CLIPPED}\n", "val/clean.txt": f"{GOOD}\n"}
    assert os.readlink(out / "images/train/example.jpg") == str(folder / "images/train/example.jpg")
    assert lines(out, "train") == ["./images/train/example.jpg"]
    assert sorted(p.name for p in out.iterdir()) == [
        "data.yaml", "excluded.csv", "images", "labels", "train.txt", "val.txt", "view.json",
    ]  # fmt: skip
    assert (view.images, view.boxes, len(view.changed)) == ({"train": 1, "val": 1}, {"train": 2, "val": 1}, 1)
    assert not list(out.parent.glob(".*"))


def test_the_view_is_clean_to_scan(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(f"{GOOD}\n{OUTSIDE}\n{NO_CLASS}")
    fix_into_view(folder, out=str(out), unsafe=True)
    report = scan(out / "data.yaml")
    assert [f.rule for f in report.findings if f.severity.label != "info"] == []
    assert (report.summary.images, report.summary.boxes) == (2, 3)


def test_data_yaml(dataset: Callable[..., Path], out: Path) -> None:
    text = """\
path: nowhere
train: images/train
val: images/val
download: exec('rm -rf /')
names: {0: a, 1: yes, 3: "é: #"}
nc: 2
channels: 3
masks_dir: masks
roboflow: {license: MIT}
"""
    folder = dataset(yaml=text)
    fix_into_view(folder / "data.yaml", out=str(out))
    assert yaml.safe_load((out / "data.yaml").read_text("utf-8")) == {
        "path": str(out),
        "train": "train.txt",
        "val": "val.txt",
        "nc": 4,
        "names": {0: "a", 1: "True", 2: "class_2", 3: "é: #"},
        "channels": 3,
        "roboflow": {"license": "MIT"},
    }


@pytest.mark.parametrize(
    ("flip_idx", "kept"), [([0, 2, 1], {"flip_idx": [0, 2, 1]}), ([0, 1], {}), ("no list", {})]
)
def test_data_yaml_of_keypoints(
    flip_idx: object, kept: dict[str, object], dataset: Callable[..., Path], out: Path
) -> None:
    text = f"train: images/train\nval: images/val\nkpt_shape: [3, 3]\nflip_idx: {flip_idx}\nnames: [a]\n"
    pose = f"{GOOD} 0.4 0.5 2 0.5 0.5 2 0.6 0.5 2"
    folder = dataset(pose, {"labels/val/clean.txt": pose}, task="pose", yaml=text)
    fix_into_view(folder / "data.yaml", out=str(out))
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert data["kpt_shape"] == [3, 3]
    assert {k: v for k, v in data.items() if k == "flip_idx"} == kept


def test_without_data_yaml_classes_are_counted(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset("4 0.5 0.5 0.4 0.3", remove=["data.yaml"])
    fix_into_view(folder, out=str(out))
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {i: f"class_{i}" for i in range(5)}


def test_classes_that_cannot_be_counted(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset("900000000 0.5 0.5 0.4 0.3", remove=["data.yaml"])
    with pytest.raises(ViewError, match="900,000,001 classes"):
        fix_into_view(folder, out=str(out))
    assert not out.exists()
    assert not list(out.parent.glob(".*"))


@pytest.mark.parametrize(
    ("files", "image", "reason"),
    [
        ({"labels/train/b.txt": NO_CLASS}, "b.jpg", "line 1: C001 class 7 does not exist"),
        ({"labels/train/b.txt": f"{GOOD}\n0 0.5 0.5\n"}, "b.jpg", "line 2: L002 "),
        ({"labels/train/b.txt": {"bytes": "\xff\xfe"}}, "b.jpg", "line 1: L001 "),
        ({"images/train/c.jpg": {"image": "64x48 text"}}, "c.jpg", "I001 "),
        ({"images/train/c.jpg": {"image": "64x48 truncated"}}, "c.jpg", "I002 "),
        ({"images/train/c.jpg": {"image": "9x48"}}, "c.jpg", "I003 "),
        ({"images/train/c.jpg": {"link": "nowhere.jpg"}}, "c.jpg", "I001 "),
    ],
)
def test_what_training_drops_is_left_out(
    files: dict[str, object], image: str, reason: str, dataset: Callable[..., Path], out: Path
) -> None:
    folder = dataset(files={"images/train/b.jpg": PICTURE, **files})
    view = fix_into_view(folder, out=str(out))
    assert [(e.split, e.image) for e in view.excluded] == [("train", f"images/train/{image}")]
    assert view.excluded[0].reason.startswith(f"training would drop it: {reason}")
    assert excluded(out) == [[e.split, e.image, e.reason] for e in view.excluded]
    assert f"./images/train/{image}" not in lines(out, "train")
    assert not os.path.lexists(out / "images/train" / image)


def test_an_unreadable_label_leaves_its_image_out(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(files={"images/train/b.jpg": PICTURE, "labels/train/b.txt": GOOD + "\n" * 70_000})
    really = pairs_module.read_bounded

    def refuse(path: str, limit: int) -> bytes:
        if path.endswith("b.txt"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really(path, limit)

    monkeypatch.setattr(pairs_module, "read_bounded", refuse)
    view = fix_into_view(folder, out=str(out))
    assert [(e.image, e.reason) for e in view.excluded] == [
        ("images/train/b.jpg", "its label file cannot be read: Permission denied")
    ]


def test_images_without_label_stay_as_background(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(
        files={"images/train/b.jpg": PICTURE, "images/train/c.jpg": PICTURE, "labels/train/c.txt": ""}
    )
    view = fix_into_view(folder, out=str(out))
    assert view.images["train"] == 3
    assert sorted(texts(out)) == ["train/c.txt", "train/example.txt", "val/clean.txt"]


def test_an_image_that_training_would_rewrite_is_a_copy(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(files={"images/train/b.jpg": {"image": "64x48 tail"}})
    view = fix_into_view(folder, out=str(out))
    assert view.copied == 1
    assert not (out / "images/train/b.jpg").is_symlink()
    assert (out / "images/train/b.jpg").read_bytes() == (folder / "images/train/b.jpg").read_bytes()
    assert (out / "images/train/b.jpg").stat().st_nlink == 1


@pytest.mark.parametrize("hard_links", [True, False])
def test_without_links(
    hard_links: bool, dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "a required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    folder = dataset()
    fix_into_view(folder, out=str(out))
    image, original = out / "images/train/example.jpg", folder / "images/train/example.jpg"
    assert not image.is_symlink()
    assert image.read_bytes() == original.read_bytes()
    assert image.samefile(original) is hard_links


ODD_NAMES = ("ü ö.jpg", " blank.jpg", "a,b'c\".jpg", "two..dots.jpg", "0001.jpg", ".hidden.JPG", "%41[*].png")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_stay(name: str, dataset: Callable[..., Path], out: Path) -> None:
    label = f"{name[: name.rindex('.')]}.txt"
    listed = f"./images/train/example.jpg\n./images/train/{name}\n"
    folder = dataset(
        files={f"images/train/{name}": PICTURE, f"labels/train/{label}": OUTSIDE, "list.txt": listed},
        yaml="train: list.txt\nval: images/val\nnames: [a, b]\n",
    )
    fix_into_view(folder / "data.yaml", out=str(out))
    assert f"./images/train/{name}" in lines(out, "train")
    assert texts(out)[f"train/{label}"] == CLIPPED


@pytest.mark.parametrize(
    ("name", "in_view"),
    [
        (b"new\nline.jpg", "new%nline.jpg"),
        (b"latin-\xe9.jpg", "latin-%xe9.jpg"),
        ("rule\u2028.jpg".encode(), "rule%u2028.jpg"),
        (b"\x1b[31mred.jpg", "%x1b[31mred.jpg"),
    ],
)
def test_names_that_no_list_can_hold(
    name: bytes, in_view: str, dataset: Callable[..., Path], out: Path
) -> None:
    folder = dataset(files={f"images/train/{in_view}": PICTURE, f"labels/train/{in_view[:-4]}.txt": GOOD})
    image = os.path.join(os.fsencode(folder), b"images/train", name)
    with open(image, "wb") as file:
        file.write(image_bytes("64x48", "odd.jpg"))
    with open(os.path.join(os.fsencode(folder), b"labels/train", name[:-4] + b".txt"), "wb") as file:
        file.write(OUTSIDE.encode())
    fix_into_view(folder, out=str(out))
    other = f"{in_view[:-4]}~2.jpg"
    assert {f"./images/train/{in_view}", f"./images/train/{other}"} < set(lines(out, "train"))
    found = {
        os.fsencode(os.readlink(out / "images/train" / n)): texts(out)[f"train/{n[:-4]}.txt"]
        for n in (in_view, other)
    }
    assert found[image] == CLIPPED
    assert sorted(found.values()) == sorted([CLIPPED, GOOD])


def test_equal_names_in_several_folders(dataset: Callable[..., Path], out: Path) -> None:
    folders = ["a/images", "b/images", "b/images/images"]
    files: dict[str, object] = {}
    for number, name in enumerate(folders):
        files[f"{name}/x.jpg"] = PICTURE
        label_folder = name[::-1].replace("images"[::-1], "labels"[::-1], 1)[::-1]
        files[f"{label_folder}/x.txt"] = f"{number} 0.5 0.5 0.4 0.3\n"
    folder = dataset(files=files, yaml="train: [a/images, b]\nval: images/val\nnames: [a, b, c]\n")
    view = fix_into_view(folder / "data.yaml", out=str(out))
    assert view.excluded == []
    found = {
        os.readlink(out / line): (out / line.replace("/images/", "/labels/", 1))
        .with_suffix(".txt")
        .read_text()[0]
        for line in lines(out, "train")
    }
    assert found == {str(folder / name / "x.jpg"): str(number) for number, name in enumerate(folders)}
    assert all(line.count("/images/") == 1 for line in lines(out, "train"))


def test_two_images_that_share_a_label_share_it_still(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(OUTSIDE, {"images/train/example.png": PICTURE})
    fix_into_view(folder, out=str(out))
    assert lines(out, "train") == ["./images/train/example.jpg", "./images/train/example.png"]
    assert texts(out)["train/example.txt"] == f"{CLIPPED}\n"


def test_a_folder_in_two_splits_and_a_line_given_twice(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(
        OUTSIDE,
        {"list.txt": "./images/train/example.jpg\n" * 2},
        yaml="train: list.txt\nval: images/train\nnames: [a, b]\n",
    )
    view = fix_into_view(folder / "data.yaml", out=str(out))
    assert (view.images, len(view.changed)) == ({"train": 1, "val": 1}, 1)
    assert lines(out, "train") == ["./images/train/example.jpg"]
    assert texts(out) == {"train/example.txt": f"{CLIPPED}\n", "val/example.txt": f"{CLIPPED}\n"}


def test_labels_that_a_fix_must_not_touch_are_repaired_in_the_view(
    dataset: Callable[..., Path], out: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.txt").write_text(OUTSIDE)
    folder = dataset(
        OUTSIDE,
        {
            "images/train/b.jpg": PICTURE,
            "labels/train/b.txt": {"link": str(tmp_path / "elsewhere.txt")},
            "images/train/c.jpg": PICTURE,
            "labels/train/c.TXT": OUTSIDE,
        },
    )
    os.link(folder / "labels/train/example.txt", tmp_path / "second-name.txt")
    before = tree(tmp_path)
    view = fix_into_view(folder, out=str(out))
    assert view.refused == []
    assert {name: text.strip() for name, text in texts(out).items() if name.startswith("train")} == {
        "train/b.txt": CLIPPED,
        "train/c.txt": CLIPPED,
        "train/example.txt": CLIPPED,
    }
    shutil.rmtree(out)
    after = tree(tmp_path)
    assert {k: v for k, v in after.items() if k != "."} == {k: v for k, v in before.items() if k != "."}


def test_a_decision_on_an_image_leaves_it_out(
    dataset: Callable[..., Path], out: Path, tmp_path: Path
) -> None:
    leak = {"image": "64x48 seed=5"}
    folder = dataset(
        f"{GOOD}\n{OUTSIDE}",
        {
            "images/train/leak.jpg": leak,
            "labels/train/leak.txt": GOOD,
            "images/val/leak.png": {"image": "128x96 seed=5"},
            "labels/val/leak.txt": GOOD,
            "images/train/bare.jpg": PICTURE,
        },
    )
    sheet = tmp_path / "sheet.csv"
    decide(folder, sheet, D009="drop", D006="drop", B004="fix")
    view = fix_into_view(folder, out=str(out), decisions=str(sheet))
    assert view.refused == []
    left_out = {e.image: e.reason for e in view.excluded}
    assert set(left_out) == {"images/val/leak.png", "images/train/bare.jpg"}
    assert left_out["images/train/bare.jpg"].startswith("decided to drop it: D006 no label file")
    assert texts(out)["train/example.txt"] == f"{GOOD}\n{CLIPPED}\n"

    refused = fix(folder, decisions=str(sheet), dry_run=True).refused
    assert len(refused) == 2
    assert all("images are never deleted; not applied (--view FOLDER makes a view" in r for r in refused)


def test_a_decision_that_no_longer_fits(dataset: Callable[..., Path], out: Path, tmp_path: Path) -> None:
    folder = dataset(f"{GOOD}\n{OUTSIDE}", {"images/train/bare.jpg": PICTURE})
    sheet = tmp_path / "sheet.csv"
    decide(folder, sheet, D006="drop", B004="fix")
    (folder / "labels/train/bare.txt").write_text(GOOD)
    (folder / "labels/train/example.txt").write_text(f"{GOOD}\n")
    view = fix_into_view(folder, out=str(out), decisions=str(sheet))
    assert [r.partition(": no finding")[1] for r in view.refused] == [": no finding"] * 2
    assert view.images["train"] == 2


def test_exclusions_of_later_commands(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(files={"images/train/b.jpg": PICTURE})
    view = write_view(
        find_dataset([str(folder)]), "detect", str(out), exclude={"images/train/b.jpg": "spike at step 4"}
    )
    assert excluded(out) == [["train", "images/train/b.jpg", "spike at step 4"]]
    assert view.images == {"train": 1, "val": 1}


def test_the_list_of_excluded_images_runs_nothing(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(files={"=cmd/images/x.jpg": {"image": "9x9"}, "=cmd/labels/x.txt": GOOD},
                     yaml="train: [=cmd/images, images/train]\nval: images/val\nnames: [a]\n")  # fmt: skip
    fix_into_view(folder / "data.yaml", out=str(out))
    assert excluded(out)[0][1] == "'=cmd/images/x.jpg"


def test_a_split_of_which_nothing_is_left(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(files={"labels/val/clean.txt": NO_CLASS})
    view = fix_into_view(folder, out=str(out))
    assert "val" not in yaml.safe_load((out / "data.yaml").read_text())
    assert [n.partition(":")[0] for n in view.notes] == ["no image is left in val"]


# Where a view may lie


def test_an_earlier_view_is_replaced(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(files={"images/train/b.jpg": PICTURE})
    fix_into_view(folder, out=str(out))
    (out / "labels/train.cache").write_text("of training")
    (folder / "images/train/b.jpg").unlink()
    fix_into_view(folder, out=str(out))
    assert lines(out, "train") == ["./images/train/example.jpg"]
    assert not (out / "labels/train.cache").exists()
    assert sorted(p.name for p in out.parent.iterdir()) == ["set", "view"]


def test_an_empty_folder_and_a_link_to_a_folder(dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = dataset()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    view = fix_into_view(folder, out=str(tmp_path / "link"))
    assert view.folder == str(tmp_path / "real")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/data.yaml").is_file()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("set/images/train/view", "lies in the dataset's own folder"),
        ("set/labels/val", "lies in the dataset's own folder"),
        ("set", "holds the dataset itself"),
        ("", "holds the dataset itself"),
        ("full", "is not empty, and no earlier view"),
        ("file", "is a file, not a folder"),
        ("no/such/folder", "there is no folder"),
        ("link-to-images/view", "lies in the dataset's own folder"),
        ("other-mark", "is not empty, and no earlier view"),
    ],
)
def test_places_that_are_refused(
    place: str, sentence: str, dataset: Callable[..., Path], tmp_path: Path
) -> None:
    folder = dataset()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.docx").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link-to-images").symlink_to(folder / "images/train")
    (tmp_path / "other-mark").mkdir()
    (tmp_path / "other-mark/view.json").write_text('{"tool": "another"}')
    before = tree(tmp_path)
    with pytest.raises(ViewError, match=sentence):
        fix_into_view(folder, out=str(tmp_path / place))
    assert tree(tmp_path) == before


def test_beside_the_images_only_where_there_is_a_data_yaml(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    fix_into_view(folder, out=str(folder / "clean"))
    assert fix_into_view(folder, out=str(folder / "clean")).images == {"train": 1, "val": 1}
    shutil.rmtree(folder / "clean")
    (folder / "data.yaml").unlink()
    with pytest.raises(ViewError, match="lies in the dataset's own folder"):
        fix_into_view(folder, out=str(folder / "clean"))


def test_a_view_of_a_view_may_not_take_its_place(dataset: Callable[..., Path], out: Path) -> None:
    fix_into_view(dataset(), out=str(out))
    before = tree(out)
    with pytest.raises(ViewError, match="holds the dataset itself"):
        fix_into_view(out / "data.yaml", out=str(out))
    assert tree(out) == before


def test_a_view_that_holds_more_is_not_replaced(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset()
    fix_into_view(folder, out=str(out))
    (out / "runs").mkdir()
    before = tree(out)
    with pytest.raises(ViewError, match="also holds runs: move that away first"):
        fix_into_view(folder, out=str(out))
    assert tree(out) == before


@pytest.mark.parametrize("worth_a_process", [view_files.WORTH_A_PROCESS, pytest.param(0, marks=forked)])
def test_a_full_disk_leaves_the_earlier_view(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch, worth_a_process: int
) -> None:
    folder = dataset()
    fix_into_view(folder, out=str(out))
    before = tree(out)

    def full(path: str, _: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(view_files, "WORTH_A_PROCESS", worth_a_process)
    monkeypatch.setattr(view_files, "write_file", full)
    with pytest.raises(ViewError, match="No space left on device; no view was written"):
        fix_into_view(folder, out=str(out))
    assert tree(out) == before
    assert sorted(p.name for p in out.parent.iterdir()) == ["set", "view"]


def test_a_large_view_is_written_by_another_process_and_is_the_same(
    dataset: Callable[..., Path], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(OUTSIDE, {"images/train/b.jpg": {"image": "64x48 tail"}, "labels/train/b.txt": GOOD})
    fix_into_view(folder, out=str(out))
    monkeypatch.setattr(view_files, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr(write_module, "_PAIRS_AT_ONCE", 1)
    fix_into_view(folder, out=str(tmp_path / "other"))
    mine, other = (
        {
            path: content for path, (content, _) in tree(place).items() if path != "data.yaml"
        }  # names its folder
        for place in (out, tmp_path / "other")
    )
    assert mine == other


def test_a_process_that_may_start_no_other_writes_a_large_view_itself(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a worker of a data loader."""
    monkeypatch.setattr(view_files, "WORTH_A_PROCESS", 0)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    fix_into_view(dataset(), out=str(out))
    assert (out / "data.yaml").exists()


def test_a_process_that_is_ended_leaves_no_view(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_files, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr(view_files.Worker, "answer", lambda _: None)
    with pytest.raises(ViewError, match="was ended; no view was written"):
        fix_into_view(dataset(), out=str(out))
    assert not out.exists()


def test_after_an_interrupted_fix(dataset: Callable[..., Path], out: Path) -> None:
    folder = dataset(OUTSIDE)
    result = fix(folder)
    (folder / ".sanitize/runs" / str(result.run) / "done").unlink()
    with pytest.raises(JournalError, match="was interrupted: run `sanitize undo` first"):
        fix_into_view(folder, out=str(out))
    assert not out.exists()


# The command


def test_the_command(dataset: Callable[..., Path], out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tail = {"image": "64x48 tail"}
    files = {"images/train/b.jpg": tail, "labels/train/b.txt": NO_CLASS, "images/train/c.jpg": tail}
    folder = dataset(f"{GOOD}\n{NO_CLASS}", files)
    assert main(["fix", str(folder / "data.yaml"), "--unsafe", "--select", "C001", "--view", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-6:] == [
        f"Wrote {out}: 3 images (train 2, val 1) with 2 boxes. The dataset is as it was.",
        "1 label file repaired, in the copy; 1 box lost:",
        "  C001  1 row removed: a class that data.yaml does not name",
        "1 image copied rather than linked, as training would rewrite it on disk.",
        f"1 image left out: {out}/excluded.csv says why.",
        f"Train with data={out}/data.yaml",
    ]
    assert not (folder / ".sanitize").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--diff"], "--diff shows what a fix would change in place: leave --view out"),
        (["--split", "train"], "a view holds every split"),
        (["--unsafe", "--decisions", "x.csv"], "leave --unsafe out"),
    ],
)
def test_options_that_exclude_each_other(
    options: list[str],
    sentence: str,
    dataset: Callable[..., Path],
    out: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fix", str(dataset()), "--view", str(out), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_single_files_make_no_view(dataset: Callable[..., Path], out: Path) -> None:
    with pytest.raises(ViewError, match="a view is made of a whole dataset"):
        fix_into_view(dataset() / "labels/train/example.txt", out=str(out))


def test_regrouped_splits_have_all_copies_of_a_picture_in_one(
    dataset: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files: dict[str, object] = {}
    for split, stems in (
        ("train", ["sea_jpg.rf.0123456789", "sea_jpg.rf.0123456788", "pier", "lake (1)"]),
        ("val", ["sea_jpg.rf.0123456787", "pier_aug1", "pier-flipped", "lake (2)", "hill"]),
    ):
        for stem in stems:
            files[f"images/{split}/{stem}.jpg"] = {"image": f"64x48 seed={len(files)}"}
            files[f"labels/{split}/{stem}.txt"] = {"rows": GOOD}
    folder, out = dataset(files=files), tmp_path / "view"
    before = tree(folder)
    assert main(["fix", str(folder / "data.yaml"), "--view", str(out), "--regroup"]) == 0
    assert (
        "2 images moved into the split where most copies of the same picture are" in capsys.readouterr().err
    )
    train, val = lines(out, "train"), lines(out, "val")
    assert "./images/val/sea_jpg.rf.0123456787.jpg" in train
    assert "./images/train/pier.jpg" in val
    assert "./images/train/lake (1).jpg" in train
    assert "./images/val/lake (2).jpg" in val
    assert tree(folder) == before
    report = scan(out / "data.yaml", cache=False)
    assert not [f for f in report.findings if f.rule in ("D006", "D012", "I001")]


def test_regroup_needs_a_view(dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fix", str(dataset() / "data.yaml"), "--regroup"]) == 2
    assert "add --view FOLDER" in capsys.readouterr().err


# What changes between the scan and the view


@pytest.mark.parametrize("worth_a_process", [view_files.WORTH_A_PROCESS, 0])
def test_labels_that_change_after_the_scan_are_judged_as_they_are(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch, worth_a_process: int
) -> None:
    names = ("gone", "good", "bad", "new", "same")
    files = {f"images/train/{n}.jpg": PICTURE for n in names}
    folder = dataset(files={**files, **{f"labels/train/{n}.txt": GOOD for n in names if n != "new"}})
    plan = fixing.plan_fix

    def edited_after(*args: Any, **options: Any) -> Any:
        planned = plan(*args, **options)
        labels = folder / "labels/train"
        (labels / "gone.txt").unlink()
        (labels / "good.txt").write_text(f"{GOOD}\n0 0.1 0.1 0.1 0.1\n")
        (labels / "bad.txt").write_text(NO_CLASS)
        (labels / "new.txt").write_text(GOOD)
        return planned

    monkeypatch.setattr(fixing, "plan_fix", edited_after)
    monkeypatch.setattr(view_files, "WORTH_A_PROCESS", worth_a_process)
    view = fix_into_view(folder, out=str(out))
    assert [(image, reason[:41]) for _, image, reason in excluded(out)] == [
        ("images/train/bad.jpg", "training would drop it: line 1: C001 clas")
    ]
    assert view.boxes["train"] == 5
    written = {p.stem: p.read_text() for p in (out / "labels/train").iterdir()}
    assert written.keys() == {"example", "good", "new", "same"}
    assert written["good"] == (folder / "labels/train/good.txt").read_text()
    assert not (out / "images/train/bad.jpg").exists()
    assert (out / "images/train/gone.jpg").exists()


def test_what_the_scan_read_is_not_read_again(
    dataset: Callable[..., Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(f"{GOOD}\n{OUTSIDE}", {"images/train/b.jpg": PICTURE, "labels/train/b.txt": GOOD})
    judged: list[str] = []

    def noting(paths: list[str], mode: Any) -> Any:
        judged.extend(Path(path).name for path in paths)
        return read_images(paths, mode)

    monkeypatch.setattr(pairs_module, "read_images", noting)
    fix_into_view(folder, out=str(out))
    assert judged == ["example.jpg"]  # whose label is repaired
