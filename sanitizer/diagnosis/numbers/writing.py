"""From a way of writing that rows fit to a cause in words, and to the findings that come of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.parts import labelled_files
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.labels.readings import READINGS, ROW_BY_ROW
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.parts import Part
    from sanitizer.findings.finding import Finding

UNREADABLE = frozenset({"L002", "L003", "L004", "L005", "L006", "K001", "C001", "C002"})
"""Rules on rows whose columns are not those of training."""
COORDINATES = frozenset({"B003", "B004", "B006", "B010", "B011", "S004", "K003", "K004", "O002"})
"""Rules on where a row's coordinates lie."""
SHAPES = frozenset({"B001", "B002", "B005", "B008", "B009", "B012", "O001", "S001", "S002", "S003", "K002"})
"""Rules on the shape of what a row draws, which a reading may leave as it is."""


@dataclass(frozen=True, slots=True)
class Writing:
    """A way in which rows are written, as the rows of a part show it.

    Attributes:
        id, name: Of the cause.
        part: Where.
        files: Files of the part that are written so.
        n_rows: Their rows that were looked at.
        n_fitting: Those of them that fit.
        are: What the rows are, with the verb: reads on after "All 24 rows of 8 files ".
        evidence: For and against.
        training: What training does because of it.
        way_out: Without a fix.
        rules: Rules whose findings in these files come of it.
        reading: By which `fix` writes the rows anew; None where it must not.
        silent: Files without a finding are written so, too.
        misfits: Label to lines that do not fit: their findings have other reasons.
        claims: A further condition on the findings that come of it.
    """

    id: str
    name: str
    part: Part
    files: Sequence[SampleFile]
    n_rows: int
    n_fitting: int
    are: str
    evidence: Sequence[str]
    training: str
    way_out: str
    rules: frozenset[str]
    reading: str | None = None
    silent: bool = False
    misfits: Mapping[str, frozenset[int]] = field(default_factory=dict)
    claims: Callable[[Finding], bool] = lambda finding: True


def told(writing: Writing, evidence: Evidence) -> Hypothesis:
    """The cause, with the findings that it claims."""
    if (
        evidence.dataset.files_only and writing.reading
    ):  # a few files do not tell of the dataset that they are from
        writing = replace(writing, reading=None)
    part, reading = writing.part, writing.reading
    splits: tuple[str, ...] = ()
    if writing.silent and reading is not None:
        splits = (part.split,) if part.split is not None else tuple(s.name for s in evidence.dataset.splits)
    cause = Cause(
        writing.id,
        as_sentence(writing.name, ""),
        _sentence(writing, evidence),
        tuple(map(as_sentence, writing.evidence)),
        as_sentence(writing.training),
        as_sentence(_way_out(writing, evidence)),
        None if reading is None else "safe" if reading in ROW_BY_ROW else "unsafe",
        reading,
        splits,
        images=_images(writing, evidence),
    )
    return Hypothesis(cause, _claims(writing, evidence))


def _rows_of_files(writing: Writing) -> str:
    """ "All 24 rows of 8 files", "97 of 98 rows of 8 files"."""
    rows, files = in_thousands(writing.n_rows, "row"), in_thousands(len(writing.files), "file")
    if writing.n_fitting < writing.n_rows:
        counted = f"{writing.n_fitting:,} of {rows}"
    else:
        counted = f"All {rows}" if writing.n_rows > 1 else "The only row"
    return f"{counted} of {files}{writing.part.named()}"


def _sentence(writing: Writing, evidence: Evidence) -> str:
    is_all = evidence.labels.of_all and all(file.whole for file in writing.files)
    seen = "" if is_all else " (a sample of the dataset)"
    return f"{_rows_of_files(writing)}{seen} {writing.are}."


def as_sentence(text: str, end: str = ".") -> str:
    """The text with a capital at its start and a full stop behind it."""
    return f"{text[:1].upper()}{text[1:]}{end}"


def fix_command(evidence: Evidence) -> str:
    """What to type in the dataset's folder for a fix."""
    return f"`sanitize fix --unsafe {evidence.shown_path}`"


def _way_out(writing: Writing, evidence: Evidence) -> str:
    if writing.reading is None:
        return writing.way_out
    loses = READINGS[writing.reading].loses
    lost = f" without {loses}, which training does not read" if loses else ""
    command = fix_command(evidence)
    if writing.reading in ROW_BY_ROW:
        command = command.replace(" --unsafe", "", 1)
    return f"{command} writes these rows anew{lost}"


def _images(writing: Writing, evidence: Evidence) -> int:
    """Images of the part whose rows are written so, counted or, where not all files were read, estimated."""
    if evidence.labels.of_all:
        return len(writing.files)
    in_part = sum(writing.part.holds(file.split, file.label) for file in evidence.labels.files)
    return round(len(writing.files) / in_part * labelled_files(evidence, writing.part.split))


def _claims(writing: Writing, evidence: Evidence) -> Callable[[Finding], bool]:
    read = frozenset(file.label for file in evidence.labels.files)
    covered = frozenset(file.label for file in writing.files)

    def claims(finding: Finding) -> bool:
        label = finding.label
        if finding.rule not in writing.rules or label is None or not writing.claims(finding):
            return False
        if label in covered:
            return finding.line not in writing.misfits.get(label, ())
        return label not in read and writing.part.holds(finding.split, label)

    return claims
