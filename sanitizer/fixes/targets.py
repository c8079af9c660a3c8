"""Which file on disk stands behind a label that a finding names, and whether it may be changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.fixes.journal.manifest import path_problem
from sanitizer.fixes.journal.runs import MAX_FILE_BYTES
from sanitizer.storage.read_ahead import map_ahead
from sanitizer.util.bounded_read import open_regular, read_stream
from sanitizer.util.paths import is_absolute, join_path, normal_path, real_path, relative_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set


@dataclass(frozen=True, slots=True)
class Target:
    """A label file to repair.

    Attributes:
        label: POSIX path relative to the dataset root, as the dataset names it.
        image: Absolute path of its image, or None.
        images: All images that use it, as findings write their paths.
        path: POSIX path relative to the real root of the file itself, all links resolved.
        content: Its bytes.
        one_image: Whether the file labels one image only, so that its size is certain.
        renamed_to: Where it is to be moved, as `path`; None where it stays.
        is_link: Whether the dataset reaches it through a link.
        refusal: Why it must not be changed, a sentence; None where it may.
    """

    label: str
    image: str | None
    images: Sequence[str]
    path: str
    content: bytes
    one_image: bool
    renamed_to: str | None
    is_link: bool
    refusal: str | None


def find_targets(
    images: Mapping[str, Mapping[str | None, None]], misnamed: Set[str], dataset_root: str, real_root: str
) -> tuple[list[Target], list[str]]:
    """The files behind labels, each once however many names lead to it; and sentences on unreadable ones.

    Args:
        images: Label to its images, as findings write their paths.
        misnamed: Labels whose file extension is to become .txt.
        dataset_root: Absolute folder of the dataset.
        real_root: The same with all links resolved.
    """
    targets: dict[str, Target] = {}
    refused = []
    absolute_paths = [normal_path(join_path(dataset_root, label)) for label in images]
    files = map_ahead(_read, absolute_paths)
    for (label, of_label), (real, is_link, read) in zip(images.items(), files, strict=True):
        if real in targets:
            continue
        if isinstance(read, OSError):
            refused.append(f"{label} cannot be read any more ({read.strerror}): not changed")
            continue
        status, content = read
        named = [i for i in of_label if i is not None]
        path = relative_to(real, real_root)
        renamed_to = f"{path[:-4]}.txt" if label in misnamed else None
        targets[real] = Target(
            label=label,
            image=join_path(dataset_root, named[0]) if named else None,
            images=named,
            path=path,
            content=content,
            one_image=len(of_label) == 1,
            renamed_to=renamed_to,
            is_link=is_link,
            refusal=_refusal(label, path, status, is_link, renamed_to is not None),
        )
    return list(targets.values()), refused


def _read(absolute: str) -> tuple[str, bool, tuple[os.stat_result, bytes] | OSError]:
    """Where a path leads, whether it is a link, and the state and bytes of the file, or why it cannot be read."""
    real, is_link = real_path(absolute), os.path.islink(absolute)
    try:
        with open_regular(real, follow_links=False) as file:
            return real, is_link, (os.fstat(file.fileno()), read_stream(file, MAX_FILE_BYTES, real))
    except OSError as error:
        return real, is_link, error


def _refusal(label: str, path: str, status: os.stat_result, is_link: bool, is_renamed: bool) -> str | None:
    """Why this file must not be changed."""
    if path.startswith("../") or is_absolute(path):
        return f"{label} lies outside the dataset's folder ({path}): not changed; run fix on the dataset it belongs to"
    problem = path_problem(path)
    if problem:
        return (
            f"{label} is a link to {path}, {problem}: not changed"
            if is_link
            else f"{label}: {path}, {problem}: not changed"
        )
    if status.st_nlink > 1:
        return (
            f"{label} has {status.st_nlink} hard links: not changed, as its other names would keep the old rows;"
            " replace it by a copy of its own first"
        )
    if is_link and is_renamed:
        return f"{label} is a link with a wrong file extension: not changed; rename the link"
    return None
