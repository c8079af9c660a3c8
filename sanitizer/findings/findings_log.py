"""The findings of a scan as they come in: a list, or sorted runs on disk that are merged into report order."""

from __future__ import annotations

import heapq
import importlib.util
from collections import Counter
from typing import TYPE_CHECKING

from sanitizer.findings.cause import CauseCounter
from sanitizer.findings.finding import Finding, Tally, fingerprinted, with_fingerprints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sanitizer.findings.cause import Cause, Hypothesis
    from sanitizer.findings.findings_file import FindingsFile

FINDINGS_HELD = 100_000
"""Findings that stay in memory, somewhat under a kilobyte each; more go to temporary files."""
MOST_RUNS = 16
"""Runs of one size on disk; so many are merged into one."""
HOLDS = "the findings"


class FindingLog:
    """Takes findings in any order and gives them back in report order, with fingerprints.

    Attributes:
        note: Why very many findings were kept in memory, or None.
        counts: (rule, split) to number of findings so far.
    """

    def __init__(self) -> None:
        self.note: str | None = None
        self.counts: Counter[tuple[str, str | None]] = Counter()
        self._held: list[Finding] = []
        self._runs: list[tuple[int, FindingsFile]] = []
        """How many times a run was merged, and the run: in the order of what they hold, and so the oldest first."""
        self._limit: int | None = FINDINGS_HELD

    def extend(self, findings: Iterable[Finding]) -> None:
        """Take findings. SpillError where they do not fit on the disk.

        Findings that are equal in all that `Finding.sort_key` looks at are reported in the order they were taken.
        """
        for f in findings:
            self._held.append(f)
            self.counts[f.rule, f.split] += 1
            if self._limit is not None and len(self._held) > self._limit:
                self._write_run()

    def finish(
        self, known: frozenset[str] = frozenset(), hypotheses: Sequence[Hypothesis] = ()
    ) -> tuple[Sequence[Finding], int, tuple[Cause, ...]]:
        """(all findings but the known ones, in report order; number of those left out; the causes of the others).

        The findings are a list, or for very many a `FindingsFile`.

        Args:
            known: Fingerprints of findings that are left out.
            hypotheses: Causes, in the order in which they claim findings.
        """
        counter = CauseCounter(hypotheses)
        if not self._runs:
            ordered = fingerprinted(self._held)
            kept = list(counter.mark(f for f in ordered if f.fingerprint not in known))
            return kept, len(ordered) - len(kept), counter.causes()
        from sanitizer.findings.findings_file import FindingsFile, write_findings

        self._write_run()
        counted, left_out = Tally(), 0

        def new_ones() -> Iterator[Finding]:
            nonlocal left_out
            for f in with_fingerprints(_merged(self._runs)):
                if f.fingerprint in known:
                    left_out += 1
                else:
                    yield f

        file = write_findings(counted.counting(counter.mark(new_ones())), HOLDS)
        self._runs.clear()
        return FindingsFile(file, counted), left_out, counter.causes()

    def _write_run(self) -> None:
        """Move what is held to disk, sorted."""
        if importlib.util.find_spec("pyarrow") is None:
            self._limit = None
            self.note = (
                f"over {FINDINGS_HELD:,} findings are kept in memory: "
                "pip install 'sanitize-yolo[parquet]' lets them go to disk"
            )
            return
        from sanitizer.findings.findings_file import FindingsFile, write_findings

        run, self._held = sorted(self._held, key=Finding.sort_key), []
        self._keep(FindingsFile(write_findings(run, HOLDS)), 0)

    def _keep(self, run: FindingsFile, level: int) -> None:
        """Put a run after the others; merge the last ones where there are many of its level."""
        self._runs.append((level, run))
        last = self._runs[-MOST_RUNS:]
        if len(last) == MOST_RUNS and last[0][0] == level:
            from sanitizer.findings.findings_file import FindingsFile, write_findings

            joined = write_findings(_merged(last), HOLDS)
            del self._runs[-MOST_RUNS:]
            self._keep(FindingsFile(joined), level + 1)


def _merged(runs: Iterable[tuple[int, FindingsFile]]) -> Iterator[Finding]:
    """The findings of sorted runs in report order; of equal ones those of the earlier run first."""
    return heapq.merge(*(run for _, run in runs), key=Finding.sort_key)
