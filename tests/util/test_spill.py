"""What a scan keeps on disk: the same report, nothing left behind, and a sentence where the disk is full."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_sets import PUBLISHED_SETS
from small_limits import LIMITS, small_chunks, small_limits

import sanitizer.scanner.run
from sanitizer import Report, scan
from sanitizer.cli import main
from sanitizer.cli.demo_dataset import make_demo
from sanitizer.dataset.model import Dataset, Split
from sanitizer.dataset.tables import TaskSpec
from sanitizer.findings.finding import Finding, Severity
from sanitizer.findings.findings_log import FindingLog
from sanitizer.reports.formats import FORMATS, render, write
from sanitizer.reports.html.build import write_page
from sanitizer.reports.text.render import Style
from sanitizer.reports.text.render import render as render_text
from sanitizer.rules.sketch import ShapeSketch
from sanitizer.rules.survey import ChunkSummary, Survey, SurveyBuilder
from sanitizer.util.name_set import NameSetBuilder, SpilledNames
from sanitizer.util.spill import Buckets, ColumnBuilder, FileColumn, SpillError, SpillFile

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("pyarrow", reason="needs pyarrow (the parquet extra)")

# --- the whole scan ------------------------------------------------------------------------------------------


def everything_said(report: Report, folder: Path) -> dict[str, Any]:
    """The report in every format and every way to ask for it, but for the time it took."""
    import pyarrow.parquet as pq

    report = replace(report, summary=replace(report.summary, elapsed_s=1.0))
    said: dict[str, Any] = {name: render(report, name) for name in FORMATS}
    said["statistics"] = render_text(report, Style(statistics=True))
    said["terminal"] = render_text(report, Style(colour=True, shorten=True))
    write(report, str(folder / "f.parquet"))
    said["parquet"] = pq.read_table(folder / "f.parquet").to_pylist()
    said["to_dict"] = report.to_dict()
    said["counts"] = [report.count(severity) for severity in Severity]
    said["dropped"] = (
        len(report.dropped),
        set(report.dropped),
        all(name in report.dropped for name in report.dropped),
    )
    return said


def check_that_spilling_changes_nothing(path: Path, folder: Path, mode: Any) -> Report:
    with small_chunks():
        expected = everything_said(scan(path, images=mode, cache=False, jobs=1), folder)
    with small_chunks(), small_limits():
        spilled = scan(path, images=mode, cache=False, jobs=1)
        assert everything_said(spilled, folder) == expected
    return spilled


@pytest.fixture(scope="module")
def flawed_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_demo(str(tmp_path_factory.mktemp("demo") / "set")))


@pytest.mark.thorough
def test_a_flawed_set_is_reported_the_same_from_disk(flawed_set: Path, tmp_path: Path) -> None:
    spilled = check_that_spilling_changes_nothing(flawed_set, tmp_path, "decode")
    assert not isinstance(spilled.findings, list)
    assert isinstance(spilled.dropped, SpilledNames)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["header", "decode", "none"])
@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_published_sets_are_reported_the_same_from_disk(
    name: str, mode: str, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / name
    path = folder / "data.yaml" if (folder / "data.yaml").exists() else folder
    check_that_spilling_changes_nothing(path, tmp_path, mode)


@pytest.mark.thorough
def test_the_page_shows_the_same_from_disk(flawed_set: Path, tmp_path: Path) -> None:
    def page(name: str, report: Report) -> str:
        report = replace(report, summary=replace(report.summary, elapsed_s=1.0))
        path = tmp_path / name / "index.html"
        path.parent.mkdir()
        write_page(report, str(path), str(path.parent / "crops"))
        run = next(p.name for p in (path.parent / "crops").iterdir() if p.is_dir())
        return path.read_text().replace(run, "RUN")

    with (
        patch("time.strftime", lambda form: "now"),
        patch("sanitizer.reports.html.data.digest_of", lambda r: "id"),
    ):
        with small_chunks():
            expected = page("a", scan(flawed_set, cache=False))
        with small_chunks(), small_limits():
            found = page("b", scan(flawed_set, cache=False))
    # Of findings on disk those with a card are drawn: here they are all of them.
    assert found == expected


def test_the_gravest_findings_have_a_card() -> None:
    from sanitizer.reports.html import build

    random = np.random.default_rng(0)
    findings = [Finding("X", "x", Severity(int(s)), str(i)) for i, s in enumerate(random.integers(0, 3, 200))]
    for most in (1, 50, 100, 150, 199, 200):
        ranked = sorted(range(200), key=lambda i: -findings[i].severity)[:most]
        with patch.object(build, "MAX_FINDINGS", most):
            assert build._worst(findings) == [findings[i] for i in sorted(ranked)]


# --- nothing is left behind ----------------------------------------------------------------------------------


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def open_in(folder: Path) -> Counter[str]:
    """Files of a folder that this process has open, named or not."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    targets = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:  # the one that listed them
            continue
    return Counter(t for t in targets if t.startswith(str(folder)))


def test_nothing_stays_in_the_folder_for_temporary_files(flawed_set: Path, scratch: Path) -> None:
    with small_chunks(), small_limits():
        report = scan(flawed_set, cache=False)
    assert open_in(scratch).total() == 2, "the findings and the names of dropped images"
    assert len(list(report.findings)) == len(report.findings) > 0
    assert os.listdir(scratch) == []
    del report
    assert open_in(scratch).total() == 0


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, SpillError])
def test_nothing_stays_after_an_error(
    failure: type[BaseException], flawed_set: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fail(*_: object) -> Iterator[Finding]:
        seen.append(open_in(scratch).total())
        raise failure("x")

    monkeypatch.setattr(sanitizer.scanner.run, "dataset_findings", fail)
    monkeypatch.delenv("SANITIZE_TRACEBACK", raising=False)
    with small_chunks(), small_limits():
        status = main(["scan", str(flawed_set), "--no-cache", "--quiet"])
    assert status == (130 if failure is KeyboardInterrupt else 2)
    assert seen[0] > 5, "columns and findings were on disk"
    assert os.listdir(scratch) == []
    assert open_in(scratch).total() == 0


FULL = """
import os, resource, sys
from small_limits import small_limits
from sanitizer.cli import main
with small_limits():
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
@pytest.mark.parametrize(
    "size", [0, 700, *(pytest.param(size, marks=pytest.mark.slow) for size in (3, 100, 4000))]
)
def test_a_file_that_cannot_grow_ends_the_scan_with_a_sentence(
    size: int, flawed_set: Path, scratch: Path
) -> None:
    here = Path(__file__).parents[1]
    path = os.pathsep.join([str(here), str(here.parent)])
    run = subprocess.run(
        [
            sys.executable,
            "-B",
            "-c",
            FULL,
            str(size),
            "scan",
            str(flawed_set),
            "--no-cache",
            "--format",
            "json",
        ],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    (last,) = run.stderr.splitlines()
    if size == 0:  # Python writes to a folder before it takes it
        assert last.startswith("sanitize scan: cannot keep ")
        assert f"No usable temporary directory found in ['{scratch}', " in last
    else:
        assert last.startswith(f"sanitize scan: {scratch}: cannot keep ")
        assert "in a temporary file there: File too large" in last
    assert last.endswith(" (TMPDIR names another folder)")
    assert "Traceback" not in run.stderr
    assert os.listdir(scratch) == []


def test_a_full_disk_is_named(scratch: Path) -> None:
    file = SpillFile("the findings")

    class Full:
        def seek(self, offset: int) -> int:
            return offset

        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file.file = Full()  # type: ignore[assignment]
    with pytest.raises(SpillError) as failure:
        file.append(b"x")
    assert str(failure.value) == (
        f"{scratch}: cannot keep the findings in a temporary file there: No space left on device"
        " (TMPDIR names another folder)"
    )


def test_a_folder_that_is_gone_is_named(scratch: Path) -> None:
    assert tempfile.gettempdir() == str(scratch)
    shutil.rmtree(scratch)
    with pytest.raises(SpillError, match=f"{scratch}: cannot keep the findings .*No such file or directory"):
        SpillFile("the findings")


def test_a_limit_of_the_findings_reaches_the_caller(flawed_set: Path) -> None:
    with (
        patch("sanitizer.findings.findings_log.FINDINGS_HELD", 3),
        patch("sanitizer.util.spill.SpillFile.write_at", side_effect=SpillError("full")),
        pytest.raises(SpillError, match="full"),
    ):
        scan(flawed_set, cache=False)


# --- columns, buckets, names ---------------------------------------------------------------------------------

PARTS = st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=9), max_size=6)


@given(PARTS, st.integers(0, 6))
def test_a_column_on_disk_is_the_column_in_memory(parts: list[list[int]], spilled_at: int) -> None:
    builder, expected = ColumnBuilder(np.int64, "x"), np.array([n for p in parts for n in p], np.int64)
    for i, part in enumerate(parts):
        if i == spilled_at:
            builder.spill()
        builder.add(np.array(part, np.int64))
    column = builder.finish()
    assert isinstance(column, FileColumn) == (spilled_at < len(parts))
    assert len(column) == len(expected)
    for part in (slice(None), slice(2, 5), slice(-3, None), slice(4, 1), slice(0, 20, 3)):
        assert column[part].tolist() == expected[part].tolist()
    for i in (*range(len(expected)), *range(-len(expected), 0)):
        assert column[i] == expected[i]
    with pytest.raises(IndexError):
        column[len(expected)]


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=30), max_size=8),
    st.integers(0, 3000),
)
def test_buckets_are_a_stable_sort(parts: list[list[int]], n_rows: int) -> None:
    with patch("sanitizer.util.spill.ROWS_HELD", 10):
        buckets = Buckets([("key", np.uint64), ("n", np.int64)], n_rows, "x")
        n = 0
        for part in parts:
            buckets.add(key=np.array(part, np.uint64), n=np.arange(n, n + len(part)))
            n += len(part)
        found = [tuple(row) for bucket in buckets for row in bucket.tolist()]
    keys = [key for part in parts for key in part]
    assert found == sorted(zip(keys, range(n), strict=True))


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=4), max_size=60)
)
def test_names_on_disk_are_a_set(names: list[str]) -> None:
    with patch("sanitizer.util.name_set.NAMES_HELD", 5), patch("sanitizer.util.name_set._READ_BYTES", 7):
        builder = NameSetBuilder("x")
        for name in names:
            builder.add(name)
        found = builder.finish()
        assert isinstance(found, SpilledNames) == (len(set(names)) > 5)
        assert sorted(found) == sorted(set(names))
        if isinstance(found, SpilledNames):
            assert list(found) == sorted(set(names))
    assert len(found) == len(set(names))
    assert all(name in found for name in names)
    assert "not there" not in found and None not in found
    assert found - set(names[:3]) == set(names) - set(names[:3])


# --- pairs that are found chunk by chunk ---------------------------------------------------------------------


def summary(n: int, seed: int) -> ChunkSummary:
    random = np.random.default_rng(seed)

    def some(dtype: Any) -> Any:
        return random.integers(0, 2, n).astype(dtype)

    nothing = np.zeros(0, np.int64)
    return ChunkSummary(
        some(np.uint64), some(np.uint64), some(np.uint64), some(np.int64), some(np.bool_), some(np.int32),
        some(np.int32), some(np.int32), some(np.bool_), some(np.bool_), some(np.bool_),
        some(np.bool_), some(np.bool_), some(np.uint8), {seed: n},
        ShapeSketch(n, nothing, nothing, nothing, nothing, nothing, np.zeros((0, 2))), n, n,
    )  # fmt: skip


def part_of(name: str, folder: str, names: list[str], seed: int) -> Split:
    random = np.random.default_rng(seed)
    n = len(names)
    folders = [f"{folder}/a", f"{folder}/b"]
    some = [random.integers(0, 2, n) for _ in range(3)]
    has_image, has_label = some[1].astype(np.bool_), some[2].astype(np.bool_)
    return Split.build(
        name, folders, [f"{f}/labels" for f in folders], some[0].astype(np.int32), names, has_image, has_label
    )


def described(survey: Survey) -> list[tuple[object, ...]]:
    columns = (survey.image_digest, survey.n_rows, survey.dropped, survey.width)
    return [
        (survey.split_name(i), survey.image_path(i), survey.label_path(i), *(int(c[i]) for c in columns))
        for i in range(len(survey))
    ]


SPEC = TaskSpec("detect", 1)
PLAN = [("train", 4), ("train", 0), ("train", 7), ("val", 3), ("val", 2), ("test", 1)]


def build(listed: bool) -> Survey:
    """A survey of the same pairs, found with the chunks or listed before."""
    parts = [
        part_of(name, f"/{name}{i % 2}", [f"{i}_{k}ü.jpg" for k in range(n)], i)
        for i, (name, n) in enumerate(PLAN)
    ]
    names = list(dict.fromkeys(name for name, _ in PLAN))
    nothing = part_of("x", "/x", [], 0)
    splits = [replace(nothing, name=name) for name in names[:-1]]  # the last one is not known before
    if listed:
        builder = SurveyBuilder(Dataset("/", "/", None, splits, "detect", 1, {}), SPEC)
        for part in parts:
            builder.add(summary(len(part), len(part)), part)
        splits = list(builder.finish().dataset.splits)
        splits = [s.take(range(len(s))) for s in splits]
        builder = SurveyBuilder(Dataset("/", "/", None, splits, "detect", 1, {}), SPEC)
        for part in parts:
            builder.add(summary(len(part), len(part)))
        return builder.finish()
    builder = SurveyBuilder(Dataset("/", "/", None, splits, "detect", 1, {}), SPEC)
    for part in parts:
        builder.add(summary(len(part), len(part)), part)
    return builder.finish()


@pytest.mark.parametrize("held", [0, 3, 5, 12, 1000])
def test_pairs_that_come_with_chunks_are_as_those_that_were_listed(held: int) -> None:
    expected = build(listed=True)
    paths = {path for _, image, label, *_ in described(expected) for path in (image, label) if path}
    assert "/train0/a/0_0ü.jpg" in paths or "/train0/b/0_0ü.jpg" in paths or len(paths) > 10
    with patch("sanitizer.rules.survey.PAIRS_HELD", held):
        found = build(listed=False)
    assert [s.name for s in found.dataset.splits] == ["train", "val", "test"]
    assert [len(s) for s in found.dataset.splits] == [11, 5, 1]
    assert isinstance(found.n_rows, FileColumn) == (held < 17)
    assert described(found) == described(expected)
    assert found.splits == expected.splits
    assert found.split_start.tolist() == expected.split_start.tolist() == [0, 11, 16, 17]
    for split, other in zip(found.dataset.splits, expected.dataset.splits, strict=True):
        assert split.chunk(0, len(split)) == other.chunk(0, len(other))


def test_splits_add_up() -> None:
    survey = build(listed=False)
    for split, sums, start in zip(
        survey.dataset.splits, survey.splits, survey.split_start.tolist(), strict=False
    ):
        pairs = slice(start, start + len(split))
        has_image = np.array(split.has_image[:])
        assert sums.images == has_image.sum()
        assert sums.labels == (survey.label_digest[pairs] != 0).sum()
        assert sums.boxes == survey.n_rows[pairs].sum()
        assert sums.dropped == (survey.dropped[pairs] & has_image).sum()
        assert sums.background == (survey.background[pairs] & has_image).sum()
        assert sums.rewritten == survey.rewritten[pairs].sum()


def test_pairs_that_do_not_fit_their_chunk_are_a_defect() -> None:
    builder = SurveyBuilder(Dataset("/", "/", None, (), "detect", 1, {}), SPEC)
    with pytest.raises(ValueError, match="a chunk of 3 pairs comes with 2 of split 'train'"):
        builder.add(summary(3, 1), part_of("train", "/t", ["a.jpg", "b.jpg"], 1))


@pytest.mark.thorough
def test_small_scans_write_no_temporary_file(flawed_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(SpillFile, "__init__", refuse)
    report = scan(flawed_set, cache=False)
    assert isinstance(report.findings, list) and isinstance(report.dropped, frozenset)
    for name in FORMATS:
        render(report, name)


def test_every_limit_is_one_that_there_is() -> None:
    import importlib

    for name, limit in LIMITS.items():
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) > limit
    assert FindingLog().note is None


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_leaves_no_temporary_file(tmp_path: Path) -> None:
    script = """
import sys, time
from sanitizer.util.spill import SpillFile
file = SpillFile("numbers")
file.append(b"x" * 1000)
print("written", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        (sys.executable, "-c", script), stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.kill()
    process.communicate()
    assert list(tmp_path.iterdir()) == []
