"""Taking a run back: every file byte for byte as it was, whether the run was finished or killed half-way."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.fixes.journal import FOLDER, JournalError, digest, located, locked, read_runs, sync_folder
from sanitizer.fixes.roots import root_with_journal
from sanitizer.fixes.staging import write_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.fixes.journal import Entry, Run

_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: the run's id, and the files whose bytes or names it restored (relative to the root)."""

    run: str
    restored: Sequence[str]


def undo(path: str | os.PathLike[str], run_id: str | None = None, force: bool = False) -> Undone:
    """Restore, byte for byte, what a run of `fix` changed; one that was killed half-way, too.

    >>> from sanitizer import undo
    >>> undo("data.yaml").restored

    Args:
        path: The data.yaml, folder or label file that was fixed.
        run_id: The run, or the start of its id; None takes the latest.
        force: Overwrite files that were edited since: these changes are lost.

    Returns:
        The run, and the files that were restored.

    Raises:
        JournalError: There is no such run, or files were edited since; nothing was changed. Or a file cannot be
            written: nothing is lost, and undo can be run again.
    """
    root = root_with_journal(os.fspath(path))
    if not os.path.isdir(os.path.join(root, FOLDER)):
        raise JournalError(f"nothing to undo: no fix is on record in {root}")
    with locked(root):
        runs = read_runs(root)
        run = _chosen(runs, run_id, root)
        later = [r for r in runs[runs.index(run) + 1 :] if _files(r) & _files(run)]
        if later and not force:
            ids = ", ".join(r.id for r in reversed(later))
            raise JournalError(f"run {run.id} changed files that were fixed again later: undo {ids} first")
        try:
            return Undone(run.id, restore(run, force))
        except OSError as error:
            raise JournalError(
                f"{located(root, error)}: {error.strerror}; the originals are safe in the journal: run undo again"
                " once that is settled"
            ) from error


def _chosen(runs: Sequence[Run], run_id: str | None, root: str) -> Run:
    if not runs:
        raise JournalError(f"nothing to undo: no fix is on record in {root}")
    if run_id is None:
        return runs[-1]
    fitting = [r for r in runs if r.id.startswith(run_id)]
    if len(fitting) != 1:
        known = ", ".join(r.id for r in runs)
        raise JournalError(
            f"{'several runs begin' if fitting else 'no run begins'} with {run_id!r}: there are {known}"
        )
    return fitting[0]


def _files(run: Run) -> set[str]:
    return {path for e in run.entries if not e.derived for path in (e.path, e.renamed_to) if path}


def restore(run: Run, force: bool) -> list[str]:
    """Restore every file of a run and forget the run; the paths of those that were changed.

    Raises:
        JournalError: Files were edited since and `force` is not given; nothing was changed.
        OSError: A file cannot be written. What is restored stays restored, and the journal stays.
    """
    clear_temporaries(run)
    edited = [entry.path for entry in run.entries if not _is_ours(run, entry)]
    if edited and not force:
        raise JournalError(
            f"{_listed(edited)} changed since the fix: nothing was undone (--force takes the fix back all the same,"
            " and loses these changes)"
        )
    todo = [(number, entry) for number, entry in enumerate(run.entries) if not _is_restored(run, entry)]
    try:
        for number, entry in todo:
            _stage(run, number, entry)
        for number, entry in todo:
            _put_back(run, number, entry)
    except BaseException:
        clear_temporaries(run)
        raise
    for folder in {os.path.dirname(run.absolute(entry.path)) for _, entry in todo}:
        sync_folder(folder)
    run.remove()
    return [entry.path for _, entry in todo]


def clear_temporaries(run: Run) -> None:
    """Remove new bytes that were staged and never put in place."""
    for number, entry in enumerate(run.entries):
        _unlink(run.temporary(number, entry.path))


def _is_ours(run: Run, entry: Entry) -> bool:
    """Whether the file is as it was before the run or as the run left it."""
    if entry.derived:
        return True
    names = dict.fromkeys((entry.path, entry.renamed_to or entry.path))
    found = [_digest_of(run.absolute(name)) for name in names]
    present = [d for d in found if d is not None]
    return bool(present) and all(d in (entry.before, entry.after) for d in present)


def _is_restored(run: Run, entry: Entry) -> bool:
    if _digest_of(run.absolute(entry.path)) != entry.before:
        return False
    return not entry.renamed_to or not os.path.lexists(run.absolute(entry.renamed_to))


def _stage(run: Run, number: int, entry: Entry) -> None:
    path, temporary = run.absolute(entry.path), run.temporary(number, entry.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_beside(path, temporary, run.original(entry))
    os.chmod(temporary, entry.mode & 0o777)
    os.utime(temporary, ns=(entry.atime_ns, entry.mtime_ns))


def _put_back(run: Run, number: int, entry: Entry) -> None:
    path = run.absolute(entry.path)
    if entry.renamed_to:
        other = run.absolute(entry.renamed_to)
        if os.path.exists(path) and os.path.lexists(other) and os.path.samefile(path, other):
            os.rename(other, path)  # one file where case does not count: give it its name back
            other = path
        os.replace(run.temporary(number, entry.path), path)
        if other != path:
            _unlink(other)
    else:
        os.replace(run.temporary(number, entry.path), path)


def _digest_of(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return digest(file.read())
    except (FileNotFoundError, IsADirectoryError):
        return None


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMES_SHOWN} more" if len(paths) > _NAMES_SHOWN else ""
    return ", ".join(paths[:_NAMES_SHOWN]) + more
