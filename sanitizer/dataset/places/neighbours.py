"""Folders near a dataset, listed within bounds: where files may lie that training looks for elsewhere."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sanitizer.dataset.listing import ListedFolder, Listing, TooManyFilesError, is_everything

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_FOLDERS = 300
MOST_REMOTE_FOLDERS = 24
"""The same where each folder is a request."""
MOST_NAMES = 500_000
"""Names that are read of folders which nobody has listed before."""
MOST_LEVELS = 4
_NEVER = frozenset(("__MACOSX", "node_modules", "runs", "venv", "site-packages"))
"""Folders that hold no labels of a dataset: `runs` has predictions, which are named as the images are."""


def folders_near(listing: Listing, roots: Sequence[str]) -> Iterator[ListedFolder]:
    """Folders at these absolute paths and below, the nearest first, no more than the bounds of this module allow."""
    remote = listing.storage.remote
    most, names = MOST_REMOTE_FOLDERS if remote else MOST_FOLDERS, MOST_NAMES
    waiting = deque((root, 0) for root in roots if remote or not is_everything(root))
    seen: set[object] = set()
    while waiting and most > 0 and names > 0:
        path, level = waiting.popleft()
        # Where there are no links a folder has one path, and to ask for more would cost a request.
        identity = path if remote else listing.storage.identity(path)
        if identity is None or identity in seen:
            continue
        seen.add(identity)
        most, known = most - 1, listing.knows(path)
        try:
            folder = listing.folder(path)
        except TooManyFilesError:
            return
        if remote and folder.error is not None:
            continue
        names -= 0 if known else folder.n_names
        yield folder
        if level < MOST_LEVELS:
            waiting += [
                (f"{path}/{name}", level + 1) for name in sorted(folder.subfolders) if name not in _NEVER
            ]
