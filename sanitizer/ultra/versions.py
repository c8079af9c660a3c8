"""Which version of Ultralytics a dataset is judged by, and what that version does: one row a version that changed.

Read in the sources of each version, and measured by scripts/bench/versions.py. A build before a change differs from the
newest in what stands beside the change, and in all that stands above it.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.tasks.behaviour import NEWEST, Behaviour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task, TaskSpec

    Version = tuple[int, int, int]

OLDEST = "8.0.239"
"""The oldest version that was measured. Older ones are judged like this one."""

_BEFORE: tuple[tuple[Version, Mapping[str, Any]], ...] = (
    ((8, 4, 183), {"skips_mark": False}),
    ((8, 4, 182), {"takes_small_negative_size": True}),
    ((8, 4, 165), {"skips_blank_lines": False, "compares_polygons": False}),
    (
        (8, 4, 164),
        {"takes_fractional_class": True, "cuts_keypoints": False, "refused_formats": ("jpeg2000",)},
    ),
    ((8, 4, 117), {"mixes_kinds": True}),
    ((8, 4, 85), {"needs_labels": False}),
    ((8, 4, 83), {"needs_polygons": False}),
    ((8, 4, 82), {"refused_formats": ()}),
    ((8, 4, 15), {"refused_formats": ("heif",)}),
    ((8, 4, 7), {"refused_formats": ("avif", "heif", "jpeg2000")}),
    ((8, 3, 163), {"tolerance": 0.0}),
    ((8, 3, 133), {"names_empty_split": False}),
    ((8, 3, 66), {"takes_nc_as_class": True}),
)
"""(version that brought a change, what held before it), newest first."""


class VersionError(ValueError):
    """A version cannot be judged by; the text is a sentence."""


def behaviour_of(version: str) -> Behaviour:
    """What a version does, such as "8.3.200". A version newer than all known ones is judged like the newest of them.

    Raises:
        VersionError: The text is no version from 8.0 on.
    """
    number = _number(version)
    if number < (8, 0, 0):
        raise VersionError(f"nothing is known of Ultralytics before 8.0.0, so not of {version}")
    found = NEWEST
    for since, before in _BEFORE:
        if number < since:
            found = replace(found, **before)
    return replace(found, version=version)


@functools.cache
def installed_version() -> str | None:
    """The version of Ultralytics that is installed beside us, such as "8.3.200"; None where there is none.

    Runs no code of Ultralytics, and takes less time than importlib.metadata takes to import.
    """
    spec = importlib.util.find_spec("ultralytics")
    try:
        with open(spec.origin if spec and spec.origin else "", encoding="utf-8") as file:
            found = re.search(r'^__version__ = "(\d+\.\d+\.\d+[^"]*)"', file.read(4096), re.MULTILINE)
    except (OSError, ValueError):
        found = None
    return found[1] if found else None


def behaviour_to_judge_by(asked: str | None = None) -> Behaviour:
    """That of the version asked for, else of the installed one, else of the newest known one. Raises VersionError."""
    return behaviour_of(asked or installed_version() or NEWEST.version)


def spec_of(dataset: Dataset, task: Task, asked: str | None = None) -> TaskSpec:
    """What training assumes of every row, in the version of `behaviour_to_judge_by`. Raises VersionError."""
    return replace(dataset.task_spec(task), behaviour=behaviour_to_judge_by(asked))


def note_on(known: Behaviour) -> str | None:
    """A sentence where a version is newer than all that are known."""
    if _number(known.version) <= _number(NEWEST.version):
        return None
    return (
        f"Ultralytics {known.version} is newer than {NEWEST.version}, the newest version that is known: "
        "the dataset is judged as that one reads it"
    )


def is_before(version: str, other: str) -> bool:
    """Whether a version is older than another. Raises VersionError."""
    return _number(version) < _number(other)


def _number(version: str) -> Version:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise VersionError(f"{version!r} is no version of Ultralytics: write three numbers, such as 8.3.200")
    return int(match[1]), int(match[2]), int(match[3])
