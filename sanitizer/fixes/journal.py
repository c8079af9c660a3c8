"""The journal: what a fix is about to change, with the original bytes, on disk before anything is changed.

    <dataset root>/.sanitize/runs/<id>/run.json     which files, and hashes of what they were and will be
    <dataset root>/.sanitize/runs/<id>/blobs/<hash>  the original bytes, by SHA-256
    <dataset root>/.sanitize/runs/<id>/done          there once every change was made

A run appears under its name in one step, complete. Label and image folders are never written to but for the
changes themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from sanitizer.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = ".sanitize"
SCHEMA = 1
_MANIFEST, _DONE, _BLOBS = "run.json", "done", "blobs"


class JournalError(Exception):
    """A fix or an undo cannot be carried out; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that a run changes.

    Attributes:
        path: POSIX path relative to the root, of the file itself where a link leads to it.
        before: SHA-256 of its bytes before the run.
        after: SHA-256 of its bytes after it; None where it is taken away.
        renamed_to: Its path after the run, where that is another.
        mode: Permission bits.
        atime_ns, mtime_ns: Its times before the run.
        derived: Made by training from the labels, such as a label cache: nobody edits it by hand.
    """

    path: str
    before: str
    after: str | None
    renamed_to: str | None
    mode: int
    atime_ns: int
    mtime_ns: int
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One journalled run of `fix`."""

    root: str
    id: str
    entries: Sequence[Entry]

    @property
    def folder(self) -> str:
        """Where its journal lies."""
        return os.path.join(runs_folder(self.root), self.id)

    @property
    def is_done(self) -> bool:
        """Whether every change was made; False after a crash."""
        return os.path.exists(os.path.join(self.folder, _DONE))

    def original(self, entry: Entry) -> bytes:
        """The bytes that the file had before the run. JournalError where the journal itself was damaged."""
        content = _read(os.path.join(self.folder, _BLOBS, entry.before))
        if digest(content) != entry.before:
            raise JournalError(
                f"the journal of run {self.id} is damaged: its copy of {entry.path} has changed"
            )
        return content

    def absolute(self, path: str) -> str:
        """Absolute path of an entry's file."""
        return os.path.join(self.root, path)

    def temporary(self, number: int, path: str) -> str:
        """Where new bytes of entry `number` wait, beside the file that they are to become."""
        return os.path.join(os.path.dirname(self.absolute(path)), f".sanitize-{self.id}-{number}.part")

    def mark_done(self) -> None:
        """Say that every change was made."""
        write_atomically(os.path.join(self.folder, _DONE), b"")
        sync_folder(self.folder)

    def remove(self) -> None:
        """Forget the run; without any other, the whole journal goes.

        It is forgotten once it has lost its name; what else cannot be cleared away the next fix or undo clears.
        """
        gone = f"{self.folder}.part"
        os.rename(self.folder, gone)
        shutil.rmtree(gone, ignore_errors=True)
        if not os.listdir(runs_folder(self.root)):
            shutil.rmtree(os.path.join(self.root, FOLDER), ignore_errors=True)


def runs_folder(root: str) -> str:
    """Folder of all runs of a dataset."""
    return os.path.join(root, FOLDER, "runs")


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def write_run(root: str, entries: Sequence[Entry], originals: Mapping[str, bytes]) -> Run:
    """Put a run on disk, complete and flushed, before any of its changes is made. OSError where that fails.

    Args:
        root: Absolute, real path of the dataset's root.
        entries: What is going to be changed.
        originals: The bytes of each `Entry.before`.
    """
    folder = runs_folder(root)
    os.makedirs(folder, exist_ok=True)
    number = max((_number(name) for name in os.listdir(folder)), default=0) + 1
    run = Run(root, f"{number:04}-{time.strftime('%Y%m%d-%H%M%S')}", tuple(entries))
    part = f"{run.folder}.part"
    try:
        write_atomically(os.path.join(root, FOLDER, ".gitignore"), b"*\n")
        os.makedirs(os.path.join(part, _BLOBS))
        for name, content in originals.items():
            write_atomically(os.path.join(part, _BLOBS, name), content)
        manifest = {"schema": SCHEMA, "entries": [asdict(e) for e in entries]}
        write_atomically(os.path.join(part, _MANIFEST), json.dumps(manifest, indent=1).encode())
        sync_folder(os.path.join(part, _BLOBS))
        sync_folder(part)
        os.rename(part, run.folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    for made in (folder, os.path.dirname(folder), root):
        sync_folder(made)
    return run


def read_runs(root: str) -> list[Run]:
    """All runs of a dataset, oldest first. JournalError where one cannot be read."""
    folder = runs_folder(root)
    names = [n for n in _names(folder) if not n.endswith(".part")]
    return [_read_run(root, name) for name in sorted(names, key=_number)]


def _read_run(root: str, name: str) -> Run:
    path = os.path.join(runs_folder(root), name, _MANIFEST)
    try:
        manifest = json.loads(_read(path))
        if manifest["schema"] != SCHEMA:
            raise JournalError(
                f"{path}: a journal of schema {manifest['schema']}, this version reads {SCHEMA}"
            )
        run = Run(root, name, tuple(Entry(**entry) for entry in manifest["entries"]))
    except (ValueError, TypeError, KeyError) as error:
        raise JournalError(f"{path}: no journal of sanitize, or a damaged one") from error
    for entry in run.entries:
        for relative in filter(None, (entry.path, entry.renamed_to)):
            folder = os.path.realpath(os.path.dirname(run.absolute(relative)))
            if folder != root and not folder.startswith(root.rstrip(os.sep) + os.sep):
                raise JournalError(f"{path}: names {relative}, which is outside the dataset")
    return run


@contextlib.contextmanager
def locked(root: str) -> Iterator[None]:
    """Keep a second fix or undo away from the dataset, and clear what a killed one left half-written."""
    folder = runs_folder(root)
    for made in (folder, os.path.dirname(folder)):
        # A dataset from elsewhere may bring a journal along that leads out of it.
        if os.path.islink(made):
            raise JournalError(f"{made} is a link, and the journal must be a folder: remove the link")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"{os.path.join(root, FOLDER)}: {error.strerror}; the journal is kept there, so nothing was changed"
        ) from error
    try:
        with open(os.path.join(root, FOLDER, "lock"), "ab") as file:
            _lock(file.fileno(), root)
            for name in _names(folder):
                if name.endswith(".part"):
                    shutil.rmtree(os.path.join(folder, name))
            yield
    finally:
        if not _names(folder):
            shutil.rmtree(os.path.join(root, FOLDER), ignore_errors=True)


def _lock(descriptor: int, root: str) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are then up to the user
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(f"another fix or undo is at work on {root}: wait until it has finished") from None


def located(root: str, error: OSError) -> str:
    """The file that an error is about, relative to the root where it is below."""
    name = os.fsdecode(error.filename) if error.filename else root
    return os.path.relpath(name, root) if name.startswith(root + os.sep) else name


def sync_folder(folder: str) -> None:
    """Flush the names in a folder to disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _number(name: str) -> int:
    head = name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
