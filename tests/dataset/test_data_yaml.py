"""A data.yaml from a stranger: what is refused, on which line, and that nothing in it is ever run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from effort import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.class_names import read_classes
from sanitizer.dataset.data_yaml import MAX_BYTES, read_data_yaml
from sanitizer.dataset.model import DatasetError
from sanitizer.findings.finding import Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SPLITS = "train: images/train\nval: images/val\n"


def write(folder: Path, content: str | bytes) -> str:
    path = folder / "data.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        ("train: [images\nval: x\n", 1, "not valid YAML: while parsing a flow sequence"),
        ("names: [a\n  b: {", 1, "not valid YAML"),
        ("train:\timages\nval: 'x\n", 2, "not valid YAML"),
        ("just a sentence\n", 1, "is a str, not a mapping"),
        ("- a\n- b\n", 1, "is a list, not a mapping"),
        ("a: 1\nb: !!python/object/apply:os.system ['touch hacked']\n", 2, "!!python/object/apply:os.system"),
        ("a: !!python/name:os.system\n", 1, "!!python/name:os.system"),
        ("a: !custom 1\n", 1, "could not determine a constructor"),
        ("a: " + "[" * 5000, 1, "more than 60 deep"),
        ("- " * 5000, 1, "more than 60 deep"),
        (BOMB, None, "aliases stand for more than"),
        (MERGE_BOMB, None, "aliases stand for more than"),
        ("a: &a [*a]\n", 1, "refers to itself"),
        ("a: !!int cat\n", None, "cannot be read as YAML"),
        ("a: 2001-02-31\n", None, "cannot be read as YAML"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: *nowhere\n", 1, "undefined alias"),
    ],
)
def test_what_no_safe_reader_reads_is_refused_with_its_line(
    tmp_path: Path, content: str, line: int | None, word: str
) -> None:
    document = read_data_yaml(write(tmp_path, content))
    (fault,) = document.faults
    assert (fault.rule, fault.severity, document.readable, document.data) == ("D001", ERROR, False, {})
    assert word in str(fault.values["detail"])
    if line is not None:
        assert fault.line == line
    assert not (tmp_path / "hacked").exists()
    assert not Path("hacked").exists()


def test_broken_syntax_has_its_column_and_says_its_place_once(tmp_path: Path) -> None:
    (fault,) = read_data_yaml(write(tmp_path, "train: images\nval: @x\n")).faults
    assert (fault.line, fault.column) == (2, 6)
    assert "data.yaml" not in str(fault.values["detail"])
    assert "line 2" not in str(fault.values["detail"])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda p: p.write_bytes(b"#" * (MAX_BYTES + 1)), "over 5 MB"),
        (lambda p: p.mkdir(), "not a regular file"),
        (lambda p: p.symlink_to("nowhere"), "not a regular file"),
        (lambda p: os.mkfifo(p), "not a regular file"),
        (lambda p: None, "does not exist"),
    ],
)
def test_a_path_that_is_no_small_file_is_refused(tmp_path: Path, make: Any, word: str) -> None:
    make(tmp_path / "data.yaml")
    (fault,) = read_data_yaml(str(tmp_path / "data.yaml")).faults
    assert fault.rule == "D001"
    assert word in str(fault.values["detail"])


def test_a_git_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
    document = read_data_yaml(write(tmp_path, pointer))
    (fault,) = document.faults
    assert (fault.rule, fault.values["what"], document.readable) == ("L008", "data.yaml", False)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (SPLITS.encode() + b"names: [caf\xe9, b]\n", {0: "caf", 1: "b"}),
        ((SPLITS + "names: [a, b]\n").encode("utf-16"), {0: "a", 1: "b"}),
    ],
)
def test_bytes_that_are_not_utf8_are_left_out_as_training_does(
    tmp_path: Path, content: bytes, names: dict[int, str]
) -> None:
    document = read_data_yaml(write(tmp_path, content))
    (fault,) = document.faults
    assert (fault.rule, fault.severity) == ("D001", WARNING)
    assert read_classes(document).names == names


@pytest.mark.parametrize(
    "content",
    [
        "\ufefftrain: a\nval: b\nnames: [x]\n",
        "# only a comment\r\ntrain: a\r\nval: b\r\nnames: [x]\r\n",
        "base: &b {k: 1}\nmore: {<<: *b}\ntrain: a\nval: b\nnames: [x]\n",
        "train: a\nval: b\ntest: None\nnames: ['é', '🚢']\n",
    ],
)
def test_harmless_yaml_has_no_fault(tmp_path: Path, content: str) -> None:
    document = read_data_yaml(write(tmp_path, content))
    assert document.faults == []
    assert document.data["train"] == "a"
    assert document.data.get("test") is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("train: 1\n", [("D001", ERROR, 1)]),
        ("path: [a]\n", [("D001", ERROR, 1)]),
        ("names: abc\n", [("D001", ERROR, 1)]),
        ("train: a\nval: {x: y}\n", [("D001", ERROR, 2)]),
        ("nc: 1\ntrain: a\nnc: 2\n", [("D001", WARNING, 3)]),
        ("names:\n  0: a\n  0: b\n", [("D003", ERROR, 3)]),
    ],
)
def test_wrong_types_and_doubled_keys(tmp_path: Path, content: str, found: list[Any]) -> None:
    document = read_data_yaml(write(tmp_path, content))
    assert [(f.rule, f.severity, f.line) for f in document.faults] == found


@pytest.mark.parametrize(
    ("classes", "nc", "names", "found"),
    [
        ("names: [a, b]", 2, {0: "a", 1: "b"}, []),
        ("names: {0: a, 1: b}\nnc: 2", 2, {0: "a", 1: "b"}, []),
        ("names: {'0': a, '1': b}", 2, {0: "a", 1: "b"}, []),
        ("nc: 3", 3, {}, [(WARNING, 3)]),
        ("nc: '3'", 3, {}, [(WARNING, 3)]),
        ("nc: 3.0", 3, {}, [(WARNING, 3)]),
        ("nc: 3\nnames:", 3, {}, [(WARNING, 3)]),
        ("x: 1", None, {}, [(ERROR, None)]),
        ("names:", None, {}, [(ERROR, None)]),
        ("nc:", None, {}, [(ERROR, 3)]),
        ("nc: 2.5", None, {}, [(ERROR, 3)]),
        ("nc: many", None, {}, [(ERROR, 3)]),
        ("nc: .inf", None, {}, [(ERROR, 3)]),
        ("nc: -1", None, {}, [(ERROR, 3)]),
        ("nc: 0", None, {}, [(ERROR, 3)]),
        ("nc: 3\nnames: [a, b]", 3, {0: "a", 1: "b"}, [(ERROR, 3)]),
        ("nc: 1\nnames: [a, b]", 2, {0: "a", 1: "b"}, [(ERROR, 3)]),
        ("names: []", None, {}, [(ERROR, 3)]),
        ("names:\n  0: a\n  2: c", 3, {0: "a", 2: "c"}, [(ERROR, 5)]),
        ("names:\n  1: a\n  2: c", 3, {1: "a", 2: "c"}, [(ERROR, 4)]),
        ("names:\n  -1: a\n  0: b", 2, {-1: "a", 0: "b"}, [(ERROR, 4)]),
        ("names:\n  a: 0\n  b: 1", 2, {}, [(ERROR, 4), (ERROR, 5)]),
        ("names:\n  0: a\n  '0': b", 2, {0: "b"}, [(ERROR, 5)]),
        ("names: [a, b, a]", 3, {0: "a", 1: "b", 2: "a"}, [(WARNING, 3)]),
        ("names:\n- a\n-\n", 2, {0: "a", 1: "None"}, [(WARNING, 5)]),
        ("names: [a, [b]]", 2, {0: "a", 1: "['b']"}, [(WARNING, 3)]),
        ("names: [a, '']", 2, {0: "a", 1: ""}, [(WARNING, 3)]),
        ("names: [yes, 'no']", 2, {0: "True", 1: "no"}, [(WARNING, 3)]),
        ("names: [010]", 1, {0: "8"}, [(WARNING, 3)]),
        ("names: [1, 2]", 2, {0: "1", 1: "2"}, []),
    ],
)
def test_classes(tmp_path: Path, classes: str, nc: int | None, names: Any, found: list[Any]) -> None:
    document = read_data_yaml(write(tmp_path, f"{SPLITS}{classes}\n"))
    result = read_classes(document)
    assert document.faults == []
    assert (result.nc, result.names) == (nc, names)
    assert [(f.severity, f.line) for f in result.faults] == found
    assert {f.rule for f in result.faults} <= {"D003"}


@pytest.mark.parametrize(
    ("text", "shape", "n_faults"),
    [
        ("kpt_shape: [17, 3]", (17, 3), 0),
        ("kpt_shape: [5, 2]\nflip_idx: [0, 1, 2, 3, 4]", (5, 2), 0),
        ("kpt_shape: [5, 2]\nflip_idx: [0, 1]", (5, 2), 1),
        ("kpt_shape: [5, 4]", (0, 0), 1),
        ("kpt_shape: [0, 3]", (0, 0), 1),
        ("kpt_shape: [a, 3]", (0, 0), 1),
        ("kpt_shape: [5]", (0, 0), 1),
    ],
)
def test_kpt_shape(tmp_path: Path, text: str, shape: tuple[int, int], n_faults: int) -> None:
    result = read_classes(read_data_yaml(write(tmp_path, f"{SPLITS}names: [a]\n{text}\n")))
    assert (result.kpt_shape, [f.rule for f in result.faults]) == (shape, ["D001"] * n_faults)


def test_a_hundred_faults_of_names_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    result = read_classes(read_data_yaml(write(tmp_path, f"{SPLITS}names: [{'same, ' * 300}]\n")))
    assert len(result.faults) == 101
    assert "199 further faults" in str(result.faults[-1].values["detail"])


@pytest.mark.parametrize(
    ("download", "val_there", "severity", "words"),
    [
        ("'https://example.com/a.zip'", True, WARNING, "fetch and unpack this archive"),
        ("'https://example.com/a.zip?x=1'", True, WARNING, "fetch and unpack this archive"),
        ("'https://example.com/a'", True, WARNING, "run it as Python code"),
        ("'bash get.sh'", True, ERROR, "run the command"),
        ("|\n  import os\n  open('hacked', 'w')", True, ERROR, "if the val images were missing"),
        (
            "|\n  import os\n  open('hacked', 'w')",
            False,
            ERROR,
            "the val images are missing, so training would",
        ),
        ("[1, 2]", True, ERROR, "is a list, not text"),
    ],
)
def test_download_is_reported_and_never_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    download: str,
    val_there: bool,
    severity: Severity,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ["train", "val"][: 1 + val_there]:
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "images" / split / "a.jpg").touch()
    dataset = find_dataset([write(tmp_path, f"{SPLITS}names: [a]\ndownload: {download}\n")])
    (fault,) = [f for f in dataset.faults if f.rule == "D004"]
    assert (fault.severity, fault.line) == (severity, 4)
    assert words in str(fault.values["detail"])
    assert not (tmp_path / "hacked").exists()


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
paths = st.sampled_from(
    ["images", "images/train", "../images/train", ".", "/", "..", "a\0b", "list.txt", "~", "*", ""]
)
values = st.recursive(
    scalars | paths,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "path",
        "train",
        "val",
        "test",
        "minival",
        "validation",
        "names",
        "nc",
        "kpt_shape",
        "flip_idx",
        "download",
        "task",
    ]
)


@pytest.mark.slow
@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(keys | st.text(max_size=4), values, max_size=8))
@example({"train": "\ud800", "val": ["images", "\udfff"]})
@example({"path": "images", "train": ".", "names": {1e400: "x", None: []}})
@example({"train": "a" * 5000, "val": "a/" * 3000, "nc": 10**400})
def test_no_mapping_whatever_stops_the_scan(tmp_path: Path, mapping: dict[Any, Any]) -> None:
    folder = tmp_path / "set"
    (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "train" / "a.jpg").touch()
    (folder / "list.txt").write_text("./images/train/a.jpg\n")
    try:
        text = yaml.safe_dump(mapping).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return
    try:
        dataset = find_dataset([write(folder, text)])
    except DatasetError:
        return
    assert len(dataset) == sum(map(len, dataset.splits))
    for fault in dataset.faults:
        assert str(fault.values["detail"]).encode("utf-8")


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=80) | st.text("abn:[]{}-&*!|>'\"# \n\t\x00\u2028,?%@`0", max_size=60).map(str.encode)
)
def test_no_bytes_whatever_stop_the_reader(tmp_path: Path, content: bytes) -> None:
    document = read_data_yaml(write(tmp_path, content))
    read_classes(document)
    assert document.readable or document.faults
