"""Carrying out a journalled run: all new bytes are staged beside their files first, then put in place by renaming.

A full disk or a read-only folder shows while nothing has been changed yet. A file is always the old one or the new.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.fixes.journal.runs import FOLDER, Entry, JournalError, digest, located, write_run
from sanitizer.fixes.journal.staging import digest_of, folder_of, holds_another, write_beside
from sanitizer.fixes.undo import clear_temporaries, restore
from sanitizer.util.folder import open_folder
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.fixes.journal.runs import Run


@dataclass(frozen=True, slots=True)
class Change:
    """One file that is to be changed.

    Attributes:
        path: POSIX path relative to the root, links resolved.
        before: Its bytes, as they were planned upon.
        after: What they are to become; None to take the file away.
        renamed_to: Its new path, where that is another.
        derived: As in `Entry`.
    """

    path: str
    before: bytes
    after: bytes | None
    renamed_to: str | None = None
    derived: bool = False


def apply_changes(root: str, changes: Sequence[Change]) -> Run:
    """Journal the changes and make them: all of them, or none.

    Raises:
        JournalError: A sentence that says what was in the way; nothing was changed.
    """
    try:
        entries = [_entry(root, change) for change in changes]
    except OSError as error:
        raise JournalError(f"{located(root, error)}: {error.strerror}; nothing was changed") from error
    try:
        run = write_run(root, entries, {e.before: c.before for e, c in zip(entries, changes, strict=True)})
    except OSError as error:
        raise JournalError(
            f"{join_path(root, FOLDER)}: {error.strerror}; the originals are kept there, so nothing was changed"
        ) from error
    begun: list[Entry] = []
    try:
        _stage(run, changes)
        _commit(run, begun)
        run.mark_done()
    except BaseException as error:
        _take_back(run, len(begun), error)
        raise
    return run


def _entry(root: str, change: Change) -> Entry:
    with folder_of(root, change.path) as (folder, name):
        with folder.open(name) as file:
            status = os.fstat(file.fileno())
            if file.read(len(change.before) + 1) != change.before:
                raise JournalError(
                    f"{change.path} was changed while the fix was planned; nothing was changed by it"
                )
        if change.renamed_to and holds_another(folder, name, os.path.basename(change.renamed_to)):
            raise JournalError(
                f"{change.path} cannot become {change.renamed_to}, which exists; nothing was changed"
            )
    after = None if change.after is None else digest(change.after)
    times = (status.st_atime_ns, status.st_mtime_ns)
    mode = status.st_mode & 0o777
    return Entry(change.path, digest(change.before), after, change.renamed_to, mode, *times, change.derived)


def _stage(run: Run, changes: Sequence[Change]) -> None:
    """Write all new bytes to disk, beside the files."""
    for number, (entry, change) in enumerate(zip(run.entries, changes, strict=True)):
        if change.after is not None:
            with folder_of(run.root, entry.path) as (folder, name):
                write_beside(folder, name, run.temporary(number), change.after)


def _commit(run: Run, begun: list[Entry]) -> None:
    """Put the staged bytes in place; each entry enters `begun` before its file is touched."""
    for number, entry in enumerate(run.entries):
        with folder_of(run.root, entry.path) as (folder, name):
            if digest_of(folder, name) != entry.before:
                raise JournalError(
                    f"{entry.path} was changed while the fix was at work; the fix was taken back"
                )
            begun.append(entry)
            if entry.after is None:
                folder.unlink(name)
                continue
            target = os.path.basename(entry.renamed_to or entry.path)
            folder.replace(run.temporary(number), target)
            if target != name and holds_another(folder, target, name):
                folder.unlink(name)
    for folder_name in {os.path.dirname(entry.path) for entry in run.entries}:
        with open_folder(run.root, folder_name) as folder:
            folder.sync()


def _take_back(run: Run, n_begun: int, error: BaseException) -> None:
    """Undo the first entries of the run, which are all that was touched; the journal stays where that fails."""
    try:
        clear_temporaries(run)
        restore(replace(run, entries=run.entries[:n_begun]), force=False)
    except (OSError, JournalError):
        raise JournalError(
            f"the fix stopped half-way and could not be taken back: run `sanitize undo` (run {run.id})"
        ) from error
    if isinstance(error, OSError):
        where = located(run.root, error)
        raise JournalError(
            f"{where}: {error.strerror}; the fix was taken back, nothing was changed"
        ) from error
