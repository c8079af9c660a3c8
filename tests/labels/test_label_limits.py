"""Label files that are no files, never end, or are far too large: named, never waited for, never held whole."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measured import MOST_MB, SCAN, run_measured
from packed_sets import picture, write_tar
from remote_places import zipped
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.config import Config, RuleConfig
from sanitizer.dataset.tables import FileStatus, TaskSpec
from sanitizer.labels.label_files import parse_arriving, parse_labels, read_labels
from sanitizer.rules.language.pack import load_rules
from sanitizer.util.bounded_read import MIB, NotRegularError, TooLargeError
from sanitizer.util.limits import LABEL_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sanitizer.dataset.tables import LabelTable
    from sanitizer.findings.finding import Finding

SPEC = TaskSpec("detect", 3)
ROW = b"0 0.5 0.5 0.4 0.3\n"


def problem_of(table: LabelTable, file: int = 0) -> tuple[str, str]:
    """(rule, problem) of the one fault of a file."""
    (fault,) = [f for f in table.faults if f.file == file]
    return fault.rule, str(fault.values["problem"])


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket may have 100 bytes only
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda p: p.mkdir(), "a folder"),
    "a pipe": (lambda p: os.mkfifo(p), "a pipe"),
    "a socket": (make_socket, "a socket"),
    "an endless device": (lambda p: p.symlink_to("/dev/full"), "a device"),
    "an empty device": (lambda p: p.symlink_to("/dev/null"), "a device"),
    "a broken link": (lambda p: p.symlink_to("nowhere.txt"), "a link to nowhere.txt, which does not exist"),
    "a link in circles": (lambda p: p.symlink_to(p.name), "a link that leads back to itself"),
}


@pytest.mark.parametrize("case", NO_FILES)
def test_a_label_that_is_no_regular_file_is_named_and_counts_as_missing(tmp_path: Path, case: str) -> None:
    make, words = NO_FILES[case]
    path = tmp_path / "a.txt"
    make(path)
    table = read_labels([str(path)], SPEC)
    assert table.status.tolist() == [FileStatus.MISSING]
    rule, problem = problem_of(table)
    assert rule == "L010"
    assert words in problem
    assert "reads the image as background" in problem


def test_a_pipe_that_somebody_writes_into_is_no_label_either(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    try:
        table = read_labels([str(path)], SPEC)  # nothing written yet: a read would have to wait
        assert table.status.tolist() == [FileStatus.MISSING]
        assert problem_of(table)[0] == "L010"
    finally:
        os.close(reader)
        os.close(writer)


def test_no_file_of_that_name_is_no_fault_of_the_label(tmp_path: Path) -> None:
    table = read_labels([str(tmp_path / "none.txt")], SPEC)
    assert table.status.tolist() == [FileStatus.MISSING]
    assert not table.faults


def test_empty_labels_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "link.txt").symlink_to("a.txt")
    table = read_labels([str(tmp_path / n) for n in ("a.txt", "link.txt")], SPEC)
    assert table.status.tolist() == [FileStatus.EMPTY] * 2
    assert [f.rule for f in table.faults] == ["L007"] * 2


@pytest.mark.parametrize("limit", [100, 16 * 1024, 300_000])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_label_is_read_up_to_the_limit_and_not_a_byte_beyond(
    tmp_path: Path, limit: int, beyond: int
) -> None:
    spec = replace(SPEC, max_label_bytes=limit)
    data = (ROW * (limit // len(ROW) + 1))[: limit + beyond].replace(b"\n\n", b"\n")
    (tmp_path / "a.txt").write_bytes(data)
    for table in (read_labels([str(tmp_path / "a.txt")], spec), parse_labels([data], spec)):
        if not beyond:
            assert table.status.tolist() == [FileStatus.OK]
            assert len(table) > 0
            continue
        assert table.status.tolist() == [FileStatus.TOO_LARGE]
        assert (len(table), table.numbers_ok.tolist()) == (0, [False])
        rule, problem = problem_of(table)
        assert rule == "L010"
        assert "larger than the limit" in problem
        assert "was not judged" in problem


def test_errors_of_bounded_readers_become_the_same_findings() -> None:
    """What comes out of archives and over the network is refused by these exceptions."""
    errors = [TooLargeError(27, "larger than the limit of 10 MB", "a"), NotRegularError(22, "no file", "b")]
    table = parse_arriving([*errors, ROW], 3, SPEC)
    assert table.status.tolist() == [FileStatus.TOO_LARGE, FileStatus.MISSING, FileStatus.OK]
    assert [problem_of(table, i)[0] for i in (0, 1)] == ["L010"] * 2


def findings_of(data: Path, **options: object) -> list[Finding]:
    return list(scan(data, cache=False, jobs=1, **options).findings)  # type: ignore[arg-type]


def with_label(folder: Path, content: bytes) -> Path:
    data = tiny_set(folder)
    min((folder / "labels" / "train").iterdir()).write_bytes(content)
    return data


def test_too_large_is_neither_dropped_nor_background(tmp_path: Path) -> None:
    clean = scan(tiny_set(tmp_path / "clean"), cache=False, jobs=1).summary
    report = scan(with_label(tmp_path / "large", ROW * 700_000), cache=False, jobs=1)
    summary = report.summary
    assert summary.images_dropped_by_training == clean.images_dropped_by_training == 0
    assert summary.images_background == clean.images_background == 0
    (finding,) = [f for f in report.findings if f.rule == "L010"]
    assert (finding.severity.label, finding.line) == ("error", None)
    assert "12.02 MB" in finding.message
    assert "--set L010.max_mb=" in str(finding.suggestion)


@pytest.mark.thorough
def test_a_person_can_raise_and_lower_the_limit(tmp_path: Path) -> None:
    data = with_label(tmp_path, ROW * 700_000)
    raised = Config(rules={"L010": RuleConfig(params={"max_mb": 16})})
    assert "L010" not in {f.rule for f in findings_of(data, config=raised)}
    lowered = Config(rules={"L010": RuleConfig(params={"max_mb": 0.00001})})
    assert [f.rule for f in findings_of(data, config=lowered)].count("L010") == 6
    # Whether the rule is shown has nothing to do with what is read.
    unselected = Config(select=("B",), rules=lowered.rules)
    assert not {f.rule for f in findings_of(data, config=unselected)} & {"L010", "B007"}


def test_the_limit_of_the_rule_is_the_limit_of_the_readers() -> None:
    assert load_rules()["L010"].params["max_mb"] * MIB == LABEL_BYTES


def test_copies_of_one_image_do_not_disagree_because_one_label_was_not_read(tmp_path: Path) -> None:
    data = tiny_set(tmp_path)
    images = tmp_path / "images" / "train"
    first = min(images.iterdir())
    (images / f"copy{first.suffix}").write_bytes(first.read_bytes())
    (tmp_path / "labels" / "train" / "copy.txt").write_bytes(ROW * 700_000)
    rules = {f.rule for f in findings_of(data)}
    assert {"D009", "L010"} <= rules
    assert "D010" not in rules


def fill(path: Path, piece: bytes) -> None:
    """As much of the same as a label may have."""
    path.write_bytes(piece * (LABEL_BYTES // len(piece)))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a single token on each row": lambda p: fill(p, b"1\n"),
    "two million tokens in a row": lambda p: fill(p, b"1 "),
    "a token of five million digits": lambda p: fill(p, b"1"),
    "two million words in a row": lambda p: fill(p, b"a "),
    "a word on each row": lambda p: fill(p, b"a\n"),
    "blanks that only Python knows": lambda p: fill(p, "1\u2003".encode()),
    "line ends that only Python knows": lambda p: fill(p, "1\x85".encode()),
    "carriage returns": lambda p: fill(p, b"1\r"),
    "boxes": lambda p: fill(p, b"0 1 1 1 1\n"),
    "numbers with underscores": lambda p: fill(p, b"1_1 "),
    "NUL bytes": lambda p: fill(p, b"\0"),
}


def test_a_file_that_claims_gigabytes_costs_nothing(tmp_path: Path) -> None:
    data = with_label(tmp_path, b"")
    os.truncate(min((tmp_path / "labels" / "train").iterdir()), 4 << 30)
    ran = run_measured(SCAN, data)
    assert "4096 MB, larger than the limit of 5 MB" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_no_label_takes_much_memory_or_time(tmp_path: Path, case: str) -> None:
    data = with_label(tmp_path, b"")
    HOSTILE[case](min((tmp_path / "labels" / "train").iterdir()))
    ran = run_measured(SCAN, data)
    assert "status " in ran.stdout, ran.stderr
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


@pytest.mark.slow
def test_many_links_to_one_large_label_are_not_held_at_once(tmp_path: Path) -> None:
    data = tiny_set(tmp_path, train=40)
    labels = sorted((tmp_path / "labels" / "train").iterdir())
    labels[0].write_bytes(b"0 1 1 1 1\n" * 150_000)
    for label in labels[1:]:
        label.unlink()
        label.symlink_to(labels[0].name)
    ran = run_measured(SCAN, data, "--images", "none", "--select", "L", timeout_s=120)
    assert "status 0" in ran.stdout, ran.stderr
    assert ran.peak_mb < MOST_MB, f"{ran.peak_mb:.0f} MB"


@pytest.mark.thorough
def test_what_is_judged_in_parts_is_judged_all_the_same(tmp_path: Path) -> None:
    data = tiny_set(tmp_path, train=60)
    labels = sorted((tmp_path / "labels" / "train").iterdir())
    for label in labels[::7]:
        label.write_bytes(b"0 0.5 0.5 0.25 0.25\n" * 120_000)
    report = scan(data, cache=False, jobs=1, images="none")
    assert report.summary.boxes == 120_000 * 9 + 53
    assert report.summary.images == 62
    assert np.sum([f.rule == "B007" for f in report.findings]) > 0


@pytest.mark.parametrize("place", ["disk", "shard", "zip"])
def test_the_limit_that_the_user_sets_holds_wherever_labels_lie(tmp_path: Path, place: str) -> None:
    loose = tmp_path / "set"
    for kind in ("images", "labels"):
        (loose / kind / "train").mkdir(parents=True)
    (loose / "images/train/a.jpg").write_bytes(picture(1, 8))
    (loose / "labels/train/a.txt").write_bytes(b"0 0.5 0.5 0.2 0.2\n" + b" " * (9 * MIB))
    (loose / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [a]\n")
    path = loose / "data.yaml"
    if place == "shard":
        members = [("a.jpg", picture(1, 8)), ("a.txt", (loose / "labels/train/a.txt").read_bytes())]
        path = write_tar(tmp_path / "train-0.tar", members)
    elif place == "zip":
        path = zipped(loose, tmp_path / "set.zip")
    for limit, labels in ((5, 0), (16, 1)):
        config = Config(rules={"L010": RuleConfig(params={"max_mb": limit})})
        report = scan(path, config=config, images="none", cache=False, jobs=1)
        assert ("L010" in {f.rule for f in report.findings}) == (not labels)
        assert report.summary.boxes == labels
