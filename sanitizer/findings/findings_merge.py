"""Sorted runs of findings on disk, merged into one."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.findings.findings_file import FindingsFile


def merged(runs: Sequence[FindingsFile]) -> Iterator[Finding]:
    """The findings of sorted runs in report order; of equal ones those of the earlier run first.

    Runs that hold other files than the rest, as those of a dataset that is read folder by folder do, are passed on
    in whole stretches.
    """
    cursors = [_Cursor(run) for run in runs]
    heads = [(c.key(), number) for number, c in enumerate(cursors) if c.advance()]
    heapq.heapify(heads)
    while heads:
        _, number = heapq.heappop(heads)
        cursor = cursors[number]
        yield from cursor.up_to(*heads[0], number) if heads else cursor.batch_rest()
        if cursor.advance():
            heapq.heappush(heads, (cursor.key(), number))


class _Cursor:
    """A place in a sorted run."""

    def __init__(self, run: FindingsFile) -> None:
        self._batches = run.batches()
        self._batch: list[Finding] = []
        self._at = 0

    def advance(self) -> bool:
        """Go to the next batch where this one is through; whether there is a finding."""
        while self._at == len(self._batch):
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._batch, self._at = batch, 0
        return True

    def key(self) -> tuple[str, int, int, str, str]:
        """What the next finding is sorted by."""
        return self._batch[self._at].sort_key()

    def batch_rest(self) -> list[Finding]:
        """All that is left of the batch."""
        start, self._at = self._at, len(self._batch)
        return self._batch[start:]

    def up_to(self, key: tuple[str, int, int, str, str], other: int, number: int) -> list[Finding]:
        """What comes before the next finding of another run; `number` is that of this one."""
        bisect = bisect_right if number < other else bisect_left
        start = self._at
        self._at = bisect(self._batch, key, lo=start, key=Finding.sort_key)
        return self._batch[start : self._at]
