"""What went wrong in the data.yaml itself, where label rows only look wrong because of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.dataset.slips.keys import entries_at_top
from sanitizer.dataset.slips.texts import cut, short
from sanitizer.dataset.slips.values import PATH_KEYS, codes_in
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import cut_short, in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.finding import Finding


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    yaml_path = evidence.dataset.yaml_path
    outside = evidence.count("D003") and evidence.count("C001")
    one = evidence.count("C001") and evidence.spec.nc == 1
    codes = evidence.count("D001") and evidence.count("D002")
    if yaml_path is None or not (outside or one or codes):
        return
    document = read_data_yaml(yaml_path, evidence.dataset.storage)
    if outside:
        yield from _names_outside(evidence, document)
    if one:
        yield from _names_in_one(evidence, document)
    if codes:
        yield from _codes_in_paths(evidence, document)


def _names_outside(evidence: Evidence, document: DataYaml) -> Iterator[Hypothesis]:
    """Some names stand at the top level, and they are those of every class id that training does not know."""
    if evidence.spec.nc is None:
        return
    outside = entries_at_top(document.data)
    counts = evidence.class_rows
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


def _names_in_one(evidence: Evidence, document: DataYaml) -> Iterator[Hypothesis]:
    """One name that is a list without commas: it falls into as many names as the labels have ids."""
    counts = evidence.class_rows
    if len(evidence.dataset.names) != 1 or not counts or min(counts) < 0:
        return
    (name,) = evidence.dataset.names.values()
    found = next((parts for parts in _parted(name) if len(parts) == max(counts) + 1), None)
    if found is None:
        return
    line = document.line("names", 0) or document.line("names")
    n_rows = sum(counts.values())
    cause = Cause(
        "names-without-commas",
        "Names that are not separated by commas",
        f"`names:` of data.yaml is one name, '{short(name)}', and seems to be meant as {len(found)}.",
        (
            f"{n_rows - counts.get(0, 0):,} of {in_thousands(n_rows, 'row')} have ids from 1 to {max(counts)}.",
            f"The name falls into {len(found)} parts, one for each id from 0 to {max(counts)}.",
        ),
        "Training knows one class, and leaves out the images with other class ids.",
        f"Write `names: [{cut(', '.join(found), 500)}]`" + (f" on line {line}." if line else "."),
        images=evidence.dropped,
    )
    yield Hypothesis(cause, lambda finding: finding.rule == "C001", advises=True)


_SEPARATORS = (r"[;|/\u3001\uff0c]", r"(?:^|\s)-")


def _parted(name: str) -> Iterator[list[str]]:
    """The names that one text may have been meant as. Two words are one name as often as two."""
    for separator in _SEPARATORS:
        yield [part.strip() for part in re.split(separator, name) if part.strip()]
    if len(words := name.split()) > 2:
        yield words


def _codes_in_paths(evidence: Evidence, document: DataYaml) -> Iterator[Hypothesis]:
    """Paths that are not found because double quotes made a tab or the like of their backslashes."""
    written = ((key, document.data.get(key)) for key in PATH_KEYS)
    found = {key: in_path for key, path in written if (in_path := codes_in(str(path or "")))}
    lines = [line for key in found if (line := document.line(key)) is not None]
    if not found or len(lines) < len(found):
        return
    splits = [split.name for split in evidence.dataset.splits] if "path" in found else list(found)
    lost = [name for name in splits if evidence.counts.get(("D002", name))]
    if not lost:
        return
    codes = dict.fromkeys(code for some in found.values() for code in some)
    cause = Cause(
        "codes-in-paths",
        "Backslashes in double quotes",
        f"YAML reads {' and '.join(codes)} in the double quotes of {' and '.join(f'`{key}:`' for key in found)} "
        "as codes, so the paths are others than those written.",
        ("Each of these codes is a control character, which hardly any path has in it.",),
        f"Training does not find {' and '.join(lost)}.",
        f"Write / for each backslash on {_lines(lines)} of data.yaml.",
    )

    def claims(finding: Finding) -> bool:
        return (finding.rule == "D002" and finding.split in lost) or (
            finding.rule == "D001" and finding.line in lines
        )

    yield Hypothesis(cause, claims, advises=True)


def _lines(lines: list[int]) -> str:
    return (
        f"line {lines[0]}" if len(lines) == 1 else f"lines {min(lines)} to {max(lines)}" if lines else "them"
    )
