"""Lines that YAML reads without an error, as something else than was written (D001)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.dataset.slips.place import write_line
from sanitizer.dataset.slips.values import codes_in
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.data_yaml import DataYaml

_ODD_BLANKS = re.compile(r"[ \t]*[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000][\s\u200b]*")


def line_faults(document: DataYaml, lines: Sequence[str]) -> Iterator[DatasetFault]:
    """What is wrong with these lines of a data.yaml, which has no byte-order mark any more."""
    yield from _codes_in_paths(document, lines)
    yield from islice(_odd_blanks(document, lines), 1)


def _codes_in_paths(document: DataYaml, lines: Sequence[str]) -> Iterator[DatasetFault]:
    """Paths in double quotes whose backslashes YAML reads as codes: "data\\train" has a tab in it."""
    for key in ("path", "train", "val", "test"):
        value, line = document.data.get(key), document.line(key)
        written = lines[line - 1] if line and line <= len(lines) else ""
        codes = codes_in(value) if isinstance(value, str) and '"' in written and "\\" in written else []
        if codes:
            read = " and ".join(codes)
            detail = f"YAML reads {read} in the double quotes of `{key}:` as a code, so the path is another"
            advice = write_line(line or 1, written.replace("\\", "/"))
            yield dataset_fault("D001", detail, advice, Severity.WARNING, file=document.path, line=line)


def _odd_blanks(document: DataYaml, lines: Sequence[str]) -> Iterator[DatasetFault]:
    """Lines that are indented with blanks that YAML takes for a part of the key, as web pages have them."""
    for number, line in enumerate(lines, 1):
        found = _ODD_BLANKS.match(line)
        if found is None:
            continue
        detail = (
            "this line begins with blanks that are none for YAML (non-breaking ones), so it is not indented"
        )
        advice = f"{write_line(number, '  ' + line[found.end() :])} Replace those of the other lines in the same way."
        yield dataset_fault("D001", detail, advice, Severity.WARNING, file=document.path, line=number)
