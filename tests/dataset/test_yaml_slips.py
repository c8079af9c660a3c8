"""Slips in a data.yaml: the mistake in words, on its line, with the line to write. Training stops where we say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.class_names import read_classes
from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.dataset.tables import DatasetFault

SPLITS = "train: images/train\nval: images/val\n"

NO_YAML = [
    (SPLITS + "names:\n\t0: cat\n", 4, "indented with a tab", "line 4 as `  0: cat`"),
    (SPLITS + "names:\n  0: cat\n\t1: dog\n", 5, "indented with a tab", "line 5 as `  1: dog`"),
    ('train: "D:\\dev\\set"\nval: a\n', 1, "backslash in double quotes", 'line 1 as `train: "D:/dev/set"`'),
    ('train: "D:\\xset"\nval: a\n', 1, "backslash in double quotes", "in single quotes"),
    (
        "train:images/train\nval: a\n",
        1,
        "blank after the colon of `train:`",
        "line 1 as `train: images/train`",
    ),
    ("train: a\nval:images/val\nnames: [a]\n", 2, "blank after the colon of `val:`", "`val: images/val`"),
    (SPLITS + "names: [a]\nnc:1\n", 4, "blank after the colon of `nc:`", "line 4 as `nc: 1`"),
    (SPLITS + "names:\n  0: bear\n  1:wolf\n", 5, "blank after the colon of `1:`", "line 5 as `  1: wolf`"),
    (SPLITS + "names: ['a', 'b]\nnc: 2\n", 3, "opens a quote (') that nothing closes", "Close the quote"),
    ("train: 'a/b\nval: c\nnames: [a]\n", 1, "opens a quote (') that nothing closes", "Close the quote"),
    (SPLITS + "names: ['it's', b]\n", 3, "goes on after a closed quote (')", "double quotes"),
    ("path: 'a'b\n" + SPLITS, 1, "goes on after a closed quote (')", "Close the quote"),
    ("train: images\n val: b\n", 2, "begins with 1 blank, and line 1", "line 2 as `val: b`"),
    (SPLITS + "names:\n  0: a\n 1: b\n", 5, "begins with 1 blank", "line 5 as `  1: b`"),
    (SPLITS + "names:\n  0: car: red\n", 4, "second colon", "line 4 as `  0: 'car: red'`"),
    (SPLITS + "names = [a, b]\n", 3, "no colon after `names`", "line 3 as `names: [a, b]`"),
    ("train images/train\nval: b\n", 1, "no colon after `train`", "line 1 as `train: images/train`"),
    (SPLITS + "names:\n  - a\n  b\n", 5, "no dash", "line 5 as `  - b`"),
    (SPLITS + "names: [@home, b]\n", 3, "begins with @", 'line 3 as `names: ["@home", b]`'),
    (SPLITS + "names:\n  0: *star\n", 4, "begins with *", 'line 4 as `  0: "*star"`'),
    (SPLITS + "names: [a, b\nnc: 2\n", 3, "opens a [ that is not closed", "Add ]"),
    ("train：images/train\nval: b\n", 1, "full-width colon (：)", "line 1 as `train: images/train`"),
    (SPLITS + "names:\n  0: 甲：乙\n  1:wolf\n", 5, "blank after the colon of `1:`", "line 5 as `  1: wolf`"),
    (SPLITS + "names: [a #1, b #2]\n", 3, "# in its list", 'line 3 as `names: ["a #1", "b #2"]`'),
    (
        "train: a,\nval: b,\nnames: [a, b],\n",
        3,
        "ends with a comma",
        "line 3 as `names: [a, b]`. Take the commas",
    ),
    (SPLITS + "names: [a]\n---\nx: 1\n", 4, "a second document", "Delete line 4"),
    ("```yaml\n" + SPLITS + "names: [a]\n```\n", 1, "a piece of code in a chat", "begin with ```"),
    (SPLITS + "<<<<<<< HEAD\nnames: [a]\n=======\nnames: [b]\n>>>>>>> x\n", 3, "merge conflict", "Keep one"),
]
"""Text, line of the slip, words of the message, words of the advice."""

STOPS = [
    (
        SPLITS + "names:\n0: antenna\n",
        4,
        "entry 0: antenna stands at the top level",
        "line 4 as `  0: antenna`",
    ),
    (
        SPLITS + "names:\n0: a\n1: b\n",
        4,
        "its 2 entries stand at the top level",
        "indent the other names alike",
    ),
    (SPLITS + "names:\n  0:bear\n  1:wolf\n", 4, "blank after the colon is missing", "line 4 as `  0: bear`"),
    (SPLITS + "names: {0:bear}\n", 3, "blank after the colon of `0:bear`", "Write `0: bear`"),
    (SPLITS + "names:\n  -a\n  -b\n", 4, "blank after the dash is missing", "line 4 as `  - a`"),
    (SPLITS + "names: \"['a','b']\"\n", 3, "a list in quotes", "line 3 as `names: ['a','b']`"),
    (SPLITS + "names: a, b\n", 3, "is one text, 'a, b'", "line 3 as `names: [a, b]`"),
    (SPLITS + "names: (a, b)\n", 3, "square brackets", "line 3 as `names: [a, b]`"),
    (SPLITS + "names: obj.names\n", 3, "is the path of a file", "Copy the names from obj.names"),
    (SPLITS + "names: [a]\nkpt_shape: (4, 2)\n", 4, "not a list", "line 4 as `kpt_shape: [4, 2]`"),
    (
        "train: a\nval: True\nnames: [a]\n",
        2,
        "True, a setting of training",
        "`val=True` is an argument of train",
    ),
    (SPLITS + "names:\n  1: cat\n  2: dog\n", 4, "counts from 1 (cat) to 2", "`0: cat` in place of `1: cat`"),
    (
        SPLITS + "info:\n  names: [a, b]\n",
        3,
        "`names:` stands below `info:`",
        "Delete line 3, and take the indentation",
    ),
    (SPLITS + "classes: [a, b]\n", 3, "training does not read `classes:`", "Write `names:` in place of"),
]

GOES_ON = [
    (SPLITS + "names:\n  0: a\n1: b\n", 5, "`names:` is not whole: its entry 1: b", "line 5 as `  1: b`"),
    (SPLITS + "nc: 1\nnames:\n0: a\n", 5, "training calls the class class_0", "line 5 as `  0: a`"),
    (SPLITS + "names:\n  0: yes\n", 4, "reads the name `yes` of class 0 as True", 'in quotes: "yes"'),
    (SPLITS + "names: [“a”, b]\n", 3, "is called “a” with the quotes", 'Write "a"'),
    (SPLITS + "names: [a]\nx:\n\u00a0 y: 1\n", 5, "blanks that are none for YAML", "line 5 as `  y: 1`"),
    (SPLITS + "names:\n  0: 012\n", 4, "reads the name `012` of class 0 as 10", 'in quotes: "012"'),
    (SPLITS + "val: more\nnames: [a]\n", 3, "line 2 (images/val) and again on line 3 (more)", "Keep one"),
    (
        'train: "D:\\train"\nval: a\nnames: [a]\n',
        1,
        "reads \\t in the double quotes",
        'as `train: "D:/train"`',
    ),
    (
        SPLITS + "names: [a]\nkpt_shape: [4, 2]\nflip_idx: [[0, 3], [1, 2]]\n",
        5,
        "2 pairs",
        "`flip_idx: [3, 2, 1, 0]`",
    ),
    (
        SPLITS + "names: [a]\nkpt_shape: [2, 2]\nflip_idx: [2, 1]\n",
        5,
        "keypoint 2 of 2",
        "`flip_idx: [1, 0]`",
    ),
]
"""What training reads without an error when it opens the data.yaml."""

QUIET = [
    "train: images/train\nvalidation: images/val\nnames: [a]\n",
    SPLITS + "names: ['a 1:wolf', \"b\\tc\", it's]\n",
    SPLITS + "names:\n- a\n- b\n",
    "path: C:\\sets\\ships\n" + SPLITS + "names: [a]\n",
    "path: 'C:\\sets\\train'\n" + SPLITS + "names: [a]\nval_dir: x\n",
    SPLITS + "names: {0: a, 1: 12}\n",
    "\ufeff" + SPLITS + "names: ['a #1', b] # c, d\n",
    SPLITS + "names: [a, 9“ screen]\nroboflow:\n  version: 3\n",
]


def faults_of(folder: Path, content: str | bytes) -> list[DatasetFault]:
    path = folder / "data.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    document = read_data_yaml(str(path))
    return [*document.faults, *read_classes(document).faults]


@pytest.mark.parametrize(("content", "line", "words", "advice"), [*NO_YAML, *STOPS, *GOES_ON])
def test_a_slip_is_told_in_words_with_the_line_to_write(
    tmp_path: Path, content: str, line: int, words: str, advice: str
) -> None:
    (fault,) = faults_of(tmp_path, content)
    detail = str(fault.values["detail"])
    assert (fault.line, words in detail, advice in str(fault.suggestion)) == (line, True, True), fault
    assert f"line {line} " not in detail or "again" in detail  # the place is said once, before the message
    assert ("not valid YAML: " in detail) == (content in [case[0] for case in NO_YAML])


@pytest.mark.parametrize("content", QUIET)
def test_what_is_no_slip_is_quiet(tmp_path: Path, content: str) -> None:
    assert faults_of(tmp_path, content) == []


def test_bytes_of_windows_1252_name_what_training_reads_in_their_place(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, (SPLITS + "names:\n  0: Schlüssel\n").encode("cp1252"))
    assert fault.line == 4
    assert "reads line 4 as `0: Schlssel`, not `0: Schlüssel`" in str(fault.values["detail"])
    (fault,) = faults_of(tmp_path, (SPLITS + "names: [a]\n").encode("utf-16"))
    assert "this file is UTF-16" in str(fault.values["detail"])


@pytest.mark.parametrize("key", ["valid", "Val"])
def test_a_key_of_another_tool_is_named(tmp_path: Path, key: str) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text(f"train: images/train\n{key}: images/val\nnames: [a]\n")
    dataset = find_dataset([str(tmp_path / "data.yaml")])
    fault = next(f for f in dataset.faults if f.rule == "D002" and f.split == "val")
    assert f"training does not read `{key}:`" in str(fault.values["detail"])


def test_keys_below_another_key_are_found_there(tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("data:\n  train: images/train\n  val: images/val\n  names: [a]\n")
    faults = [f for f in find_dataset([str(tmp_path / "data.yaml")]).faults if f.rule in ("D002", "D003")]
    assert len(faults) == 3
    assert all("stands below `data:`" in str(f.values["detail"]) for f in faults)
    assert all(str(f.suggestion).startswith("Delete line 1, and take the indentation off") for f in faults)


def set_with(folder: Path, files: dict[str, str]) -> list[str]:
    """Details of D003 of a set of two classes, cat and dog, with other files in it."""
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        (folder / "images" / split / "a.jpg").write_bytes(b"")
        (folder / "labels" / split / "a.txt").write_text("0 .5 .5 .1 .1\n")
    (folder / "data.yaml").write_text(SPLITS + "names: [cat, dog]\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    dataset = find_dataset([str(folder / "data.yaml")])
    assert not [f for f in dataset.faults if f.rule == "D007"]
    assert all(f.severity == Severity.WARNING and f.line == 3 for f in dataset.faults if f.rule == "D003")
    return [str(f.values["detail"]) for f in dataset.faults if f.rule == "D003"]


NOTES = json.dumps({"categories": [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}], "info": {}})
IN_ORDER = json.dumps({"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "labels/train/classes.txt",
            "dog\ncat\n",
            "class 0 is dog in labels/train/classes.txt, cat in data.yaml",
        ),
        ("obj.names", "dog\r\ncat\r\n", "class 0 is dog in obj.names, cat in data.yaml"),
        ("notes.json", NOTES, "class 0 is dog in notes.json, cat in data.yaml"),
        ("labels/_darknet.labels", "person\ncat\ndog\n", "class 1 is cat in labels/_darknet.labels"),
        (
            "labels/train/data.yaml",
            "names: {0: dog, 1: cat}\n",
            "class 0 is dog in labels/train/data.yaml, cat in",
        ),
        (
            "labels/train/labels.txt",
            "dog\ncat\n",
            "class 0 is dog in labels/train/labels.txt, cat in data.yaml",
        ),
        ("labels/classes.txt", "cat\ndog\nbird\n", "labels/classes.txt lists 3 classes, `names` 2"),
    ],
)
def test_a_class_list_that_contradicts_the_data_yaml_is_named(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (detail,) = set_with(tmp_path, {name: text})
    assert words in detail


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/train/classes.txt", "Cat\ndog \n\n"),
        ("labels/train/classes.txt", "cat\n"),
        ("labels/dataset.yaml", "names: [cat, dog, bird]\n"),
        ("labels/dataset.yaml", "names: obj.names\n"),
        ("labels/data.yml", "\t: ["),
        ("dataset.yaml", "names: [dog, cat]\n"),
        ("labels.txt", "__ignore__\n_background_\ncat\ndog\n"),
        ("classes.txt", "Katze\nHund\n"),
        ("classes.txt", "0 0.5 0.5 0.1 0.1\n"),
        ("classes.txt", "0 " + "-1 " * 200 + "x\n"),
        ("classes.txt", ""),
        ("notes.json", IN_ORDER),
        ("notes.json", "[" * 100_000),
        ("notes.json", '{"categories": 3}'),
    ],
)
def test_a_class_list_that_says_the_same_or_nothing_is_quiet(tmp_path: Path, name: str, text: str) -> None:
    assert set_with(tmp_path, {name: text}) == []


def test_one_list_in_many_folders_is_one_finding(tmp_path: Path) -> None:
    files = {f"labels/{split}/classes.txt": "dog\ncat\n" for split in ("train", "val")}
    (detail,) = set_with(tmp_path, files)
    assert "2 such files hold the same list" in detail


@pytest.mark.ultralytics
def test_training_stops_where_we_say_so(tmp_path: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "images/val").mkdir()
    path = tmp_path / "data.yaml"
    for content, *_ in [*NO_YAML, *STOPS]:
        path.write_text(content)
        assert any(f.stops_with for f in faults_of(tmp_path, content)), content
        with pytest.raises(Exception):  # noqa: B017  # of any kind
            check_det_dataset(str(path))
    for content in (GOES_ON[0][0], GOES_ON[1][0], *QUIET[:3]):
        path.write_text(content)
        assert check_det_dataset(str(path))["names"], content
