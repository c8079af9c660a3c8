"""Whether the images of a folder and the labels of another pair one to one, without a look at each name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def are_partners(images: Sequence[str], labels: Collection[str]) -> bool:
    """True where each image has its label, and each label its image; False says nothing.

    Both are compared as one text, which is quicker than to look for each name.

    Args:
        images: Names of images, sorted. Those of several file extensions are not compared.
        labels: Names of labels.
    """
    if len(images) != len(labels) or not images:
        return False
    text = "\n".join([*images, ""])
    end = f".{images[0].rpartition('.')[2]}\n"
    if not text.count(end) == text.count("\n") == len(images):
        return False
    return text.replace(end, ".txt\n") == "\n".join([*sorted(labels), ""])
