"""What SECURITY.md promises of datasets from strangers, tried on hostile ones with every deed written down.

No command opens a connection, starts a program, unpickles, or runs what a dataset carries; and each writes only where
it says that it does.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hostile_sets
import pytest
from audited import CANARY, REPOSITORY, Audit, audited
from example_files import build
from flawed_labels import label_texts
from hostile_labels import label_files
from hostile_sets import SETS, plain, write
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tiny_sets import tiny_set

from sanitizer.dataset.tables import TaskSpec
from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.thorough,
]

ALWAYS = ("/dev/null", "/proc/self/oom_score_adj")
"""Written to by us without leaving anything behind."""
Tree = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Sandbox:
    """A home, a cache, a folder to stand in, one for output, and one outside that nobody may touch."""

    base: Path

    def __post_init__(self) -> None:
        for name in ("home", "cache", "tmp", "cwd", "out", "outside", "bin"):
            (self.base / name).mkdir(parents=True)
        write(self.base / "outside/secret.txt", f"0 0.5 0.5 0.1 0.1\n{CANARY}\n")
        write(self.base / "outside/secret.jpg", b"\xff\xd8\xff" + CANARY.encode() + b"\xff\xd9")
        for program in ("gs", "git", "sh", "heif-convert", "dcraw"):
            write(self.base / "bin" / program, f"#!/bin/sh\necho 10.0 {CANARY} >> {self.base}/started\n")
            (self.base / "bin" / program).chmod(0o755)

    @property
    def data(self) -> Path:
        """Where the datasets lie."""
        return self.base / "data"

    @property
    def env(self) -> dict[str, str]:
        """The environment: a cache and a home of its own, and programs that say when they are started."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SANITIZE_", "PYTHON"))}
        return kept | {
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base / "tmp"),
            "SANITIZE_CACHE_DIR": str(self.base / "cache"),
            "PATH": f"{self.base / 'bin'}{os.pathsep}{kept['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *commands: Sequence[str | Path]) -> Audit:
        """Run commands, and check what no command may do."""
        before = tree(self.base / "outside")
        written = [[str(word) for word in command] for command in commands]
        allowed_s = 60 + 5 * len(written)
        audit = audited(written, self.base, self.data, self.base / "cwd", self.env, allowed_s)
        assert audit.of("network", "process", "unpickle", "compile", "run") == []
        assert all(status in (0, 1, 2) for status in audit.statuses), audit.stderr
        assert "a defect in sanitize" not in audit.stderr
        assert "Traceback" not in audit.stderr
        assert tree(self.base / "outside") == before
        assert not (self.base / "started").exists()
        assert os.listdir(self.base / "tmp") == []
        assert not list(self.base.rglob(CANARY))
        return audit

    def changed(self, audit: Audit, *allowed: Path) -> list[str]:
        """Files and folders that were written to, beside those allowed and the cache, state and temporary folders.

        A path that is relative to a folder that somebody holds open cannot be told from one below `cwd`: of these,
        the comparison of whole trees tells.
        """
        ours = [*map(str, allowed), *(str(self.base / name) for name in ("home", "cache", "tmp", "cwd"))]
        paths = {deed.what for deed in audit.of("change")} - set(ALWAYS)
        return sorted(path for path in paths if not any(f"{path}/".startswith(f"{o}/") for o in ours))


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path.resolve())


def tree(folder: Path) -> Tree:
    """Everything in a folder: kind, permission bits and time of change, and content or target."""
    found: Tree = {}
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            path = os.path.join(parent, name)
            state = os.lstat(path)
            content = ""
            if stat.S_ISREG(state.st_mode):
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            elif stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            found[os.path.relpath(path, folder)] = (state.st_mode, state.st_mtime_ns, content)
    return found


def files_of(found: Tree) -> Tree:
    """Without folders, whose times change when something in them is renamed, and without the journal."""
    return {n: s for n, s in found.items() if not stat.S_ISDIR(s[0]) and not n.startswith(".sanitize/")}


def try_all_commands(sandbox: Sandbox, roots: Sequence[Path]) -> None:
    """Scan, show, report, fix and undo datasets; see where each command writes, and what reports read.

    One process goes through all of them: it takes longer to start than to scan.
    """
    before, out = {root: tree(root) for root in roots}, sandbox.base / "out"
    commands = [reading_commands(root / "data.yaml", out / root.name) for root in roots]
    reading = sandbox.run(*chain(*commands))
    written = [root.name for root in roots if tree(root) != before[root]]
    assert written == [], "a command that only reads has changed the dataset"
    assert sandbox.changed(reading, out) == []
    forking = {deed.command for deed in reading.of("fork")}
    for number, root in enumerate(roots):
        first, end = number * len(commands[0]), (number + 1) * len(commands[0])
        assert first not in forking, f"{root.name}: processes where none were asked for"
        findings = out / root.name / "findings.json"
        declared = Path(json.loads(findings.read_text())["root"]) if findings.exists() else root
        assert read_outside(sandbox, reading, declared, range(first + 4, end)) == [], root.name

    steps = (["fix"], ["fix", "--unsafe"], ["undo"], ["undo"])
    changing = sandbox.run(*([*step, root / "data.yaml"] for root in roots for step in steps))
    strange = [p for p in sandbox.changed(changing) if not any(_may_fix(p, root) for root in roots)]
    assert strange == []
    differs = [root.name for root in roots if files_of(tree(root)) != files_of(before[root])]
    assert differs == [], "undo did not restore the dataset"


def reading_commands(data: Path, out: Path) -> list[list[str | Path]]:
    """Commands that change nothing, the first without any process of its own; from the fifth on, reports."""
    out.mkdir()
    findings = out / "findings.json"
    return [
        ["scan", data, "--images", "decode", "--jobs", "1", "--output", findings],
        ["scan", data, "--images", "header", "--jobs", "2", "--no-cache"],
        ["scan", data, "--images", "none", "--format", "sarif"],
        ["fix", data, "--diff", "--unsafe"],
        *reports(findings, out),
    ]


def reports(findings: Path, out: Path) -> list[list[str | Path]]:
    """Commands that write every kind of report."""
    command = ["report", findings]
    return [
        [*command, "--html", out / "page", "--csv", out / "sheet.csv"],
        [*command, "--cvat", out / "cvat.zip"],
        [*command, "--label-studio", out / "tasks.json"],
    ]


def read_outside(sandbox: Sandbox, audit: Audit, root: Path, commands: range) -> list[str]:
    """What commands of these numbers have read of files that are not theirs; `root`: the dataset's, which is."""
    secrets = [str(path) for path in (sandbox.base / "outside", Path("/etc/passwd")) if path != root]
    read = {deed.what for deed in audit.of("read") if deed.command in commands}
    return sorted(path for path in read if any(f"{path}/".startswith(f"{secret}/") for secret in secrets))


def _may_fix(path: str, root: Path) -> bool:
    """Whether a fix may write to a path: a label or a label cache, new bytes beside it, their folder, the journal."""
    relative = os.path.relpath(path, root)
    if f"{relative}/".startswith(".sanitize/"):
        return True
    is_label = relative.lower().endswith((".txt", ".cache", ".part")) or os.path.isdir(path)
    return f"{relative}/".startswith("labels/") and is_label


DEEDS = f"""
import sys
from audited import Recorder
sys.addaudithook(Recorder(sys.argv[1], sys.argv[2]))
import os, pickle, socket, subprocess
from contextlib import suppress

with suppress(OSError), socket.socket() as s:
    s.connect(("127.0.0.1", 9))
subprocess.run(["true"])
pickle.loads(pickle.dumps(os.path.join))
exec("{CANARY} = 1")
sys.path.insert(0, sys.argv[2])
import stranger
os.close(os.open("made", os.O_CREAT | os.O_WRONLY))
folder = os.open(".", os.O_RDONLY)
os.rename("made", "moved", src_dir_fd=folder, dst_dir_fd=folder)
open("moved").close()
if os.fork() == 0:
    os.unlink("moved")
    os._exit(0)
os.wait()
"""


def test_no_kind_of_deed_goes_unseen(tmp_path: Path) -> None:
    write(tmp_path / "stranger.py", "")
    log = tmp_path / "log"
    log.touch()
    tests = os.path.dirname(__file__)
    program = [sys.executable, "-c", DEEDS, str(log), str(tmp_path)]
    subprocess.run(program, cwd=tmp_path, env=os.environ | {"PYTHONPATH": tests}, check=True)
    seen = {(kind, what, event) for _, kind, what, event in map(json.loads, log.read_text().splitlines())}
    assert {kind for kind, _, _ in seen} == {
        *("network", "process", "unpickle", "compile", "run", "change", "read", "fork")
    }
    changes = {(os.path.basename(what), event) for kind, what, event in seen if kind == "change"}
    assert {
        ("made", "open"),
        ("made", "os.rename"),
        ("moved", "os.rename"),
        ("moved", "os.remove"),
    } <= changes


def test_hostile_datasets_run_nothing_and_are_written_to_only_by_fixes(sandbox: Sandbox) -> None:
    roots = [sandbox.data / name for name in SETS]
    for root in roots:
        SETS[root.name](root, sandbox.base / "outside")
    try_all_commands(sandbox, roots)


def test_packed_files_from_strangers_run_nothing_and_are_never_written_to(sandbox: Sandbox) -> None:
    files = hostile_sets.packed(sandbox.data / "packed")
    before = tree(sandbox.data)
    audit = sandbox.run(
        *(["scan", file, "--images", "decode", "--jobs", jobs] for file in files for jobs in "12")
    )
    assert tree(sandbox.data) == before
    assert sandbox.changed(audit) == []


def test_a_report_from_a_stranger_reads_nothing_outside_the_dataset(sandbox: Sandbox) -> None:
    root = sandbox.data / "set"
    plain(root)
    findings = sandbox.base / "out/findings.json"
    sandbox.run(["scan", root / "data.yaml", "--output", findings])
    report = json.loads(findings.read_text())
    outside = sandbox.base / "outside"
    places = [
        ("../../outside/secret.jpg", "../../outside/secret.txt"),
        (str(outside / "secret.jpg"), str(outside / "secret.txt")),
        ("images/train/0.jpg", "/etc/passwd"),
        ("images/train/link.jpg", "labels/train/link.txt"),
    ]
    (root / "images/train/link.jpg").symlink_to(outside / "secret.jpg")
    (root / "labels/train/link.txt").symlink_to(outside / "secret.txt")
    first = report["findings"][0]
    report["findings"] = [
        first
        | {"image": image, "label": label, "line": 1, "fingerprint": f"{number:016x}", "message": CANARY}
        for number, (image, label) in enumerate(places)
    ]
    findings.write_text(json.dumps(report))
    before = tree(root)
    audit = sandbox.run(*reports(findings, findings.parent))
    assert tree(root) == before
    assert sandbox.changed(audit, findings.parent) == []
    assert read_outside(sandbox, audit, root, range(len(audit.statuses))) == []


def test_what_needs_no_dataset_writes_only_its_own(sandbox: Sandbox) -> None:
    demo = sandbox.base / "out/demo"
    audit = sandbox.run(["rules"], ["rules", "B001"], ["demo", demo])
    assert sandbox.changed(audit, demo) == []


# ---- hostile inputs of other tests -----------------------------------------------------------------------------


def rule_examples() -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    for rule in load_rules().values():
        for kind, examples in rule.examples.items():
            for number, example in enumerate(examples if rule.scope != "recipe" else ()):
                if not rule.code.startswith("G"):  # of gradients: its examples are no datasets
                    yield f"{rule.code}-{kind}-{number}", example, rule.tasks


@pytest.mark.slow
def test_examples_of_all_rules_run_nothing(sandbox: Sandbox) -> None:
    made = [build(example, sandbox.data / name, tasks) for name, example, tasks in rule_examples()]
    assert len(made) > 100
    before = tree(sandbox.data)
    audit = sandbox.run(*(["scan", data, "--images", "decode", "--quiet"] for data in made))
    assert tree(sandbox.data) == before
    assert sandbox.changed(audit) == []
    audit = sandbox.run(*(["fix", data, "--unsafe", "--quiet"] for data in made))
    roots = {data.parent for data in made}
    strange = [
        p for p in sandbox.changed(audit) if not any(_may_fix(p, r) for r in roots if p.startswith(f"{r}/"))
    ]
    assert strange == []


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Values of a strategy, the same ones in every run."""
    found: list[Any] = []

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_hostile_and_flawed_labels_run_nothing(task: Any, sandbox: Sandbox) -> None:
    root = sandbox.data / "set"
    tiny_set(root, task)
    picture = (root / "images/train/0.jpg").read_bytes()
    spec = TaskSpec(task, 3, {}, (2, 3) if task == "pose" else (0, 0))
    texts = [*samples(label_files(spec), 150), *(t.encode() for t in samples(label_texts(), 150))]
    for number, text in enumerate(texts):
        write(root / f"labels/train/x{number}.txt", text)
        write(root / f"images/train/x{number}.jpg", picture)
    try_all_commands(sandbox, [root])


# ---- modules that lie in a dataset -----------------------------------------------------------------------------


def in_folder(root: Path, sandbox: Sandbox, *program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the dataset's folder as the current one, as users do."""
    env = sandbox.env | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(program, cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def set_with_modules(sandbox: Sandbox) -> Path:
    root = sandbox.data / "set"
    hostile_sets.modules(root, sandbox.base / "outside")
    return root


@pytest.mark.parametrize(
    "arguments", [["scan", "data.yaml"], ["scan", "."], ["fix", "data.yaml"], ["rules"], ["demo"]]
)
def test_the_program_imports_nothing_from_the_folder_it_stands_in(
    arguments: list[str], set_with_modules: Path, sandbox: Sandbox
) -> None:
    script = Path(sys.executable).with_name("sanitize")
    if not script.exists():
        pytest.skip("the program `sanitize` is not installed beside this Python")
    run = in_folder(set_with_modules, sandbox, str(script), *arguments)
    assert run.returncode in (0, 1), run.stderr
    assert not list(sandbox.base.rglob(CANARY))


@pytest.mark.parametrize("arguments", [["scan", "data.yaml"], ["rules"]])
def test_the_module_imports_no_package_from_the_folder_it_stands_in(
    arguments: list[str], set_with_modules: Path, sandbox: Sandbox
) -> None:
    run = in_folder(set_with_modules, sandbox, sys.executable, "-m", "sanitizer", *arguments)
    assert run.returncode in (0, 1), run.stderr
    assert not list(sandbox.base.rglob(CANARY))
