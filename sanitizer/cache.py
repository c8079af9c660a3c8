"""What scans found, kept per chunk in the user's cache folder so that a rescan only has to stat the files.

A chunk's entry is taken only if path, size and modification time of every file, the rules, and the version of
sanitize are what they were. An entry whose checksum is wrong is treated as absent. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer import __version__
from sanitizer.findings import Finding, Severity
from sanitizer.rules.sketch import STORED as SKETCHES
from sanitizer.rules.survey import ChunkSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Split

MAGIC = b"sanitize-chunk-1\n"
DIGEST_BYTES = 16
RULE_SETS_KEPT = 4
SETTLED_AFTER_S = 2.0
"""A file changed more recently than this may change again within its clock's tick, unseen: not stored."""

_STORED = {cls.__name__: cls for cls in (Finding, ChunkSummary, *SKETCHES)}
_SEVERITY_FIELD = [f.name for f in fields(Finding)].index("severity")


def cache_root() -> str:
    """The user's cache folder for sanitize; SANITIZE_CACHE_DIR overrides it."""
    override = os.environ.get("SANITIZE_CACHE_DIR")
    if override:
        return override
    from platformdirs import user_cache_dir

    return user_cache_dir("sanitize", appauthor=False)


@dataclass(frozen=True, slots=True)
class Key:
    """Names one chunk's entry: where it lies, and the state of the files it is good for."""

    slot: str
    state: bytes
    newest_mtime_s: float


@dataclass(frozen=True, slots=True)
class ChunkCache:
    """The entries of one dataset under one set of rules.

    Attributes:
        folder: Where entries lie; made when the first one is stored.
    """

    folder: str

    @classmethod
    def open(cls, dataset: str, rules: Sequence[str]) -> ChunkCache:
        """The store for the dataset at this absolute path, under rules described by these texts."""
        engine = (__version__, _source_state(), sys.byteorder, np.__version__, *rules)
        return cls(os.path.join(cache_root(), "scan", _name(dataset), _name(*engine)))

    def key(self, split: Split, start: int, stop: int) -> Key:
        """Stat every file of a split's pairs start to stop, or take what a listing said of them."""
        pairs = slice(start, stop)
        dirs, folders = np.unique(split.dir_index[pairs], return_inverse=True)
        has_image, has_label = split.has_image[pairs], split.has_label[pairs]
        if split.states is None:
            state = _ask_disk(split, start, stop, dirs, folders)
            newest_mtime_s = float(state[:, [1, 3]].max(initial=0)) / 1e9
        else:  # stamps of a listing are no times, and tell every change
            state, newest_mtime_s = split.states[pairs], 0.0
        described = blake2b(digest_size=16)
        for part in (state, folders, has_image, has_label):
            described.update(part.tobytes())
        paths = (path for d in dirs.tolist() for path in (split.image_dirs[d], split.label_dirs[d]))
        blob = split.names[split.offsets[start] : split.offsets[stop]]
        slot = _name(split.name, *paths, blob.decode("latin-1"))
        return Key(slot, described.digest(), newest_mtime_s)

    def load(self, key: Key) -> tuple[Sequence[Finding], ChunkSummary] | None:
        """What was stored for exactly this state; None where there is nothing, or nothing sound."""
        try:
            with open(os.path.join(self.folder, key.slot), "rb") as f:
                content = f.read()
        except OSError:
            return None
        head = len(MAGIC) + DIGEST_BYTES
        if content[: len(MAGIC)] != MAGIC or content[len(MAGIC) : head] != _digest(content[head:]):
            return None
        if content[head : head + len(key.state)] != key.state:
            return None
        try:
            findings, summary = _decode(content[head + len(key.state) :])
        except (ValueError, KeyError, TypeError, IndexError):
            return None
        return findings, summary

    def store(self, key: Key, findings: Sequence[Finding], summary: ChunkSummary) -> None:
        """Write the entry, whole or not at all. A cache that cannot be written is no error."""
        if time.time() - key.newest_mtime_s < SETTLED_AFTER_S:
            return
        body = key.state + _encode((list(findings), summary))
        with contextlib.suppress(OSError):
            os.makedirs(self.folder, exist_ok=True)
            fd, temporary = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            try:
                with os.fdopen(fd, "wb") as f:
                    f.write(MAGIC + _digest(body) + body)
                os.replace(temporary, os.path.join(self.folder, key.slot))
            except OSError:
                os.unlink(temporary)

    def prune(self, entries_in_use: int) -> None:
        """Forget entries of chunks that are no more, and rule sets that were not used lately."""
        with contextlib.suppress(OSError):
            os.utime(self.folder)
            stored = _by_age(self.folder)
            for entry in stored[: max(0, len(stored) - 2 * entries_in_use - 16)]:
                os.unlink(entry)
            for folder in _by_age(os.path.dirname(self.folder))[:-RULE_SETS_KEPT]:
                shutil.rmtree(folder, ignore_errors=True)


def _ask_disk(
    split: Split, start: int, stop: int, dirs: NDArray[np.int32], folders: NDArray[np.intp]
) -> NDArray[np.int64]:
    """int64 (stop - start, 4): size and modification time in ns of image and label of each pair."""
    pairs = slice(start, stop)
    has_image, has_label = split.has_image[pairs], split.has_label[pairs]
    image_names, label_names = split.file_names(start, stop), split.label_names(start, stop)
    state = np.empty((stop - start, 4), np.int64)
    by_folder = np.argsort(folders, kind="stable")
    ends = np.searchsorted(folders[by_folder], np.arange(len(dirs) + 1))
    for n, d in enumerate(dirs.tolist()):
        here = by_folder[ends[n] : ends[n + 1]]
        images, labels = ([names[i] for i in here.tolist()] for names in (image_names, label_names))
        state[here, :2] = _sizes_and_times(split.image_dirs[d], images, has_image[here])
        state[here, 2:] = _sizes_and_times(split.label_dirs[d], labels, has_label[here])
    return state


def _sizes_and_times(folder: str, names: Sequence[str], exists: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 (N, 2): size in bytes and modification time in ns of each name; -1 where there is no such file."""
    result = np.full((len(names), 2), -1, np.int64)
    if not exists.all():
        at = np.flatnonzero(exists)
        if len(at):
            result[at] = _sizes_and_times(folder, [names[i] for i in at.tolist()], exists[at])
        return result
    with _stat_in(folder) as stat:
        try:
            result[:] = [(s.st_size, s.st_mtime_ns) for s in map(stat, names)]
        except (OSError, ValueError):  # one of them is gone or odd: find out which
            for i, name in enumerate(names):
                with contextlib.suppress(OSError, ValueError):
                    s = stat(name)
                    result[i] = s.st_size, s.st_mtime_ns
    return result


@contextlib.contextmanager
def _stat_in(path: str) -> Iterator[Callable[[str], os.stat_result]]:
    """A function that stats names in a folder: relative to it, so that its path is walked only once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        yield lambda name: os.stat(f"{path}/{name}")
        return
    try:
        yield lambda name: os.stat(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _by_age(folder: str) -> list[str]:
    """Paths in a folder, the longest unchanged first."""
    with os.scandir(folder) as entries:
        return [path for _, path in sorted((e.stat().st_mtime_ns, e.path) for e in entries)]


def _source_state() -> str:
    """Sizes and times of our own modules: a version under development changes without a new number."""
    package = os.path.dirname(os.path.abspath(__file__))
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


def _encode(value: object) -> bytes:
    """Plain values, arrays and the dataclasses of `_STORED`: a line of JSON, then the arrays' bytes."""
    arrays: list[bytes] = []
    text = json.dumps(_flatten(value, arrays)).encode()
    return b"%d\n%b%b" % (len(text), text, b"".join(arrays))


def _flatten(value: Any, arrays: list[bytes]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("only arrays of plain numbers can be cached")
        arrays.append(value.tobytes())
        return {"array": [value.dtype.str, list(value.shape), len(arrays[-1])]}
    if is_dataclass(value):
        return {type(value).__name__: [_flatten(getattr(value, f.name), arrays) for f in fields(value)]}
    if isinstance(value, dict):
        return {"map": [[_flatten(k, arrays), _flatten(v, arrays)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_flatten(v, arrays) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _decode(content: bytes) -> Any:
    length, _, rest = content.partition(b"\n")
    text, raw = rest[: int(length)], memoryview(rest)[int(length) :]
    position = 0

    def restore(value: Any) -> Any:
        nonlocal position
        if isinstance(value, list):
            return [restore(v) for v in value]
        if not isinstance(value, dict):
            return value
        ((kind, parts),) = value.items()
        if kind == "array":
            dtype, shape, size = parts
            position += size
            return np.frombuffer(raw[position - size : position], np.dtype(dtype)).reshape(shape)
        if kind == "map":
            return {restore(k): restore(v) for k, v in parts}
        if kind == "Finding":
            parts[_SEVERITY_FIELD] = Severity(parts[_SEVERITY_FIELD])
            return Finding(*parts)
        return _STORED[kind](*[restore(p) for p in parts])

    return restore(json.loads(text))
