"""Where each image of a split lies in a view: names as they are, but for those that no image list can hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_ODD_STEM = 120


@dataclass(slots=True)
class ViewNames:
    """Gives the images of one split their places.

    Training finds a label by replacing the last /images/ of the image's path, and takes what is before the ending
    for its name. So no folder below may be called images, and two images have one stem only where they share one
    label.

    Attributes:
        folders: For each image folder of the split its folder in the view, "" for the top.
    """

    folders: Sequence[str]
    _labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, image_dirs: Sequence[str]) -> ViewNames:
        """Folders of the view as the image folders lie to each other."""
        if not image_dirs:
            return cls([])
        try:
            common = os.path.commonpath(image_dirs)
        except ValueError:  # on several drives
            return cls([str(number) for number in range(len(image_dirs))])
        folders: list[str] = []
        for path in image_dirs:
            relative = os.path.relpath(path, common).replace(os.sep, "/")
            name = "" if relative == "." else "/".join(map(_folder_name, relative.split("/")))
            folders.append(_unlike(name, set(folders)))
        return cls(folders)

    def place(self, folder: int, name: str, label: str) -> str:
        """Path of an image below the split's folder in the view.

        Args:
            folder: Which image folder it is in.
            name: Its file name.
            label: Where training looks for its label now.
        """
        stem, dot, ending = name.rpartition(".")
        if not name.isprintable():
            stem = _plain(stem)[:_MAX_ODD_STEM]
        base = f"{self.folders[folder]}/{stem}".lstrip("/")
        number = 1
        found = base
        while self._labels.setdefault(os.path.normcase(found), label) != label:
            number += 1
            found = f"{base}~{number}"
        return f"{found}{dot}{ending}"


def _folder_name(name: str) -> str:
    plain = _plain(name)
    return f"{plain}_" if plain == "images" else plain


def _plain(name: str) -> str:
    """A name with nothing that would break a line of a list: line ends, bytes that are no UTF-8."""
    return name if name.isprintable() else legible(name).replace("\\", "%")


def _unlike(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}~{number}"
    return found
