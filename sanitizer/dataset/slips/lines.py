"""Lines that YAML reads without an error, as something else than was written (D001)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.slips.place import write_line
from sanitizer.dataset.slips.values import PATH_KEYS, codes_in
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_ODD_BLANKS = re.compile(r"[ \t]*[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000][\s\u200b]*")


def line_faults(
    path: str, lines: Sequence[str], data: Mapping[Any, Any], line_of: Callable[[str], int | None]
) -> Iterator[DatasetFault]:
    """What is wrong with lines of a data.yaml.

    Args:
        path: Of the file.
        lines: Its lines, without a byte-order mark.
        data: What YAML reads.
        line_of: The 1-based line of a key.
    """
    for key in PATH_KEYS:
        yield from _codes_in_path(path, lines, key, data.get(key), line_of(key))
    yield from islice(_odd_blanks(path, lines), 1)


def _codes_in_path(
    path: str, lines: Sequence[str], key: str, value: object, line: int | None
) -> Iterator[DatasetFault]:
    """A path in double quotes whose backslashes YAML reads as codes: "data\\train" has a tab in it."""
    written = lines[line - 1] if line and line <= len(lines) else ""
    codes = codes_in(value) if isinstance(value, str) and '"' in written and "\\" in written else []
    if codes:
        read = " and ".join(codes)
        detail = f"YAML reads {read} in the double quotes of `{key}:` as a code, so the path is another"
        advice = write_line(line or 1, written.replace("\\", "/"))
        yield dataset_fault("D001", detail, advice, Severity.WARNING, file=path, line=line)


def _odd_blanks(path: str, lines: Sequence[str]) -> Iterator[DatasetFault]:
    """Lines that are indented with blanks that YAML takes for a part of the key, as web pages have them."""
    for number, line in enumerate(lines, 1):
        found = _ODD_BLANKS.match(line)
        if found is None:
            continue
        detail = (
            "this line begins with blanks that are none for YAML (non-breaking ones), so it is not indented"
        )
        advice = f"{write_line(number, '  ' + line[found.end() :])} Replace those of the other lines in the same way."
        yield dataset_fault("D001", detail, advice, Severity.WARNING, file=path, line=number)
