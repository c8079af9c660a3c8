"""The command line: options, exit status, what goes to stdout and what to stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from report_samples import RULES, clean, finding, flawed, report

from sanitizer.cli import COMMANDS, main, sentence
from sanitizer.config import Config, ConfigError, RuleConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sanitizer.findings.report import Report

EXAMPLES = {
    "B001": {
        "bad": [
            {"about": "a hair line", "rows": "0 .5 .5 .9 .001\n0 .5 .5 .001 .9", "image": "640x480 tail"},
            {
                "bytes": "0 .5\x00\xff\n",
                "yaml": "train: a\nval: b\n",
                "files": {"a.txt": "1\n2", "b.jpg": {"image": "8x8"}},
            },
        ],
        "good": [{"rows": "0 .5 .5 .4 .3"}],
    }
}
EXPLAINED = """
Bad
  # a hair line
  0 .5 .5 .9 .001
  0 .5 .5 .001 .9
  image: 640x480 tail
  bytes: 0 .5\\x00\\xff\\n
  yaml:
    train: a
    val: b
  files:
    a.txt: 1\\n2
    b.jpg: image 8x8

Good
  0 .5 .5 .4 .3
"""


class Run(SimpleNamespace):
    """What one call of the command line gave."""

    status: int
    out: str
    err: str


@pytest.fixture
def sanitize(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Run]:
    """Calls `main` in an empty folder, with a scan that gives a report made by hand and notes how it was called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sanitizer.rules.language.pack.load_rules", lambda packs=(): RULES)
    monkeypatch.setattr("sanitizer.rules.language.rule.examples_of", lambda source: EXAMPLES)

    def run(*argv: str, found: Report | BaseException | None = None) -> Run:
        calls: list[tuple[Sequence[str], dict[str, Any]]] = []

        def find(paths: Sequence[str], splits: Sequence[str] | None, task: str) -> Any:
            return tuple(paths), splits

        def scan(dataset: Any, started: float, **options: Any) -> Report:
            paths, splits = dataset
            calls.append((paths, {**options, "splits": splits}))
            if isinstance(found, BaseException):
                raise found
            return found or flawed()

        monkeypatch.setitem(sys.modules, "sanitizer.archives.finding", SimpleNamespace(find_dataset=find))
        monkeypatch.setitem(sys.modules, "sanitizer.scanner.run", SimpleNamespace(scan_dataset=scan))
        capsys.readouterr()
        status = main(argv)
        out, err = capsys.readouterr()
        return Run(status=status, out=out, err=err, calls=calls)

    return run


# --- exit status --------------------------------------------------------------------------------------------

WARNINGS = report([finding("B001", "thin", "a.txt", 1)])
INFOS = report([finding("C003", "rare")])


@pytest.mark.parametrize(
    ("found", "options", "status"),
    [
        (clean(), (), 0),
        (clean(), ("--fail-on", "info"), 0),
        (INFOS, (), 0),
        (INFOS, ("--fail-on", "info"), 1),
        (WARNINGS, (), 0),
        (WARNINGS, ("--fail-on", "warning"), 1),
        (flawed(), (), 1),
        (flawed(), ("--fail-on", "never"), 0),
    ],
)
def test_status_tells_whether_there_is_anything_at_or_above_fail_on(
    found: Report, options: tuple[str, ...], status: int, sanitize: Callable[..., Run]
) -> None:
    assert sanitize("scan", "data.yaml", *options, found=found).status == status


def test_the_configured_fail_on_counts_until_the_command_line_says_otherwise(
    sanitize: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "sanitize.yaml").write_text("fail-on: warning")
    assert sanitize("scan", "data.yaml", found=WARNINGS).status == 1
    assert sanitize("scan", "data.yaml", "--fail-on", "error", found=WARNINGS).status == 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("scna", "x"), "sanitize: 'scna' is no command (did you mean 'scan'?)"),
        (
            ("mend", "x"),
            "sanitize: 'mend' is no command: there are scan, fix, undo, probe, preflight, train, report, rules, demo",
        ),
        (("--versoin",), "sanitize: there is no '--versoin' here (did you mean '--version'?)"),
        (("scan",), "sanitize scan: the following arguments are required: PATH"),
        (
            ("scan", "x", "--formt", "json"),
            "sanitize scan: there is no '--formt' here (did you mean '--format'?)",
        ),
        (("scan", "x", "--form=json"), "sanitize scan: there is no '--form' here (did you mean '--format'?)"),
        (("scan", "x", "--format", "jsn"), "argument --format: there is no 'jsn' (did you mean 'json'?)"),
        (
            ("scan", "x", "--format", "parquet"),
            "argument --format: there is no 'parquet': use one of text, full, grouped, concise, json,",
        ),
        (("scan", "x", "--task", "dtect"), "argument --task: there is no 'dtect' (did you mean 'detect'?)"),
        (("scan", "x", "--images", "all"), "argument --images: there is no 'all'"),
        (
            ("scan", "x", "--fail-on", "eror"),
            "argument --fail-on: there is no 'eror' (did you mean 'error'?)",
        ),
        (("scan", "x", "--jobs", "0"), "argument --jobs: '0' is no whole number of at least 1"),
        (("scan", "x", "--imgsz", "big"), "argument --imgsz: 'big' is no whole number of at least 1"),
        (("scan", "x", "--select", ","), "argument --select: nothing is listed"),
        (
            ("scan", "x", "--set", "B001=3"),
            "'B001=3' is not of the form CODE.PARAMETER=NUMBER, as in B001.max_ratio=80",
        ),
        (("scan", "x", "--set", "B001.max_ratio"), "is not of the form"),
        (("scan", "x", "--set", "B001.max_ratio=x"), "is not of the form"),
        (("scan", "x", "--set", "B001.max_ratio=nan"), "is not of the form"),
        (("scan", "x", "--set", "B001.max_ratio.=1"), "is not of the form"),
        (
            ("scan", "x", "--output", "f.htm"),
            "f.htm: no report is known by this ending; there are .json, .jsonl",
        ),
        (("scan", "x", "--output", "no/f.json"), "no/f.json: there is no folder no"),
        (("scan", "x", "--write-baseline", "no/f.json"), "no/f.json: there is no folder no"),
        (("scan", "x", "--baseline", "a", "--write-baseline", "b"), "give one of them"),
        (("scan", "x", "--statistics", "--format", "json"), "--statistics is a view of the text report"),
        (
            ("scan", "x", "--config", "none.yaml"),
            "none.yaml: cannot read the configuration: No such file or directory",
        ),
        (("rules", "B0O1"), "sanitize rules: there is no rule 'B0O1' (did you mean 'B001'?)"),
        (("rules", "extreme-aspect"), "(did you mean 'extreme-aspect-ratio'?)"),
        (("demo", "a", "b"), "sanitize demo: there is no 'b' here"),
    ],
)
def test_wrong_usage_is_one_sentence_on_stderr(
    argv: tuple[str, ...], sentence: str, sanitize: Callable[..., Run]
) -> None:
    run = sanitize(*argv)
    assert run.status == 2
    assert run.out == ""
    assert sentence in run.err
    assert run.err.count("\n") == 1


def test_a_path_in_place_of_a_command_is_understood(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "data.yaml").touch()
    assert sanitize("data.yaml").err == "sanitize: 'data.yaml' is no command: try `sanitize scan data.yaml`\n"


def test_no_argument_at_all_gives_help_on_stderr(sanitize: Callable[..., Run]) -> None:
    run = sanitize()
    assert (run.status, run.out) == (2, "")
    assert all(command in run.err for command in COMMANDS)


@pytest.mark.parametrize(
    ("problem", "status", "err"),
    [
        (KeyboardInterrupt(), 130, "sanitize scan: interrupted\n"),
        (
            ConfigError("sanitize.yaml:3: no such thing\n  here\n  ^"),
            2,
            "sanitize scan: sanitize.yaml:3: no such thing\n",
        ),
        (OSError(errno.EACCES, "Permission denied", "x"), 2, "sanitize scan: x: Permission denied\n"),
        (MemoryError(), 2, "sanitize scan: out of memory\n"),
        (
            ValueError("a\nb"),
            2,
            "sanitize scan: a defect in sanitize (ValueError: a); set SANITIZE_TRACEBACK=1 ",
        ),
    ],
)
def test_no_failure_is_a_traceback(
    problem: BaseException, status: int, err: str, sanitize: Callable[..., Run]
) -> None:
    run = sanitize("scan", "data.yaml", found=problem)
    assert (run.status, run.out) == (status, "")
    assert run.err.startswith(err)
    assert run.err.count("\n") == 1


def test_what_a_library_raises_is_not_called_our_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions of Ultralytics cannot train every task."""
    library = ModuleType("ultralytics")
    library.__version__ = "8.4.0"
    exec("def loss():\n    a, b = [1]", library.__dict__)
    monkeypatch.setitem(sys.modules, "ultralytics", library)
    with pytest.raises(ValueError, match="not enough values") as failed:
        library.loss()
    assert sentence(failed.value).startswith(
        "an error inside ultralytics 8.4.0 (ValueError: not enough values"
    )


@pytest.mark.parametrize(
    "problem", [ZeroDivisionError(), OSError(errno.EACCES, "Permission denied", "x"), MemoryError()]
)
def test_a_defect_shows_its_traceback_when_asked(
    problem: Exception, sanitize: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANITIZE_TRACEBACK", "1")
    with pytest.raises(type(problem)):
        sanitize("scan", "data.yaml", found=problem)


# --- options ------------------------------------------------------------------------------------------------


def test_a_bare_scan_leaves_every_choice_to_the_scan(sanitize: Callable[..., Run]) -> None:
    ((paths, options),) = sanitize("scan", "a", "b").calls
    assert paths == ("a", "b")
    assert options == {
        "config": Config(), "task": "auto", "images": "auto", "splits": None, "jobs": None,
        "engine": "local", "cache": True, "progress": False, "ultralytics": None,
    }  # fmt: skip


def test_options_reach_the_scan(sanitize: Callable[..., Run]) -> None:
    run = sanitize(
        "scan", "x", "--task", "obb", "--images", "none", "--split", "train,val", "--split", "test", "--jobs", "3",
        "--no-cache", "--ultralytics", "8.3.40",
        "--select", "B001, C", "--select", "L", "--ignore", "B0", "--imgsz", "1280",
        "--set", "B001.max_ratio=80", "--set", "B001.max_ratio.crack=2000", "--set=B001.max_ratio.3=-1",
        "--baseline", "known.json", "--engine", "ray",
    )  # fmt: skip
    ((_, options),) = run.calls
    assert options == {
        "config": Config(
            select=("B001", "C", "L"),
            ignore=("B0",),
            rules={"B001": RuleConfig(None, {"max_ratio": 80}, {"crack": {"max_ratio": 2000}, 3: {"max_ratio": -1}})},
            baseline=os.path.abspath("known.json"),
            imgsz=1280,
        ),
        "task": "obb", "images": "none", "splits": ["train", "val", "test"], "jobs": 3, "cache": False,
        "ultralytics": "8.3.40",
        "engine": "ray", "progress": False,
    }  # fmt: skip


def test_the_command_line_wins_over_the_configuration(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "sanitize.yaml").write_text(
        "{select: [C], ignore: [B001], imgsz: 320, rules: {B001: {severity: error, params: {max_ratio: 9, b: 1}}}}"
    )
    added = sanitize("scan", "x", "--ignore", "B007", "--set", "B001.max_ratio=80").calls[0][1]["config"]
    assert (added.select, added.ignore, added.imgsz) == (("C",), ("B001", "B007"), 320)
    assert added.rules["B001"].params == {"max_ratio": 80, "b": 1}
    assert added.rules["B001"].severity is not None
    replaced = sanitize("scan", "x", "--select", "B001").calls[0][1]["config"]
    assert (replaced.select, replaced.ignore) == (("B001",), ())


@pytest.mark.parametrize(
    ("paths", "source"),
    [
        (["set/data.yaml"], "set/sanitize.yaml"),
        (["set"], "set/sanitize.yaml"),
        (["set/labels/a.txt", "set/images/a.jpg"], "set/sanitize.yaml"),
        (["set/labels/a.txt", "other/a.txt"], "sanitize.yaml"),
    ],
)
def test_the_configuration_is_that_of_the_dataset(
    paths: list[str], source: str, sanitize: Callable[..., Run], tmp_path: Path
) -> None:
    for folder in ("set/labels", "set/images", "other"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("set/sanitize.yaml", "sanitize.yaml"):
        (tmp_path / path).touch()
    run = sanitize("scan", *paths)
    assert run.calls[0][1]["config"].source == str(tmp_path / source)
    assert run.err.startswith(f"note: configuration: {source}\n")


def test_write_baseline_puts_every_finding_off(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "sanitize.yaml").write_text("baseline: old.json")
    run = sanitize("scan", "x", "--write-baseline", "new.json")
    assert run.status == 0
    assert run.calls[0][1]["config"].baseline is None
    assert set(json.loads((tmp_path / "new.json").read_text())["findings"]) == {
        f.fingerprint for f in flawed().findings
    }
    assert "8 findings written" in run.err
    assert "Nothing new" in run.out


# --- what goes where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "format_name", ["text", "json", "jsonl", "csv", "sarif", "github", "gitlab", "junit"]
)
def test_stdout_holds_the_report_alone(format_name: str, sanitize: Callable[..., Run]) -> None:
    from sanitizer.reports.formats import render

    run = sanitize("scan", "data.yaml", "--format", format_name, "--output", "f.json")
    assert run.out == render(flawed(), format_name).replace("\udcff", "\\xff")
    assert run.err == "note: only image headers were read\n"


def test_quiet_leaves_findings_alone(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "sanitize.yaml").touch()
    run = sanitize("scan", "data.yaml", "--quiet")
    assert run.err == ""
    assert len(run.out.splitlines()) == len(flawed().findings)
    assert sanitize("scan", "data.yaml", "--quiet", found=clean()).out == ""


def test_statistics_take_the_place_of_findings(sanitize: Callable[..., Run]) -> None:
    out = sanitize("scan", "data.yaml", "--statistics").out
    assert "labels/train/a,b.txt:3" not in out
    assert "       2      1  C001  error     class-out-of-range\n" in out
    assert "    0    30  76.9%  ship\n" in out


def test_every_output_file_is_written(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    sanitize(
        "scan", "x", "--output", "a.json", "--output", "b.csv", "--output", "c.xml", "--output", "d.sarif"
    )
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.csv", "c.xml", "d.sarif"]
    assert json.loads((tmp_path / "a.json").read_text())["summary"]["by_rule"]["C001"] == 2


def test_an_output_that_cannot_be_written_is_told(sanitize: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "f.json").mkdir()
    run = sanitize("scan", "x", "--output", "f.json")
    assert (run.status, run.err) == (2, "sanitize scan: f.json: is a folder, and a file is to be written\n")
    assert run.calls == []


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_and_no_color_is_honoured(
    environment: dict[str, str], coloured: bool, sanitize: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", Terminal(buffer, encoding="utf-8"))
    sanitize("scan", "data.yaml")
    assert (b"\x1b[" in buffer.getvalue()) is coloured


def test_a_terminal_without_unicode_gets_escapes(
    sanitize: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    assert sanitize("scan", "data.yaml").status == 1
    assert b"(900 \\xd7 1 px)" in buffer.getvalue()


# --- rules --------------------------------------------------------------------------------------------------


def test_rules_lists_one_a_line(sanitize: Callable[..., Run]) -> None:
    lines = sanitize("rules").out.splitlines()
    assert lines[0] == "B001  warning  extreme-aspect-ratio  Why B001 matters"
    assert len(lines) == len(RULES) + 2


@pytest.mark.parametrize("name", ["B001", "b001", "extreme-aspect-ratio"])
def test_rules_explains_one(name: str, sanitize: Callable[..., Run]) -> None:
    out = sanitize("rules", name).out
    assert out.startswith("B001 extreme-aspect-ratio (warning)\n")
    for part in ("Why B001 matters.", "Training trains on B001.", "Fires when\n  w > 0", "Look at the"):
        assert part in out
    assert out.endswith(EXPLAINED)


def test_rules_takes_a_prefix(sanitize: Callable[..., Run]) -> None:
    assert [line.split()[0] for line in sanitize("rules", "C").out.splitlines()[:2]] == ["C001", "C003"]


def test_rules_are_given_as_data(sanitize: Callable[..., Run]) -> None:
    everything = json.loads(sanitize("rules", "--format", "json").out)
    assert [r["code"] for r in everything] == list(RULES)
    one = json.loads(sanitize("rules", "B001", "--format", "json").out)
    assert one == everything[0]
    assert one["severity"] == "warning"


def test_every_built_in_rule_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    from sanitizer.rules.language.pack import load_rules

    for code in load_rules():
        assert main(["rules", code]) == 0
        out = capsys.readouterr().out
        for title in ("Why", "What training does with it", "What to do", "Bad", "Good"):
            assert f"\n{title}\n  " in out, f"{code} has no {title}"
        assert main(["rules", code, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["code"] == code


@pytest.mark.parametrize("command", ["fix", "probe", "preflight", "train"])
def test_help_offers_the_tasks_that_a_command_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "--task TASK auto, detect, segment, pose, obb (default auto)" in " ".join(
        capsys.readouterr().out.split()
    )
