"""Journals that a dataset brings along, and a limit on how long reading them may take."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from example_files import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GOOD = "0 0.5 0.5 0.4 0.3"
FLAWED = f"{GOOD}\n1 0.9 0.5 0.21 0.3\n{GOOD}\n"
FIXED = f"{GOOD}\n1 0.8975 0.5 0.205 0.3\n"
LABEL = "labels/train/example.txt"
RUN = "0001-20240101-000000"
SHIPPED = "0 0.1 0.1 0.1 0.1\n"


def flawed_dataset(folder: Path, files: Mapping[str, Any] | None = None) -> Path:
    """A dataset whose one flawed label `fix` repairs: FLAWED becomes FIXED."""
    build({"rows": FLAWED.rstrip("\n"), "files": files or {}}, folder)
    return folder


def entry(
    path: str = LABEL, before: str = SHIPPED, after: str | None = FLAWED, **more: Any
) -> dict[str, Any]:
    """One entry of a run.json: by default it says that the label, as it is, came from SHIPPED."""
    return {
        "path": path,
        "before": sha256(before.encode()).hexdigest(),
        "after": None if after is None else sha256(after.encode()).hexdigest(),
        "renamed_to": None,
        "mode": 0o644,
        "atime_ns": 10**18,
        "mtime_ns": 10**18,
        "derived": False,
        **more,
    }


def ship_run(
    folder: Path, entries: Sequence[object], blobs: Sequence[str] = (SHIPPED,), *, done: bool = False
) -> Path:
    """Put a run into the dataset that no fix of this user made; the run's folder."""
    run = folder / ".sanitize/runs" / RUN
    (run / "blobs").mkdir(parents=True)
    for content in blobs:
        (run / "blobs" / sha256(content.encode()).hexdigest()).write_text(content)
    (run / "run.json").write_text(json.dumps({"schema": 1, "entries": entries}))
    if done:
        (run / "done").touch()
    return run


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Path to content and mode of every regular file below a folder but for the journal's."""
    return {
        name: (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        if not (name := str(path.relative_to(folder))).startswith(".sanitize")
    }


def make_odd(path: Path, kind: str, elsewhere: Path) -> None:
    """Put a link to `elsewhere`, a FIFO, a folder or a file in the place of what is there."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}-before"))
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"odd")
