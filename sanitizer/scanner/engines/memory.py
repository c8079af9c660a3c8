"""How much memory is left to take, and how many pieces may be judged at once with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadMemory = Callable[[], "Memory | None"]

LEAST_FREE_BYTES = 512 << 20
LEAST_FREE_SHARE = 0.1
"""Memory is short below both of these: a tenth of a small machine, half a gibibyte of a large one."""
LOOK_EVERY_S = 0.25

_GROUP_FILES = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Control groups of version 2 and 1: folder, files of limit and usage, and what the kernel gives back of the usage."""


class Memory(NamedTuple):
    """Bytes that can be had without swapping, of how many there are in all."""

    available: int
    total: int


def memory_left() -> Memory | None:
    """The tightest of what the machine has and what control groups allow; None where the system does not say."""
    machine = _machine()
    if machine is None:
        return None
    return min([machine, *_groups(machine.total)])


def _machine() -> Memory | None:
    """As Linux estimates it (proc_meminfo(5), MemAvailable)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in file)}
        return Memory(kib["MemAvailable"] << 10, kib["MemTotal"] << 10)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _groups(most: int) -> Iterator[Memory]:
    """What limits below `most` leave. Inside a container the limits of its group lie at the root."""
    for folder, limit_name, usage_name, given_back in _GROUP_FILES:
        try:
            limit = int(_text(f"{folder}/{limit_name}"))
            if limit < most:
                stat = dict(line.split() for line in _text(f"{folder}/memory.stat").splitlines())
                used = int(_text(f"{folder}/{usage_name}")) - int(stat.get(given_back, 0))
                yield Memory(limit - used, limit)
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


class Throttle:
    """How many pieces may be judged at once: half as many whenever memory is short, one more when it is not.

    Args:
        jobs: The most there may ever be.
        read_memory: Says how much memory is left.
        add_note: Given one sentence when memory is short for the first time.
        look_every_s: Seconds for which an answer of `read_memory` is good.

    Attributes:
        was_short: Memory has been short at some time.
    """

    def __init__(
        self,
        jobs: int,
        read_memory: ReadMemory,
        add_note: Callable[[str], None],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._jobs, self._read_memory, self._add_note, self._look_every_s = (
            jobs,
            read_memory,
            add_note,
            look_every_s,
        )
        self._allowed = jobs
        self._next_look = 0.0
        self.was_short = False

    def allowed(self) -> int:
        """Pieces that may be judged at once now: 1 to `jobs`."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self._look_every_s
            left = self._read_memory()
            if left is not None:
                self._adapt(left)
        return self._allowed

    def _adapt(self, left: Memory) -> None:
        margin = min(LEAST_FREE_BYTES, int(LEAST_FREE_SHARE * left.total))
        if left.available < margin:
            self._allowed = max(1, self._allowed // 2)
            if not self.was_short:
                self.was_short = True
                self._add_note(
                    f"memory ran short ({left.available / 1e9:.1f} GB left): fewer files were read at a time, "
                    "at a lower priority"
                )
        elif left.available > 2 * margin:
            self._allowed = min(self._jobs, self._allowed + 1)
