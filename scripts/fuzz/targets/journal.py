"""run.json: a journal that a dataset brings is refused in a sentence; undo changes no file that a fix would not change.

The run that inputs are made from is a real one. It lies in the dataset as its maker left it, but for its run.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

from sanitizer.fixes.fixing import fix
from sanitizer.fixes.journal.runs import JournalError, read_runs
from sanitizer.fixes.undo import undo
from targets.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4096
ROW = b"0 0.5 0.5 0.4 0.3\n"
LABEL, OTHER_LABEL, CACHE = "labels/a.txt", "labels/b.txt", "labels.cache"
TREE = {
    "data.yaml": b"train: images\nval: images\nnames: [a]\n",
    "images/a.jpg": b"\xff\xd8\xff\xd9",
    "images/b.jpg": b"\xff\xd8\xff\xd9",
    LABEL: ROW + ROW,
    OTHER_LABEL: ROW,
    CACHE: b"cache",
    ".git/hooks/pre-commit.sample": ROW,
    "../elsewhere/labels/a.txt": ROW,
}
"""Path relative to the dataset's root, to content. One row stands twice in `a.txt`: a fix has something to do."""
WRONG_PLACES = (
    *(
        "images/a.jpg",
        "data.yaml",
        ".git/hooks/pre-commit",
        "../elsewhere/labels/a.txt",
        "labels/../data.yaml",
    ),
    *(
        "/etc/passwd",
        ".sanitize/lock",
        ".",
        "",
        "labels",
        "labels/a.txt/b",
        "labels/\0.txt",
        "labels/\ud800.txt",
    ),
)
WORDS = (
    *(
        b'"schema": 1',
        b'"entries"',
        b'"path"',
        b'"before"',
        b'"after"',
        b'"renamed_to"',
        b'"mode"',
        b'"derived"',
    ),
    *(
        b'"atime_ns"',
        b'"mtime_ns"',
        b"true",
        b"null",
        b"493",
        b"1" * 40,
        b"-1",
        b"1e400",
        b'"\\u0000"',
        b'"\\ud800"',
    ),
    *(json.dumps(place).encode() for place in (LABEL, OTHER_LABEL, "labels/A.txt", CACHE, *WRONG_PLACES)),
)


def seeds() -> Iterator[bytes]:
    """The run as it was made, and runs that name what they must not."""
    made = _template()[1]
    yield made
    for name in WRONG_PLACES:
        yield _changed(path=name)
        yield _changed(renamed_to=name)
        yield _changed(path=name, derived=True)
        yield _changed(before=name)
    yield _changed(renamed_to=OTHER_LABEL)
    yield _changed(path=CACHE, derived=True, after=None)
    yield _changed(mode=10**30, mtime_ns=-(10**30))
    yield _changed(mode=0o777, mtime_ns=1.5, atime_ns=True)
    yield _changed(unknown=1)
    yield b'{"schema": 99}'
    yield b"[]"
    yield b'{"schema": 1, "entries": ' + b"[" * 200


def _changed(**values: object) -> bytes:
    """The run's manifest with other values in its first entry."""
    manifest: Any = json.loads(_template()[1])
    manifest["entries"][0] |= values
    return json.dumps(manifest).encode()


@cache
def _template() -> tuple[str, bytes]:
    """(name of the run, its run.json), of a fix that was really made; its folder is kept aside."""
    base = scratch()
    # The key that signs runs is made in a folder of the fuzzer's own.
    os.environ["SANITIZE_STATE_DIR"] = str(base / "state")
    os.environ["SANITIZE_CACHE_DIR"] = str(base / "cache")
    _write_tree()
    root = base / "set"
    result = fix(str(root / "data.yaml"))
    assert result.run is not None, "the fix that seeds are made from did nothing"
    shutil.copytree(root / ".sanitize", base / "journal")
    TREE[LABEL] = (root / LABEL).read_bytes()
    shutil.rmtree(root)
    return result.run, (base / "journal/runs" / result.run / "run.json").read_bytes()


def check(data: bytes) -> None:
    """See the module."""
    run, made = _template()
    base = scratch()
    root, data_yaml = base / "set", str(base / "set/data.yaml")
    if not root.exists():
        _write_tree()
    if not (root / ".sanitize/runs" / run).exists():
        shutil.rmtree(root / ".sanitize", ignore_errors=True)
        shutil.copytree(base / "journal", root / ".sanitize")
    (root / ".sanitize/runs" / run / "run.json").write_bytes(data)
    try:
        _see_entries(str(root))
        if data != made:
            with contextlib.suppress(JournalError):
                undo(data_yaml)
            assert not _differing(), f"a run of somebody else was taken back: {_differing()}"
        with contextlib.suppress(JournalError):
            undo(data_yaml, **_TRUSTING)
        assert data != made or LABEL in _differing(), "undo did not take back a run of this user"
        strange = [name for name in _differing() if not _may_change(name)]
        assert not strange, f"undo changed {strange}"
    finally:
        if _differing():
            shutil.rmtree(root)
            shutil.rmtree(base / "elsewhere")


_TRUSTING: dict[str, Any] = {"trust_journal": True}


def _see_entries(root: str) -> None:
    with contextlib.suppress(JournalError):
        for run in read_runs(root):
            for entry in run.entries:
                for path in filter(None, (entry.path, entry.renamed_to)):
                    folder = os.path.realpath(os.path.dirname(os.path.join(root, path)))
                    assert f"{folder}/".startswith(f"{root}/"), f"{path} is outside the dataset"


def _may_change(name: str) -> bool:
    """A label or a label cache, whatever its folder is called, but for folders like .git."""
    *folders, file = name.split("/")
    return not any(folder.startswith(".") for folder in folders) and file.lower().endswith((".txt", ".cache"))


def _write_tree() -> None:
    for name, content in TREE.items():
        path = scratch() / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _differing() -> list[str]:
    """Files of the dataset, and beside it, that are not as they were; the journal's are not looked at."""
    root = scratch() / "set"
    names = {name for top in (root, root.parent / "elsewhere") for name in _files(str(top), str(root))}
    return sorted(name for name in names | TREE.keys() if _content(str(root / name)) != TREE.get(name))


def _files(top: str, root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        if ".sanitize" in folders:
            folders.remove(".sanitize")
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in files)


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
