"""Labels under a name of other letters that the disk takes for the same: so does training, which only opens files.

Windows and macOS take a.TXT for a.txt; macOS takes é in one character for é in two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_images import ImageFiles


def labels_by_other_spelling(
    images: ImageFiles, wanted: Sequence[str], has: Sequence[bool], listing: Listing
) -> Iterator[tuple[int, str]]:
    """(number of the image, name of its label on disk) of images without a label of the wanted name.

    Args:
        images: Of a split.
        wanted: Name of the label that training opens, of each image.
        has: Whether a label of just that name is there.
        listing: Lists the label folders.
    """
    near: dict[int, dict[str, str]] = {}
    for i, f in enumerate(images.folder_index):
        if has[i]:
            continue
        if f not in near:
            folder = listing.folder(images.label_folders[f])
            near[f] = {_one_name(name): name for name in (*folder.labels, *folder.misspelt_labels)}
        name = near[f].get(_one_name(wanted[i]))
        if name is not None and listing.storage.lexists(f"{images.label_folders[f]}/{wanted[i]}"):
            yield i, name


def _one_name(name: str) -> str:
    """The same for names that some disks take for one."""
    return name.casefold() if name.isascii() else normalize("NFC", name.casefold())
