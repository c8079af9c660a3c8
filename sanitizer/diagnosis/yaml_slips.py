"""What went wrong in the data.yaml itself, where label rows only look wrong because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.dataset.slips.keys import entries_at_top
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import cut_short, in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.finding import Finding


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    if evidence.count("D003") and evidence.count("C001"):
        yield from _names_outside(evidence)


def _names_outside(evidence: Evidence) -> Iterator[Hypothesis]:
    """Some names stand at the top level, and they are those of every class id that training does not know."""
    dataset = evidence.dataset
    if dataset.yaml_path is None or evidence.spec.nc is None:
        return
    document = read_data_yaml(dataset.yaml_path, dataset.storage)
    outside = entries_at_top(document.data)
    counts = {c: n for c, n in evidence.survey.class_counts.items() if n}
    unknown = {c: n for c, n in counts.items() if not 0 <= c < evidence.spec.nc}
    if not unknown or not unknown.keys() <= outside.keys():
        return
    lines = [line for key in outside if (line := document.line(key)) is not None]
    n_names, n_rows = len(outside), sum(unknown.values())
    stand = "name stands" if n_names == 1 else "names stand"
    cause = Cause(
        "names-not-indented",
        "Names that are not indented",
        f"{n_names} {stand} at the top level of data.yaml, outside of `names:`.",
        (
            f"Rows with the ids of these names ({cut_short(sorted(unknown), 10)}): "
            f"{n_rows:,} of {sum(counts.values()):,}.",
            "No row has an id that is neither there nor below `names:`.",
        ),
        f"Training knows {in_thousands(evidence.spec.nc, 'class')}, and leaves out the images with other class ids.",
        f"Indent {_lines(lines)} of data.yaml like the names above.",
    )

    def claims(finding: Finding) -> bool:
        return finding.rule == "C001" or (finding.rule == "D003" and finding.line in lines)

    yield Hypothesis(cause, claims, advises=True)


def _lines(lines: list[int]) -> str:
    return (
        f"line {lines[0]}" if len(lines) == 1 else f"lines {min(lines)} to {max(lines)}" if lines else "them"
    )
