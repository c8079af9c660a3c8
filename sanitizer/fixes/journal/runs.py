"""The journal: what a fix is about to change, with the original bytes, on disk before anything is changed.

    <dataset root>/.sanitize/runs/<id>/run.json     which files, and hashes of what they were and will be
    <dataset root>/.sanitize/runs/<id>/signature    says that this user made the run
    <dataset root>/.sanitize/runs/<id>/blobs/<hash>  the original bytes, by SHA-256
    <dataset root>/.sanitize/runs/<id>/done          there once every change was made
    <dataset root>/.sanitize/lock                   held by the fix or undo that is at work

A run appears under its name in one step, complete. Label and image folders are never written to but for the
changes themselves. A dataset may bring a journal along: no link in it is followed, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from sanitizer.fixes.journal.manifest import Entry, JournalError, damaged, decode, encode
from sanitizer.fixes.journal.signing import is_signed, sign
from sanitizer.util.bounded_read import MIB, NotRegularError, TooLargeError, read_stream
from sanitizer.util.escape import legible
from sanitizer.util.folder import Folder, NoFolderError, open_folder
from sanitizer.util.paths import is_inside, join_path, posix, real_path, relative_to

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["FOLDER", "MAX_FILE_BYTES", "Entry", "JournalError", "Run", "digest", "interrupted_runs", "located",
           "locked", "read_runs", "run_ids", "write_run"]  # fmt: skip

FOLDER = ".sanitize"
MAX_FILE_BYTES = 512 * MIB
"""The largest file that a fix changes: its bytes are held in memory."""
_RUNS, _LOCK, _IGNORE = "runs", "lock", ".gitignore"
_MANIFEST, _SIGNATURE, _DONE, _BLOBS, _PART = "run.json", "signature", "done", "blobs", ".part"
_RUN_ID = re.compile(r"([0-9]{4,18})-[0-9]{8}-[0-9]{6}")
_HIGHEST_NUMBER = 10**18 - 1
_MAX_MANIFEST_BYTES = 1024 * MIB
_MAX_FOREIGN_MANIFEST_BYTES = 24 * MIB
"""Of a run that somebody else made: what the parser makes of it takes up to some thirty times as much memory."""
_SIGNATURE_BYTES = 64
_IGNORE_PART = re.compile(r"\.gitignore\.[0-9a-f]{16}\.part")
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Run:
    """One journalled run of `fix`. `is_own` says that this user made it: its signature is right."""

    root: str
    id: str
    entries: Sequence[Entry]
    is_own: bool

    @property
    def folder(self) -> str:
        """Where its journal lies."""
        return join_path(runs_folder(self.root), self.id)

    @property
    def is_done(self) -> bool:
        """Whether every change was made; False after a crash. JournalError where its mark is a link or no file."""
        return _is_done(self.root, self.id)

    def original(self, entry: Entry) -> bytes:
        """The bytes that the file had before the run. JournalError where the journal itself was damaged."""
        with _in_sentences(), open_folder(self.root, f"{FOLDER}/{_RUNS}/{self.id}/{_BLOBS}") as blobs:
            content = blobs.read(entry.before, MAX_FILE_BYTES)
        if digest(content) != entry.before:
            raise JournalError(
                f"the journal of run {self.id} is damaged: its copy of {legible(entry.path)} has changed"
            )
        return content

    def original_size(self, entry: Entry) -> int:
        """Number of bytes that the file had before the run, by the size of its copy."""
        with _in_sentences(), open_folder(self.root, f"{FOLDER}/{_RUNS}/{self.id}/{_BLOBS}") as blobs:
            return blobs.status(entry.before).st_size

    def temporary(self, number: int) -> str:
        """Name by which new bytes of entry `number` wait, in the folder of the file that they are to become."""
        return f".sanitize-{self.id}-{number}{_PART}"

    def mark_done(self) -> None:
        """Say that every change was made."""
        with open_folder(self.root, f"{FOLDER}/{_RUNS}/{self.id}") as folder:
            folder.write(_DONE, b"")
            folder.sync()

    def remove(self) -> None:
        """Forget the run.

        It is forgotten once it has lost its name; what else cannot be cleared away the next fix or undo clears.
        """
        with open_folder(self.root, f"{FOLDER}/{_RUNS}") as runs:
            runs.replace(self.id, self.id + _PART)
            runs.remove_tree(self.id + _PART)


def runs_folder(root: str) -> str:
    """Folder of all runs of a dataset."""
    return join_path(root, FOLDER, _RUNS)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def write_run(root: str, entries: Sequence[Entry], originals: Mapping[str, bytes]) -> Run:
    """Put a run on disk, complete and flushed, before any of its changes is made. OSError where that fails.

    Args:
        root: Absolute, real path of the dataset's root.
        entries: What is going to be changed.
        originals: The bytes of each `Entry.before`.

    Raises:
        JournalError: There is no key to sign it with, or the journal holds what it must not.
    """
    manifest = encode(entries)
    if len(manifest) > _MAX_MANIFEST_BYTES:
        raise JournalError(
            f"{len(entries):,} files are too many for one run: fix less at a time, by --split or --select;"
            " nothing was changed"
        )
    number = max((_number(name) for name in run_ids(root)), default=0) + 1
    if number > _HIGHEST_NUMBER:
        last = join_path(runs_folder(root), run_ids(root)[-1])
        raise JournalError(f"{last} leaves no number for another run: remove it; nothing was changed")
    run = Run(root, f"{number:04}-{time.strftime('%Y%m%d-%H%M%S')}", tuple(entries), is_own=True)
    signature = sign(run.id, manifest)
    part = run.id + _PART
    with (
        open_folder(root, FOLDER, make=True) as journal,
        open_folder(root, f"{FOLDER}/{_RUNS}", make=True) as runs,
    ):
        try:
            _keep_out_of_git(journal)
            with open_folder(runs.path, f"{part}/{_BLOBS}", make=True) as blobs:
                for name, content in originals.items():
                    blobs.write(name, content)
                blobs.sync()
            with open_folder(runs.path, part) as folder:
                folder.write(_MANIFEST, manifest)
                folder.write(_SIGNATURE, signature.encode())
                folder.sync()
            runs.replace(part, run.id)
        except BaseException:
            runs.remove_tree(part)
            raise
        runs.sync()
        journal.sync()
    with open_folder(root) as above:
        above.sync()
    return run


def _keep_out_of_git(journal: Folder) -> None:
    """Write the file that keeps git from taking the journal in; where it is there already, it is put in its place."""
    part = f"{_IGNORE}.{os.urandom(8).hex()}{_PART}"
    try:
        journal.write(part, b"*\n")
        journal.replace(part, _IGNORE)
    finally:
        with contextlib.suppress(OSError):
            journal.unlink(part)


def run_ids(root: str) -> list[str]:
    """Ids of all runs of a dataset, oldest first. JournalError where a folder of the journal is a link."""
    with (
        _in_sentences(),
        contextlib.suppress(FileNotFoundError),
        open_folder(root, f"{FOLDER}/{_RUNS}") as runs,
    ):
        return sorted(filter(_RUN_ID.fullmatch, runs.names()), key=lambda name: (_number(name), name))
    return []


def read_runs(root: str, since: str | None = None) -> list[Run]:
    """All runs of a dataset, oldest first, or those from the id `since` on. JournalError where one cannot be read."""
    ids = run_ids(root)
    return [_read_run(root, name) for name in (ids if since is None else ids[ids.index(since) :])]


def interrupted_runs(root: str) -> Iterator[Run]:
    """Runs that a kill has left in their middle, the latest first.

    Raises:
        JournalError: One cannot be read, or this user did not make it.
    """
    for name in reversed(run_ids(root)):
        if _is_done(root, name):
            continue
        run = _read_run(root, name)
        if not run.is_own:
            raise JournalError(
                f"an earlier fix (run {name}) was interrupted, and it was not made by you on this machine and with this"
                " version: `sanitize undo --trust-journal` shows what taking it back would write, and takes it back;"
                f" to keep the labels as they are, remove {run.folder}"
            )
        yield run


def _read_run(root: str, name: str) -> Run:
    with _in_sentences(), open_folder(root, f"{FOLDER}/{_RUNS}/{name}") as folder:
        path = join_path(folder.path, _MANIFEST)
        signature = _signature_in(folder)
        with folder.open(_MANIFEST) as file:
            if os.fstat(file.fileno()).st_size > _MAX_MANIFEST_BYTES:
                raise TooLargeError(errno.EFBIG, "larger than the limit of a run", path)
            is_own = is_signed(name, iter(partial(file.read, MIB), b""), signature)
            file.seek(0)
            limit = _MAX_MANIFEST_BYTES if is_own else _MAX_FOREIGN_MANIFEST_BYTES
            manifest = read_stream(file, limit, path)
    run = Run(root, name, decode(manifest, path), is_own)
    for folder_name in {os.path.dirname(entry.path) for entry in run.entries}:
        real = real_path(join_path(root, folder_name))
        if not is_inside(real, root):
            raise damaged(path, f"names {legible(folder_name)}, which is outside the dataset")
    return run


def _signature_in(folder: Folder) -> bytes:
    try:
        return folder.read(_SIGNATURE, _SIGNATURE_BYTES)
    except (FileNotFoundError, TooLargeError):
        return b""


def _is_done(root: str, name: str) -> bool:
    with _in_sentences(), open_folder(root, f"{FOLDER}/{_RUNS}/{name}") as folder:
        return _holds_file(folder, _DONE)


def _holds_file(folder: Folder, name: str) -> bool:
    """Whether there is a file of that name. NotRegularError where it is a link or no regular file."""
    if not folder.holds(name):
        return False
    folder.open(name).close()
    return True


@contextlib.contextmanager
def _in_sentences() -> Iterator[None]:
    """Make what goes wrong while the journal is read a JournalError: what a fix has written there can be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise JournalError(
            f"{error.filename} is missing, so that this run cannot be used; nothing was changed. To go on without it,"
            " remove its folder in .sanitize/runs"
        ) from error
    except OSError as error:
        raise JournalError(
            f"{error.filename}: {error.strerror}; the journal has nothing like that, and nothing was changed:"
            " remove it, or what is in its place"
        ) from error


@contextlib.contextmanager
def locked(root: str) -> Iterator[None]:
    """Keep a second fix or undo away from the dataset, and clear what a killed one left half-written.

    Raises:
        JournalError: Another one is at work, or there is no place for the journal.
    """
    try:
        lock = _take_lock(root)
    except (NoFolderError, NotRegularError) as error:
        raise JournalError(
            f"{error.filename}: {error.strerror}; the journal is kept there, without links: remove it; nothing was"
            " changed"
        ) from error
    except OSError as error:
        with contextlib.suppress(OSError):  # only folders without anything in them go
            os.rmdir(runs_folder(root))
        with contextlib.suppress(OSError):
            os.rmdir(join_path(root, FOLDER))
        raise JournalError(
            f"{join_path(root, FOLDER)}: {error.strerror}; the journal is kept there, so nothing was changed"
        ) from error
    try:
        _clear_half_written(root)
        yield
    finally:
        if sys.platform == "win32":  # which removes no open file
            os.close(lock)
        _remove_empty_journal(root)  # under the lock: whoever waits for it sees that its file is gone
        if sys.platform != "win32":
            os.close(lock)


def _take_lock(root: str) -> int:
    """Descriptor of the locked file; the journal's folders are made. JournalError where somebody else holds it."""
    for _ in range(_TRIES):
        # Whoever held the lock before may remove the empty journal between any two of these steps.
        with contextlib.suppress(FileNotFoundError), open_folder(root, FOLDER, make=True) as journal:
            journal.enter(_RUNS, make=True).close()
            _holds_file(journal, _IGNORE)
            lock = journal.open_or_create(_LOCK)
            try:
                _lock(lock, root)
                if os.path.samestat(os.fstat(lock), journal.status(_LOCK)) and journal.holds(_RUNS):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
    raise _busy(root)


def _lock(descriptor: int, root: str) -> None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise _busy(root) from None


def _busy(root: str) -> JournalError:
    return JournalError(f"another fix or undo is at work on {root}: wait until it has finished")


def _clear_half_written(root: str) -> None:
    with _in_sentences(), open_folder(root, FOLDER) as journal:
        for name in filter(_IGNORE_PART.fullmatch, journal.names()):
            journal.unlink(name)
        with open_folder(journal.path, _RUNS) as runs:
            for name in runs.names():
                if name.endswith(_PART) and _RUN_ID.fullmatch(name.removesuffix(_PART)):
                    runs.remove_tree(name)


def _remove_empty_journal(root: str) -> None:
    """Without any run there need be no journal: what of it is ours goes, and what else is there stays."""
    with contextlib.suppress(OSError), open_folder(root) as above:
        with open_folder(root, FOLDER) as journal:
            journal.rmdir(_RUNS)
            journal.unlink(_IGNORE)
            journal.unlink(_LOCK)
        above.rmdir(FOLDER)


def located(root: str, error: OSError) -> str:
    """The file that an error is about, relative to the root where it is below."""
    name = os.fsdecode(error.filename) if error.filename else root
    return relative_to(name, root) if posix(name).startswith(f"{root}/") else name


def _number(run_id: str) -> int:
    return int(run_id.partition("-")[0])
