"""The path of each image of a split in a view: names do not change, except those that an image list cannot hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.util.escape import legible
from sanitizer.util.paths import common_path, relative_to

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_ODD_STEM = 120
"""Characters of a stem that had unprintable characters: each of these becomes several characters."""


@dataclass(slots=True)
class ViewNames:
    """Chooses the paths of one split's images in the view.

    Training finds an image's label file by replacing the last /images/ in the path by /labels/ and the file extension
    by .txt. So no folder below the split's folder may be called images. And two images of one folder may have the same
    stem only if they share one label file.

    Attributes:
        folders: For each image folder of the split, its folder below the split's folder in the view; "" for the top.
    """

    folders: Sequence[str]
    _labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, image_dirs: Sequence[str]) -> ViewNames:
        """The names for these image folders; the view's folders have the same relative paths to each other."""
        if not image_dirs:
            return cls([])
        try:
            common = common_path(image_dirs)
        except ValueError:  # on several drives
            return cls([str(number) for number in range(len(image_dirs))])
        folders: list[str] = []
        for path in image_dirs:
            relative = relative_to(path, common)
            name = "" if relative == "." else "/".join(map(_folder_name, relative.split("/")))
            folders.append(_unused(name, set(folders)))
        return cls(folders)

    def path_in_view(self, folder: int, name: str, label: str) -> str:
        """Path of an image below the split's folder in the view.

        Args:
            folder: Number of the image's folder in `folders`.
            name: The image's file name.
            label: Path in the dataset where training looks for the image's label file.
        """
        stem, dot, extension = name.rpartition(".")
        if not name.isprintable():
            stem = _plain(stem)[:_MAX_ODD_STEM]
        base = f"{self.folders[folder]}/{stem}".lstrip("/")
        number = 1
        found = base
        while self._labels.setdefault(os.path.normcase(found), label) != label:
            number += 1
            found = f"{base}~{number}"
        return f"{found}{dot}{extension}"


def _folder_name(name: str) -> str:
    plain = _plain(name)
    return f"{plain}_" if plain == "images" else plain


def _plain(name: str) -> str:
    """The name without characters that an image list cannot hold, such as line ends and bytes that are not UTF-8."""
    return name if name.isprintable() else legible(name).replace("\\", "%")


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number added if it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}~{number}"
    return found
