"""A cause: what happened to the dataset as a whole, told once for the many findings that come of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sanitizer.findings.finding import Finding

CauseFix = Literal["safe", "unsafe"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What a report says of a cause.

    Attributes:
        id: What findings name it by, such as "percent-coordinates"; once in a report.
        name: The family in a few words, as a title.
        sentence: What happened, in one sentence with numbers.
        evidence: What speaks for it and against it, each a sentence with numbers.
        training: What training does because of it.
        way_out: The one edit or command that makes it right.
        fix: What `fix` can do about all of it: "safe", "unsafe", or None where it does nothing.
        reading: The reading (`sanitizer.labels.readings`) by which `fix` writes the rows anew; None without one.
        whole_splits: Splits all of whose label rows are written by `reading`, those of files without a finding too.
            Where there are none, the rows of each file with a finding of this cause are, and of no other.
        images: Images that training would use, or use rightly, without it.
        explains: Number of findings that it explains.
        files: Number of files that these findings are about.
    """

    id: str
    name: str
    sentence: str
    evidence: tuple[str, ...] = ()
    training: str = ""
    way_out: str = ""
    fix: CauseFix | None = None
    reading: str | None = None
    whole_splits: tuple[str, ...] = ()
    images: int = 0
    explains: int = 0
    files: int = 0


def cause_record(cause: Cause) -> dict[str, Any]:
    """A cause as one object of the JSON report."""
    record = asdict(cause)
    record["evidence"] = list(cause.evidence)
    record["whole_splits"] = list(cause.whole_splits)
    return record


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A cause before its findings are counted.

    Attributes:
        cause: What will be said of it.
        claims: Whether a finding comes of it.
        advises: Whether its way out is the advice of these findings too, in place of their own.
    """

    cause: Cause
    claims: Callable[[Finding], bool]
    advises: bool = False


class Explained:
    """Counts what each cause explains: the findings that have its id, which come file by file, and their files."""

    def __init__(self) -> None:
        self._findings: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._last_file: dict[str, str] = {}

    def add(self, finding: Finding) -> None:
        """Count the next finding."""
        cause, file = finding.cause, finding.file or ""
        if cause is None:
            return
        self._findings[cause] += 1
        self._files[cause] += self._last_file.get(cause) != file
        self._last_file[cause] = file

    def counted(self, causes: Iterable[Cause]) -> Iterator[Cause]:
        """Those of the causes that explain anything, with their counts."""
        for cause in causes:
            if n := self._findings[cause.id]:
                yield replace(cause, explains=n, files=self._files[cause.id])


def recounted(causes: Iterable[Cause], findings: Iterable[Finding]) -> tuple[Cause, ...]:
    """The causes with what they explain of these findings, which are some of those they were counted on, in order."""
    explained = Explained()
    for finding in findings:
        explained.add(finding)
    return tuple(explained.counted(causes))


class CauseCounter:
    """Gives each finding the id of the first cause that claims it, and what `fix` can do about that cause; and counts
    what each cause explains.

    Args:
        hypotheses: In the order in which they are asked. Each cause has an id of its own.
    """

    def __init__(self, hypotheses: Sequence[Hypothesis] = ()) -> None:
        self._hypotheses = hypotheses
        self._explained = Explained()

    def mark(self, findings: Iterator[Finding]) -> Iterator[Finding]:
        """The findings, which come in report order, each with its `cause`."""
        for finding in findings:
            for hypothesis in self._hypotheses:
                if hypothesis.claims(finding):
                    finding.cause, finding.fix = hypothesis.cause.id, hypothesis.cause.fix
                    if hypothesis.advises:
                        finding.suggestion = hypothesis.cause.way_out
                    self._explained.add(finding)
                    break
            yield finding

    def causes(self) -> tuple[Cause, ...]:
        """The causes that explain anything, with their counts; the one that frees most images first."""
        counted = self._explained.counted(hypothesis.cause for hypothesis in self._hypotheses)
        return tuple(sorted(counted, key=lambda cause: (-cause.images, -cause.explains)))
