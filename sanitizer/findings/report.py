"""The result of a scan: findings, and what training would do with the dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.findings.cause import Cause, cause_record
from sanitizer.findings.finding import (
    COLUMNS,
    WHOLE_COLUMNS,
    Finding,
    Severity,
    count_by_rule,
    count_by_severity,
    storable,
    tally,
    to_json_record,
    to_record,
)
from sanitizer.util.escape import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    import pandas as pd

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """One split in numbers. `background` counts images that training keeps but reads as having no object, `classes` the
    folders with images in a classification set.
    """

    split: str
    images: int
    labels: int
    boxes: int
    dropped: int
    background: int
    rewritten: int
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """The dataset in numbers.

    Attributes:
        images: Image files found, over all splits (a file in two splits counts in both).
        labels: Label files read.
        boxes: Label rows that could be read, of any kind.
        images_dropped_by_training: Images that Ultralytics' loader would leave out.
        images_background: Images kept without any object because the label is missing or empty.
        images_rewritten: Images that Ultralytics would re-encode on disk.
        splits: The same by split.
        elapsed_s: Wall time of the scan, seconds.
    """

    images: int
    labels: int
    boxes: int
    images_dropped_by_training: int
    images_background: int
    images_rewritten: int
    splits: Sequence[SplitCounts]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Training:
    """Whether training on the dataset would start.

    Attributes:
        starts: None where nothing can be said: single files, a folder without data.yaml, a part of the dataset.
        stops_with: The exception in a sentence, None where it starts. … stands for parts that are left out.
        as_: The version of Ultralytics that this is about, as in "Ultralytics 8.4.190".
        because: Codes of the rules whose findings name the cause.
    """

    starts: bool | None
    stops_with: str | None
    as_: str
    because: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the JSON report has it."""
        return {
            "starts": self.starts, "stops_with": self.stops_with, "as": self.as_, "because": list(self.because)
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """What `scan` returns.

    Attributes:
        data: The path that was scanned, as given.
        root: Absolute folder that the findings' paths are relative to.
        task: The task that rows were judged by.
        summary: The dataset in numbers.
        findings: In report order: by file, line, column, rule. Very many lie on disk and are read as one goes
            through them: take no slice of all of them.
        suppressed: Findings left out because the baseline knows them.
        notes: Sentences on what was not looked at and why, for stderr and the summary.
        class_counts: Class id to number of rows.
        names: Class id to name.
        kpt_shape: (number of keypoints, 2 or 3) as the data.yaml declares it, or (0, 0).
        files_only: Single files were named, so what the dataset as a whole lacks is not judged.
        dropped: The images that training would leave out, as findings write their paths; very many lie on disk.
        causes: What explains many findings at once, the cause that frees most images first.
        unread: Files that a remote storage did not hand over, so that the report is not whole.
        probe: What a gradient probe measured, as `sanitizer.probe.tables.probe_record` makes it, or None.
        preflight: The verdict on a run, as `sanitizer.preflight.checklist.preflight_record` makes it, or None.
        training: Whether training would start; None in reports of older versions.
    """

    data: str
    root: str
    task: str
    summary: Summary
    findings: Sequence[Finding]
    suppressed: int = 0
    notes: Sequence[str] = ()
    class_counts: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    kpt_shape: tuple[int, int] = (0, 0)
    files_only: bool = False
    dropped: Set[str] = frozenset()
    causes: Sequence[Cause] = ()
    unread: int = 0
    probe: Mapping[str, Any] | None = None
    preflight: Mapping[str, Any] | None = None
    training: Training | None = None

    @property
    def would_stop(self) -> bool:
        """Whether training would not start."""
        return self.training is not None and self.training.starts is False

    def count(self, at_least: Severity = Severity.INFO) -> int:
        """Number of findings of that severity or worse."""
        return sum(n for (_, severity), n in tally(self.findings).counts.items() if severity >= at_least)

    def dropped_in_order(self) -> Iterable[str]:
        """`dropped`, ascending; very many are read as they are asked for."""
        return sorted(self.dropped) if isinstance(self.dropped, set | frozenset) else self.dropped

    def to_dict(self) -> dict[str, Any]:
        """The report as the JSON format writes it, whole, so that `reports.saved` can read it back."""
        return {
            **self.head(),
            "dropped": list(self.dropped_in_order()),
            "findings": [to_json_record(f) for f in self.findings],
        }

    def _repr_html_(self) -> str:
        """What a notebook shows in place of the object."""
        from sanitizer.findings.notebook import as_html

        s = self.summary
        stops_with = self.training.stops_with if self.training else None
        numbers = (
            f"{s.images:,} images, {s.labels:,} labels, {s.images_dropped_by_training:,} dropped by training"
        )
        return as_html(self.data, numbers, stops_with, self.causes, self.findings)

    def head(self) -> dict[str, Any]:
        """The report as the JSON format writes it, without what may be very long: `dropped` is None."""
        from sanitizer import __version__

        summary = asdict(self.summary)
        summary["findings"] = count_by_severity(self.findings)
        summary["by_rule"] = count_by_rule(self.findings)
        summary["suppressed_by_baseline"] = self.suppressed
        return {
            "schema": SCHEMA,
            "tool": {"name": "sanitize", "version": __version__},
            "data": self.data,
            "root": self.root,
            "task": self.task,
            **({} if self.training is None else {"training": self.training.to_dict()}),
            "summary": summary,
            "notes": list(self.notes),
            "names": self.names,
            "class_counts": self.class_counts,
            "kpt_shape": list(self.kpt_shape),
            "files_only": self.files_only,
            "causes": [cause_record(cause) for cause in self.causes],
            "dropped": None,
            **({"unread": self.unread} if self.unread else {}),
            **({} if self.probe is None else {"probe": self.probe}),
            **({} if self.preflight is None else {"preflight": self.preflight}),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a finding, the columns of the CSV report (without decision and comment).

        `line`, `column` and `class_id` are Int64; a number that this cannot hold is missing. Bytes of a file name that
        are no UTF-8 are escaped, as in all reports.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Report.to_frame() needs pandas: pip install 'sanitize-yolo[report]'", name="pandas"
            ) from error

        records: list[dict[str, Any]] = [
            {k: encodable(v) if isinstance(v, str) else v for k, v in to_record(f).items()}
            for f in self.findings
        ]
        wholes = {
            name: pd.array([storable(record.pop(name)) for record in records], "Int64")
            for name in WHOLE_COLUMNS
        }
        return pd.DataFrame(records, columns=list(COLUMNS)).assign(**wholes)
