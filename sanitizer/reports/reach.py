"""Which files a report may have read again: those of its dataset, as a saved report may come from a stranger.

A report names images and labels, and their pixels and lines go into pages and archives that are passed on. So a saved
report reaches only what lies below the dataset's root with all links resolved, and its own word for where that root
is counts only where a dataset lies there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.storage.opening import is_remote
from sanitizer.util.escape import legible
from sanitizer.util.paths import is_inside, join_path, normal_path, real_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report

OUTSIDE = "it is no file of the dataset's folder (--allow-outside takes it in)"
NAMED_AT_MOST = 3
_MOST_KEPT = 10_000
_YAML = (".yaml", ".yml")
_YAMLS_TRIED = 20
_DATASET_KEYS = frozenset(("train", "val", "test", "names", "nc"))


@dataclass(slots=True)
class Reach:
    """The files that a report reaches.

    Attributes:
        root: Absolute folder that paths are relative to.
        within: The same with all links resolved, which everything is to lie in; None: anything may be read.
        closed: Why nothing may be read, a sentence without full stop; None where something may.
        left_out: What was asked for and lies outside, as the report names it, in the order of asking.
    """

    root: str
    within: str | None = None
    closed: str | None = None
    left_out: dict[str, None] = field(default_factory=dict)

    @classmethod
    def everywhere(cls, report: Report) -> Reach:
        """For a report of a scan that this user just made: whatever the dataset links to is theirs."""
        return cls(report.root)

    @classmethod
    def dataset_only(cls, report: Report, root_is_confirmed: bool) -> Reach:
        """For a saved report: what lies in its root, if a person named that root, or a dataset lies there.

        Args:
            report: The report, with an absolute root.
            root_is_confirmed: A person named the root.
        """
        if is_remote(report.root):
            return cls(report.root, closed=f"the dataset is not on this disk ({report.root})")
        within = _resolved(report.root)
        if within is None or not (root_is_confirmed or _holds_dataset(report)):
            return cls(
                report.root,
                closed=f"the report says that its dataset is in {report.root}, and no such data.yaml lies there: "
                f"--root {report.root} confirms it",
            )
        return cls(report.root, within)

    def path(self, name: str | None) -> str | None:
        """Absolute path of a file that the report names; None for no name, and for one that lies outside."""
        if name is None or self.closed:
            return None
        if self.within is None:
            return join_path(self.root, name)
        path = normal_path(join_path(self.root, name))
        if self.holds(path):
            return path
        self._leave_out(name)
        return None

    def label_path(self, name: str | None) -> str | None:
        """The same for a label, of which lines are quoted: only of files that are called as labels are."""
        if (
            self.within is not None
            and name is not None
            and not self.closed
            and not name.lower().endswith(".txt")
        ):
            self._leave_out(name)
            return None
        return self.path(name)

    def holds(self, path: str) -> bool:
        """Whether an absolute path, as it stands and with all links resolved, is below the root."""
        if self.within is None:
            return not self.closed
        resolved = _resolved(path)
        return resolved is not None and is_inside(resolved, self.within) and is_inside(path, self.root)

    def _leave_out(self, name: str) -> None:
        if len(self.left_out) < _MOST_KEPT:
            self.left_out[name] = None

    def note(self) -> str | None:
        """A sentence on what was left out; None where nothing was."""
        if not self.left_out:
            return None
        names = list(self.left_out)
        shown = ", ".join(legible(name) for name in names[:NAMED_AT_MOST])
        more = f" and {len(names) - NAMED_AT_MOST:,} more" if len(names) > NAMED_AT_MOST else ""
        return (
            f"left out, as no image or label in the dataset's folder {legible(self.root)}: {shown}{more} "
            "(--allow-outside takes them in)"
        )


def _holds_dataset(report: Report) -> bool:
    """Whether a data.yaml lies in the root: the one that the report names, or any where it names a folder.

    Anybody can write `/` or `/home/me` into a report; a dataset of that name is not as easily there.
    """
    name = os.path.basename(report.data)
    try:
        names = [name] if name.lower().endswith(_YAML) else sorted(os.listdir(report.root))
        yamls = [n for n in names if n.lower().endswith(_YAML) and os.path.isfile(join_path(report.root, n))]
    except (OSError, ValueError):  # ValueError: a root that no path can be
        return False
    return any(_describes_dataset(join_path(report.root, n)) for n in yamls[:_YAMLS_TRIED])


def _describes_dataset(path: str) -> bool:
    return not _DATASET_KEYS.isdisjoint(read_data_yaml(path).data)


def folders_of(dataset: Dataset) -> Iterator[str]:
    """The folders that hold its images and labels, absolute."""
    for split in dataset.splits:
        yield from split.image_dirs
        yield from split.label_dirs


def _resolved(path: str) -> str | None:
    try:
        return real_path(path)
    except (OSError, ValueError):  # ValueError: a NUL, or what no file name can hold
        return None
