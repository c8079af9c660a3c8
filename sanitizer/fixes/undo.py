"""Taking a run back: every file byte for byte as it was, whether the run was finished or killed half-way."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.dataset.listing import Listing, image_folder
from sanitizer.fixes.journal.runs import FOLDER, JournalError, located, locked, read_runs, run_ids
from sanitizer.fixes.journal.staging import digest_of, folder_of, holds_another, write_beside
from sanitizer.fixes.roots import root_with_journal
from sanitizer.util.bounded_read import NotRegularError
from sanitizer.util.counting import listed
from sanitizer.util.escape import legible
from sanitizer.util.folder import NoFolderError, open_folder
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sanitizer.fixes.journal.runs import Entry, Run

_NAMES_SHOWN = 5
_FOREIGN_MODE = 0o666
"""What somebody else's run may give of permissions: no file becomes a program."""
_ODD = ""
"""Stands for the hash of what is no regular file."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: the run's id, and the files whose bytes or names it restored (relative to the root)."""

    run: str
    restored: Sequence[str]


@dataclass(frozen=True, slots=True)
class Restoration:
    """One file that taking a run back would write.

    Attributes:
        path: POSIX path relative to the dataset's root, as the journal has it: escape it before you print it.
        n_bytes: Its size.
        mode: Permission bits that it would get.
        in_place_of: The file that would be removed for it, as `path`; None where there is none.
        is_cache: Whether it is a label cache of training, which is a pickle.
    """

    path: str
    n_bytes: int
    mode: int
    in_place_of: str | None
    is_cache: bool


def undo(
    path: str | os.PathLike[str],
    run_id: str | None = None,
    force: bool = False,
    trust_journal: bool = False,
    confirm: Callable[[str, Sequence[Restoration]], bool] | None = None,
) -> Undone:
    """Restore, byte for byte, what a run of `fix` changed; one that was killed half-way, too.

    >>> from sanitizer import undo
    >>> undo("data.yaml").restored

    Args:
        path: The data.yaml, folder or label file that was fixed.
        run_id: The run, or the start of its id; None takes the latest.
        force: Overwrite files that were edited since: these changes are lost.
        trust_journal: Also take back a run that this user did not make on this machine, or made with a version that
            did not sign its runs. It may have come with the dataset.
        confirm: Asked, before such a run is taken back, with its id and what would be written: False leaves
            everything as it is. None takes it back unasked.

    Returns:
        The run, and the files that were restored.

    Raises:
        JournalError: There is no such run, or files were edited since, or the run was made by somebody else; nothing
            was changed. Or a file cannot be written: nothing is lost, and undo can be run again.
    """
    root = root_with_journal(os.fspath(path))
    if not os.path.isdir(join_path(root, FOLDER)):
        raise JournalError(f"nothing to undo: no fix is on record in {root}")
    with locked(root):
        run, *later = read_runs(root, since=_chosen(run_ids(root), run_id, root))
        if not run.is_own and not trust_journal:
            raise JournalError(
                f"run {run.id} was not made by you on this machine and with this version: it may have come with the"
                " dataset. `sanitize undo --trust-journal` shows what taking it back would write, and takes it back"
            )
        if not run.is_own:
            _refuse_other_files(run)
        touching = [r for r in later if _files(r) & _files(run)]
        if touching and not force:
            ids = ", ".join(r.id for r in reversed(touching))
            raise JournalError(f"run {run.id} changed files that were fixed again later: undo {ids} first")
        try:
            if not run.is_own and confirm is not None:
                _refuse_edited(run, force)
                if not confirm(run.id, _restorations(run)):
                    raise JournalError(f"run {run.id} was not taken back: nothing was changed")
            return Undone(run.id, restore(run, force))
        except OSError as error:
            raise JournalError(
                f"{located(root, error)}: {error.strerror}; the originals are safe in the journal: run undo again"
                " once that is settled"
            ) from error


def _refuse_other_files(run: Run) -> None:
    """JournalError where somebody else's run names what is no label of this dataset, such as a requirements.txt."""
    labels = [entry.path for entry in run.entries if not entry.derived]
    folders = {os.path.dirname(path) for path in labels}
    near = folders | {os.path.dirname(folder) for folder in folders}
    listing = Listing()
    odd = [path for path in labels if not _belongs_to_images(listing, run.root, path)]
    odd += [e.path for e in run.entries if e.derived and os.path.dirname(e.path) not in near]
    if odd:
        raise JournalError(
            f"run {run.id} was not made by you, and names files that are no labels of this dataset's images:"
            f" {listed([legible(path) for path in odd], _NAMES_SHOWN)}; nothing was changed"
        )


def _belongs_to_images(listing: Listing, root: str, label: str) -> bool:
    """Whether the label's folder is that of an images folder, or an image of its name lies beside it."""
    folder, name = os.path.split(join_path(root, label))
    images = image_folder(folder)
    if images != folder and listing.folder(images).images:
        return True
    stem = name.rpartition(".")[0]
    return any(image.rpartition(".")[0] == stem for image in listing.folder(folder).images)


def _chosen(ids: Sequence[str], run_id: str | None, root: str) -> str:
    if not ids:
        raise JournalError(f"nothing to undo: no fix is on record in {root}")
    if run_id is None:
        return ids[-1]
    fitting = [i for i in ids if i.startswith(run_id)]
    if len(fitting) != 1:
        known = ", ".join(ids)
        raise JournalError(
            f"{'several runs begin' if fitting else 'no run begins'} with {run_id!r}: there are {known}"
        )
    return fitting[0]


def _files(run: Run) -> set[str]:
    return {path for e in run.entries if not e.derived for path in (e.path, e.renamed_to) if path}


def _restorations(run: Run) -> list[Restoration]:
    """What `restore` would write."""
    return [
        Restoration(e.path, run.original_size(e), _mode(run, e), e.renamed_to, e.derived)
        for _, e in _to_restore(run)
    ]


def restore(run: Run, force: bool) -> list[str]:
    """Restore every file of a run and forget the run; the paths of those that were changed.

    Raises:
        JournalError: Files were edited since and `force` is not given; nothing was changed.
        OSError: A file cannot be written. What is restored stays restored, and the journal stays.
    """
    clear_temporaries(run)
    _refuse_edited(run, force)
    todo = _to_restore(run)
    try:
        for number, entry in todo:
            _stage(run, number, entry)
        for number, entry in todo:
            _put_back(run, number, entry)
    except BaseException:
        clear_temporaries(run)
        raise
    for folder_name in {os.path.dirname(entry.path) for _, entry in todo}:
        with open_folder(run.root, folder_name) as folder:
            folder.sync()
    run.remove()
    return [entry.path for _, entry in todo]


def clear_temporaries(run: Run) -> None:
    """Remove new bytes that were staged and never put in place."""
    for number, entry in enumerate(run.entries):
        with (
            contextlib.suppress(FileNotFoundError, NoFolderError),
            folder_of(run.root, entry.path) as (folder, _),
        ):
            folder.unlink(run.temporary(number))


def _refuse_edited(run: Run, force: bool) -> None:
    edited = [legible(entry.path) for entry in run.entries if not _is_ours(run, entry)]
    if edited and not force:
        raise JournalError(
            f"{listed(edited, _NAMES_SHOWN)} changed since the fix: nothing was undone (--force takes the fix back all"
            " the same, and loses these changes)"
        )


def _is_ours(run: Run, entry: Entry) -> bool:
    """Whether the file is as it was before the run or as the run left it."""
    if entry.derived:
        return True
    found = [d for d in _hashes(run, entry) if d is not None]
    return bool(found) and all(d in (entry.before, entry.after) for d in found)


def _to_restore(run: Run) -> list[tuple[int, Entry]]:
    return [(number, entry) for number, entry in enumerate(run.entries) if not _is_restored(run, entry)]


def _is_restored(run: Run, entry: Entry) -> bool:
    return _hashes(run, entry) in ([entry.before], [entry.before, None])


def _hashes(run: Run, entry: Entry) -> list[str | None]:
    """SHA-256 of what has the entry's path now, and of what has its path after the run, where that is another."""
    return [_hash_of(run.root, path) for path in (entry.path, entry.renamed_to) if path is not None]


def _hash_of(root: str, path: str) -> str | None:
    try:
        with folder_of(root, path) as (folder, name):
            return digest_of(folder, name)
    except FileNotFoundError:
        return None
    except (NotRegularError, NoFolderError):
        return _ODD


def _mode(run: Run, entry: Entry) -> int:
    return entry.mode if run.is_own else entry.mode & _FOREIGN_MODE


def _stage(run: Run, number: int, entry: Entry) -> None:
    content = run.original(entry)
    with folder_of(run.root, entry.path, make=True) as (folder, name):
        times_ns = (entry.atime_ns, entry.mtime_ns)
        write_beside(folder, name, run.temporary(number), content, _mode(run, entry), times_ns)


def _put_back(run: Run, number: int, entry: Entry) -> None:
    with folder_of(run.root, entry.path) as (folder, name):
        if entry.renamed_to:
            other = os.path.basename(entry.renamed_to)
            if folder.holds(other) and not holds_another(folder, name, other):
                folder.replace(other, name)  # one file where case does not count: give it its name back
                other = name
            folder.replace(run.temporary(number), name)
            if other != name:
                folder.unlink(other)
        else:
            folder.replace(run.temporary(number), name)
