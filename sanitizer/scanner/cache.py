"""What scans found, kept per chunk in the user's cache folder so that a rescan only has to stat the files.

A chunk's entry is taken only if the state of every file, the dataset's root, the rules, and the versions of all that
reads are what they were. An entry that is not sound in every respect is treated as absent. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from PIL import __version__ as pillow_version

from sanitizer import __version__
from sanitizer.scanner.cache_entry import EntryError, decode, encode
from sanitizer.scanner.file_states import newest_mtime_s, states_on_disk
from sanitizer.util.bounded_read import MIB, read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.findings.finding import Finding
    from sanitizer.rules.survey import ChunkSummary
    from sanitizer.scanner.file_states import SeenStates

MAGIC = b"sanitize-chunk-3\n"
DIGEST_BYTES = 16
MOST_BYTES = 32 * MIB
"""Of an entry. It is larger only where nearly every row of a chunk is faulty; such a chunk is read again instead."""
RULE_SETS_KEPT = 4
UNUSED_KEPT_S = 30 * 24 * 3600
"""How long entries of splits are kept that no scan asked for."""
HALF_WRITTEN_KEPT_S = 3600
SETTLED_AFTER_S = 2.0
"""A file changed more recently than this may change again within its clock's tick, unseen: not stored."""

_NEW = ".new-"
_NAME = re.compile(r"[0-9a-f]{24}")
_ENTRY = re.compile(r"[0-9a-f]{24}-[0-9a-f]{24}")
"""A folder, and an entry: its split and its chunk. Nothing else in the cache is ever thrown away."""


def cache_root() -> str | None:
    """The user's cache folder for sanitize; SANITIZE_CACHE_DIR overrides it. None for a user without a home."""
    override = os.environ.get("SANITIZE_CACHE_DIR")
    if override:
        return override
    from platformdirs import user_cache_dir

    try:
        folder = user_cache_dir("sanitize", appauthor=False)
    except RuntimeError:  # new versions of platformdirs, of a user without a home
        return None
    return folder if os.path.isabs(folder) else None  # old ones: ~ would be a folder of the current one


def lies_in(root: str, dataset: Dataset) -> bool:
    """Whether a cache folder lies inside a dataset on this disk, where a scan never writes."""
    if dataset.storage.remote:
        return False
    above, path = set[object](), os.path.realpath(root)
    while True:
        above.add(dataset.storage.identity(path))
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    above -= {None}
    folders = {dataset.root, *(d for split in dataset.splits for d in (*split.image_dirs, *split.label_dirs))}
    return not above.isdisjoint(map(dataset.storage.identity, folders))


@dataclass(frozen=True, slots=True)
class Key:
    """Names one chunk's entry: where it lies, and the state of the files it is good for.

    Attributes:
        settled: None of the files may have changed again, unseen, since their states were taken.
    """

    slot: str
    state: bytes
    n_pairs: int
    settled: bool


@dataclass(frozen=True, slots=True)
class ChunkCache:
    """The entries of one dataset under one set of rules.

    Attributes:
        folder: Where entries lie; made when the first one is stored.
        codes: Codes of the rules that may have found something.
    """

    folder: str
    codes: frozenset[str]

    @classmethod
    def open(cls, dataset: str, depends_on: Sequence[str], codes: frozenset[str]) -> ChunkCache:
        """The store for a dataset.

        Args:
            dataset: Absolute path or URL of its data.yaml, or of its folder.
            depends_on: Texts that describe all that findings depend on, but for files and programs: the root that
                paths are relative to, rules, task, what is read of images.
            codes: As the attribute.
        """
        programs = (__version__, _source_state(), sys.version, sys.byteorder, np.__version__, pillow_version)
        opens_heif = str(find_spec("pi_heif") is not None)
        described = _name(*programs, opens_heif, *depends_on)
        folder = os.path.join(cache_root() or "", "scan", _name(dataset), described)
        return cls(folder, codes)

    def has_entry(self, split: Split, start: int, stop: int) -> bool:
        """Whether anything is stored for a split's pairs start to stop, in whatever state their files were."""
        return os.path.lexists(os.path.join(self.folder, _slot(split, start, stop)))

    def key(self, split: Split, start: int, stop: int, seen: SeenStates | None = None) -> Key:
        """The key of a split's pairs start to stop.

        Args:
            split, start, stop: Which pairs.
            seen: The states of their files as they were when they were read. None asks the disk, or takes what a
                listing said of them.
        """
        asked_s, pairs = time.time() if seen is None else seen.started_s, slice(start, stop)
        if split.states is not None:  # stamps of a listing are no times, and tell every change
            state, settled = split.states[pairs], True
        else:
            state = states_on_disk(split, start, stop) if seen is None else seen.of(split, start, stop)
            settled = asked_s - newest_mtime_s(state) >= SETTLED_AFTER_S
        _, folders = np.unique(split.dir_index[pairs], return_inverse=True)
        described = blake2b(digest_size=16)
        lengths = np.diff(split.offsets[start : stop + 1])
        for part in (state, folders, split.has_image[pairs], split.has_label[pairs], lengths):
            described.update(part.tobytes())
        odd = {i - start: label for i, label in split.odd_labels.items() if start <= i < stop}
        described.update(repr(sorted(odd.items())).encode("utf-8", "surrogateescape"))
        return Key(_slot(split, start, stop), described.digest(), stop - start, settled)

    def load(self, key: Key) -> tuple[Sequence[Finding], ChunkSummary] | None:
        """What was stored for exactly this state; None where there is nothing, or nothing sound."""
        path = os.path.join(self.folder, key.slot)
        try:
            content = read_bounded(path, MOST_BYTES, follow_links=False)
        except OSError:
            return None
        head = len(MAGIC) + DIGEST_BYTES
        if content[: len(MAGIC)] != MAGIC or content[len(MAGIC) : head] != _digest(content[head:]):
            return None
        if content[head : head + len(key.state)] != key.state:
            return None
        try:
            known = decode(content[head + len(key.state) :], key.n_pairs, self.codes)
        except EntryError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return known

    def store(self, key: Key, findings: Sequence[Finding], summary: ChunkSummary) -> None:
        """Write the entry, whole or not at all. A cache that cannot be written is no error."""
        if not key.settled:
            return
        body = key.state + encode(findings, summary)
        if len(body) > MOST_BYTES - len(MAGIC) - DIGEST_BYTES:
            return
        with contextlib.suppress(OSError):
            os.makedirs(self.folder, exist_ok=True)
            fd, temporary = tempfile.mkstemp(dir=self.folder, prefix=_NEW)
            try:
                with os.fdopen(fd, "wb") as f:
                    f.write(MAGIC + _digest(body) + body)
                os.replace(temporary, os.path.join(self.folder, key.slot))
            except OSError:
                os.unlink(temporary)

    def prune(self, in_use: Mapping[str, int]) -> None:
        """Forget what is of no use any more: entries of chunks, and rule sets.

        Args:
            in_use: Name of each split that was scanned, to the number of its chunks. Entries of other splits stay
                for a month after their last use.
        """
        with contextlib.suppress(OSError):
            if os.path.islink(self.folder):
                return
            os.utime(self.folder)
            of_split: dict[str, list[os.DirEntry[str]]] = {}
            for entry in _by_age(self.folder):
                if _ENTRY.fullmatch(entry.name):
                    of_split.setdefault(entry.name.partition("-")[0], []).append(entry)
                elif entry.name.startswith(_NEW) and _age_s(entry) > HALF_WRITTEN_KEPT_S:
                    _unlink(entry)
            kept = {_name(split): 2 * n + 16 for split, n in in_use.items()}
            for split, entries in of_split.items():
                n_old = sum(_age_s(entry) > UNUSED_KEPT_S for entry in entries)
                for entry in entries[: max(0, len(entries) - kept[split]) if split in kept else n_old]:
                    _unlink(entry)
            rule_sets = [e for e in _by_age(os.path.dirname(self.folder)) if _NAME.fullmatch(e.name)]
            for folder in rule_sets[:-RULE_SETS_KEPT]:
                shutil.rmtree(folder.path, ignore_errors=True)  # a link is left alone


def _slot(split: Split, start: int, stop: int) -> str:
    """Where the entry of these pairs lies: it depends on their names alone."""
    # Not by np.unique, which would import numpy.ma in each worker.
    dirs = sorted(set(split.dir_index[start:stop].tolist()))
    paths = (path for d in dirs for path in (split.image_dirs[d], split.label_dirs[d]))
    blob = split.names[split.offsets[start] : split.offsets[stop]]
    return f"{_name(split.name)}-{_name(*paths, blob.decode('latin-1'))}"


def _by_age(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, the longest unchanged first; of links, the link."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns)


def _age_s(entry: os.DirEntry[str]) -> float:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime


def _unlink(entry: os.DirEntry[str]) -> None:
    with contextlib.suppress(OSError):  # a folder, or another scan was quicker
        os.unlink(entry.path)


@functools.cache  # what this process has loaded stays as it is
def _source_state() -> str:
    """Sizes and times of our own modules: a version under development changes without a new number."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    states = []
    for folder, _, files in os.walk(package):
        for name in files:
            if name.endswith(".py"):
                s = os.stat(os.path.join(folder, name))
                states.append((folder, name, s.st_size, s.st_mtime_ns))
    return repr(sorted(states))


def _name(*parts: str) -> str:
    joined = "\0".join(parts).encode("utf-8", "surrogateescape")
    return blake2b(joined, digest_size=12).hexdigest()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()
