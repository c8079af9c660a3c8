"""A data.yaml that would take all memory or never end is refused in a sentence, with its line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from measured import MOST_SECONDS, SCAN, run_measured
from strange_files import within
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.cli import main
from sanitizer.dataset.class_names import MAX_CLASSES, read_classes
from sanitizer.dataset.data_yaml import read_data_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.dataset.class_names import Classes

HEAD = "train: images/train\nval: images/val\n"
NAMES = "names: [red, green]\n"

HOSTILE = {
    "a million names": ("names:\n" + "- a\n" * 1_200_000, "more than 300,000 values"),
    "a million empty lists": (f"{NAMES}x: [{'[],' * 1_500_000}]", "more than 300,000 values"),
    "a million keys": (NAMES + "".join(f"{i}:\n" for i in range(500_000)), "more than 300,000 values"),
    "a number in base 60": (f"nc: 1{':1' * 400_000}", "a number of 800,001 characters"),
    "a number in base 16": (f"nc: 0x{'f' * 5000}", "a number of 5,002 characters"),
    "a quoted number": (f"nc: !!int '{'7' * 5000}'", "a number of 5,000 characters"),
    "aliases of one long text": (
        f"a: &a {'x' * 1_000_000}\nkpt_shape: [{'*a,' * 1000}]", "aliases stand for more than"),
    "aliases of aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 10}]\n" for i in range(1, 10)) + "names: *a9",
        "aliases stand for more than"),
    "merged aliases of aliases": (
        "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1},' * 10}]}}\n" for i in range(1, 9)),
        "aliases stand for more than"),
    "aliases one in another": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 9000)) + "kpt_shape: *a8999",
        "nest values more than 60 deep"),
    "lists in lists": (f"x: {'[' * 100_000}", "nests values more than 60 deep"),
    "blocks in blocks": ("".join(" " * i + f"k{i}:\n" for i in range(2000)), "nests values more than 60 deep"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_a_yaml_beyond_a_limit_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    text, words = HOSTILE[case]
    tiny_set(tmp_path)
    (tmp_path / "data.yaml").write_text(HEAD + text)
    ran = run_measured(SCAN, tmp_path / "data.yaml", "--select", "D")
    assert words in ran.stdout
    assert "data.yaml:" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


@pytest.mark.thorough
@pytest.mark.parametrize("text", [f"{HEAD}nc: 100000000\n", f"{HEAD}names: {{99999999: a}}\n"])
def test_class_ids_beyond_reason_cost_nothing(tmp_path: Path, text: str) -> None:
    tiny_set(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    ran = run_measured(SCAN, tmp_path / "data.yaml")
    assert "D003" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


def classes(tmp_path: Path, text: str) -> Classes:
    path = tmp_path / "data.yaml"
    path.write_text(HEAD + text)
    document = read_data_yaml(str(path))
    assert document.readable, document.faults
    return read_classes(document)


def test_more_classes_than_can_be_trained_are_named_and_ids_not_checked(tmp_path: Path) -> None:
    found = classes(tmp_path, "nc: 100000000\n")
    (fault,) = found.faults
    assert (found.nc, fault.rule, fault.line) == (None, "D003", 3)
    detail = str(fault.values["detail"])
    assert "the scores of one image alone take 3,360 GB" in detail
    assert "class ids were not checked" in detail
    assert "training stops here" not in detail


@pytest.mark.thorough
def test_the_largest_number_of_classes_is_checked_as_any(tmp_path: Path) -> None:
    found = classes(tmp_path, f"nc: {MAX_CLASSES}\n")
    assert (found.nc, [f.severity.label for f in found.faults if f.severity]) == (MAX_CLASSES, ["warning"])
    named = classes(tmp_path, "names:\n" + "".join(f"  {i}: c{i}\n" for i in range(21_841)))
    assert (named.nc, named.faults) == (21_841, ())


def test_a_key_beyond_reason_does_not_make_so_many_classes(tmp_path: Path) -> None:
    found = classes(tmp_path, "names: {0: a, 99999999: b}\n")
    assert found.nc == 2
    assert "training stops here" in str(found.faults[0].values["detail"])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "sparse"])
def test_a_data_yaml_that_is_no_file_is_never_waited_for(tmp_path: Path, kind: str) -> None:
    tiny_set(tmp_path)
    path = tmp_path / "data.yaml"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 4 << 30)
    for place in (path, tmp_path):
        with within(MOST_SECONDS):
            assert main(["scan", str(place), "--no-cache"]) in (1, 2)


@pytest.mark.slow
def test_a_million_paths_of_a_split_are_not_all_looked_for(tmp_path: Path) -> None:
    tiny_set(tmp_path)
    paths = "images/train, " + "x, " * 200_000
    (tmp_path / "data.yaml").write_text(f"train: [{paths}]\nval: images/val\n{NAMES}")
    ran = run_measured(SCAN, tmp_path / "data.yaml")
    assert "200,001 paths" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


def test_a_thousand_folders_of_a_split_are_read(tmp_path: Path) -> None:
    tiny_set(tmp_path)
    for i in range(1000):
        (tmp_path / "images" / f"f{i}").mkdir()
    image = (tmp_path / "images" / "train" / "0.jpg").read_bytes()
    (tmp_path / "images" / "f999" / "last.jpg").write_bytes(image)
    listed = ", ".join(["images/train", *(f"images/f{i}" for i in range(1000))])
    (tmp_path / "data.yaml").write_text(f"train: [{listed}]\nval: images/val\n{NAMES}")
    assert scan(tmp_path, cache=False, jobs=1).summary.images == 7


@pytest.mark.parametrize("name", ["classes.txt", "obj.data", "obj.names", "notes.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_files_beside_the_images_are_never_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    tiny_set(tmp_path)
    (tmp_path / "data.yaml").unlink()
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/full")
    with within(MOST_SECONDS):
        assert scan(tmp_path, cache=False, jobs=1).summary.images == 6


def test_settings_of_ultralytics_are_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_set(tmp_path)
    (tmp_path / "config" / "Ultralytics").mkdir(parents=True)
    os.mkfifo(tmp_path / "config" / "Ultralytics" / "settings.json")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "data.yaml").write_text(f"path: elsewhere\n{HEAD}{NAMES}")
    with within(MOST_SECONDS):
        assert main(["scan", str(tmp_path / "data.yaml"), "--no-cache"]) in (0, 1)
