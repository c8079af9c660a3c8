"""From where files were found to a `Hypothesis`: which findings it claims, and how sentences name folders."""

from __future__ import annotations

import posixpath
import shlex
from collections import Counter
from typing import TYPE_CHECKING

from sanitizer.util.counting import in_thousands, joined
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.unpaired import UnpairedFolder
    from sanitizer.findings.finding import Finding

NEARLY_ALL = 0.9
"""The share of files without partner that an explanation must explain: what is left over may be real orphans or real
background, and an explanation of fewer files is as likely a coincidence of names."""
MOST_NAMED = 3
"""Folders or commands that a sentence lists."""


class Claimed:
    """Findings that come of one cause, by rule and file. Paths are given absolute.

    Args:
        evidence: The dataset that they belong to.
        rules: Codes of the rules.
    """

    def __init__(self, evidence: Evidence, *rules: str) -> None:
        self._relative = evidence.dataset.relative
        self._rules = frozenset(rules)
        self._yaml = self._relative(evidence.dataset.yaml_path)
        self._files: set[str | None] = set()
        self._folders: set[str] = set()
        self._splits: set[str | None] = set()
        self._lines: set[int | None] = set()

    def add_files(self, paths: Iterable[str]) -> None:
        """Findings about these images, labels or other files."""
        self._files.update(map(self._relative, paths))

    def add_folder(self, path: str) -> None:
        """Findings about all files that lie right in this folder, and about the folder."""
        self._folders.add(self._relative(path) or "")
        self._files.add(self._relative(path))

    def add_lines(self, lines: Iterable[int | None]) -> None:
        """Findings about these lines of the data.yaml."""
        self._lines.update(lines)

    def add_split(self, name: str | None) -> None:
        """Findings about a split as a whole; None: about all splits."""
        self._splits.add(name)

    def __call__(self, finding: Finding) -> bool:
        """Whether a finding comes of the cause."""
        if finding.rule not in self._rules:
            return False
        own = finding.image or finding.label
        if own is None:
            at_line = finding.line in self._lines and finding.file == self._yaml
            return at_line or finding.file in self._files or finding.split in self._splits
        return (
            own in self._files
            or (finding.label or own) in self._files
            or posixpath.dirname(own) in self._folders
        )


def claim_bare(claimed: Claimed, folders: Sequence[UnpairedFolder], all_of: Sequence[UnpairedFolder]) -> None:
    """Claim what is said of these folders as a whole, and of a split where they hold all its images without label."""
    claimed.add_files(folder.image_dir for folder in folders)
    claim_splits(claimed, ((folder.split, folder.n_bare) for folder in folders), all_of)


def claim_splits(
    claimed: Claimed, explained: Iterable[tuple[str, int]], all_of: Sequence[UnpairedFolder]
) -> None:
    """Claim what is said of a split as a whole where nearly all its images without label are explained.

    Args:
        claimed: Takes the splits.
        explained: Splits, and how many of their images are explained; a split may come several times.
        all_of: All folders with images without label.
    """
    of_split: Counter[str] = Counter()
    for name, n in explained:
        of_split[name] += n
    for name, n in of_split.items():
        if n >= NEARLY_ALL * sum(folder.n_bare for folder in all_of if folder.split == name):
            claimed.add_split(name)


def training_of(evidence: Evidence, folders: Sequence[UnpairedFolder], n: int) -> str:
    """What training does with n images of these folders, whose labels it does not find."""
    n_images = {split.name: int(split.has_image.sum()) for split in evidence.dataset.splits}
    bare = sum(folder.n_bare for folder in folders if folder.split == "train")
    if bare and bare == n_images.get("train"):
        return 'Training stops with "No labels found": no image of train has a label where training looks.'
    return (
        f"Training reads {in_thousands(n, 'image')} as background, and learns that there is nothing on them."
    )


def place(evidence: Evidence, path: str) -> str:
    """A folder or file as a sentence names it: relative to the dataset, the dataset's own folder by its name."""
    root = evidence.dataset.root
    if path == root:
        return f"{posixpath.basename(root)}/" if posixpath.basename(root) else root
    return shown(path, root)


def word(evidence: Evidence, path: str) -> str:
    """A path in a command that is run in the dataset's folder, quoted where the shell needs it."""
    text = evidence.dataset.relative(path) or path
    return shlex.quote(text if not text.startswith("-") else f"./{text}")


def some(texts: Iterable[str], joint: str = ", ") -> str:
    """The first few of these texts, each once, and how many more there are."""
    unique = list(dict.fromkeys(texts))
    more = f" and {len(unique) - MOST_NAMED:,} more" if len(unique) > MOST_NAMED else ""
    if unique and not more and joint == ", ":
        return joined(unique)
    return joint.join(unique[:MOST_NAMED]) + more


def commands(evidence: Evidence, texts: Iterable[str]) -> str:
    """Commands to run one after the other, as one way out."""
    unique = list(dict.fromkeys(texts))
    where = f"In {posixpath.basename(evidence.dataset.root) or '/'}/ run"
    more = (
        f", and the same for the other {len(unique) - MOST_NAMED:,} folders"
        if len(unique) > MOST_NAMED
        else ""
    )
    return f"{where} `{' && '.join(unique[:MOST_NAMED])}`{more}."
