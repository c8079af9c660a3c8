"""How fast earlier scans were on this machine, and reference rates for a machine that has none."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sanitizer.scanner.cache import cache_root
from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import MIB, read_bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Dataset

Kind = Literal["loose", "tar", "ndjson", "remote loose", "remote tar", "remote ndjson"]

KEPT = 5
START_S = 0.3
"""Until the first file is read, and from the last one to the report."""
REFERENCE_MACHINE = "two cores of an AMD EPYC, Python 3.11, files in the page cache, images of 17 kB"
_REFERENCE = {
    ("loose", "none"): 56_000.0,
    ("loose", "header"): 39_000.0,
    ("loose", "decode"): 750.0,
    ("tar", "none"): 31_000.0,
    ("tar", "header"): 28_000.0,
    ("tar", "decode"): 700.0,
    ("ndjson", "none"): 28_000.0,
    ("ndjson", "header"): 28_000.0,
    ("ndjson", "decode"): 28_000.0,
}
"""Pairs a second of one process, by kind of source and mode (scripts/bench/rates.py)."""
_ESTIMATED = {
    ("remote loose", "none"): 560.0,
    ("remote loose", "header"): 320.0,
    ("remote loose", "decode"): 150.0,
    ("remote tar", "none"): 300.0,
    ("remote tar", "header"): 300.0,
    ("remote tar", "decode"): 200.0,
    ("remote ndjson", "none"): 20_000.0,
    ("remote ndjson", "header"): 20_000.0,
    ("remote ndjson", "decode"): 20_000.0,
}
"""The same elsewhere: guesses, as the place and the way to it decide. 20 ms and 50 MB/s were assumed, images of 150 kB,
and of loose files what a client on loopback reached at that latency."""


_BEYOND_REASON = 2**53


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast pairs are judged.

    Attributes:
        pairs_per_s: Of one process, starting it left out.
        scans: Number of scans on this machine behind it; 0 for a reference rate.
    """

    pairs_per_s: float
    scans: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One finished scan."""

    pairs: int
    seconds: float
    jobs: int


def kind_of(dataset: Dataset) -> Kind:
    """How a dataset lies on the disk or elsewhere."""
    if not dataset.packs:
        return "remote loose" if dataset.storage.remote else "loose"
    if dataset.packs[0].kind == "ndjson":
        return "remote ndjson" if dataset.storage.remote else "ndjson"
    return "remote tar" if dataset.storage.remote else "tar"


def rate_of(kind: str, mode: str) -> Rate:
    """The median rate of the last scans of that kind on this machine, else the reference rate.

    Args:
        kind: As `kind_of` says it.
        mode: "none", "header" or "decode".
    """
    known = _load().get(f"{kind}/{mode}", [])
    if known:
        from statistics import median  # not worth its time for a scan that only remembers

        return Rate(median(map(rate_of_one, known)), len(known))
    return Rate((_REFERENCE | _ESTIMATED)[kind, mode], 0)


def rate_of_one(timing: Timing) -> float:
    """Pairs a second of one process in a scan, starting it left out."""
    return timing.pairs / (max(timing.seconds - START_S, timing.seconds / 4) * timing.jobs)


def remember(kind: str, mode: str, timing: Timing) -> None:
    """Keep how long a scan took. A file that cannot be written is no error."""
    known = _load()
    key = f"{kind}/{mode}"
    known[key] = [*known.get(key, ()), timing][-KEPT:]
    content = {key: [asdict(t) for t in timings] for key, timings in known.items()}
    with contextlib.suppress(OSError):
        os.makedirs(cache_root(), exist_ok=True)
        if os.path.islink(_path()):  # what it leads to is not ours
            os.unlink(_path())
        write_atomically(_path(), json.dumps(content).encode())


def _path() -> str:
    return os.path.join(cache_root(), "rates.json")


def _load() -> dict[str, Sequence[Timing]]:
    """What is known, by kind and mode; nothing where the file is absent or odd."""
    try:
        content: dict[str, list[dict[str, Any]]] = json.loads(read_bounded(_path(), MIB, follow_links=False))
        timings = {key: [Timing(**t) for t in values] for key, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return dict(timings) if all(_is_sound(t) for ts in timings.values() for t in ts) else {}


def _is_sound(timing: Timing) -> bool:
    numbers = (timing.pairs, timing.jobs, timing.seconds)
    types = all(type(n) is int for n in numbers[:2]) and type(timing.seconds) in (int, float)
    return types and all(0 < n < _BEYOND_REASON for n in numbers)
