"""A data.yaml that is not UTF-8: what training makes of it."""

from __future__ import annotations

from sanitizer.dataset.slips.texts import short
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def encoding_faults(path: str, raw: bytes) -> list[DatasetFault]:
    """D001 where a file is not UTF-8, with the first line that training reads as another text."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        kind = "UTF-16, not UTF-8" if raw.startswith(_UTF_16) else "not UTF-8"
        detail = (
            f"this file is {kind} (byte 0x{raw[error.start]:02x}): training silently leaves such bytes out"
        )
        read_as = None if raw.startswith(_UTF_16) else _line_in_windows_1252(raw, line)
        detail += read_as or ", so names and paths that hold them change"
        return [
            dataset_fault("D001", detail, "Save the file as UTF-8.", Severity.WARNING, file=path, line=line)
        ]
    return []


def _line_in_windows_1252(raw: bytes, number: int) -> str | None:
    """What training reads on a line in place of what was written; None where Windows-1252 has no such byte."""
    line = raw.split(b"\n", number)[number - 1]
    try:
        meant = line.decode("cp1252")
    except UnicodeDecodeError:
        return None
    read = line.decode("utf-8", "ignore")
    return f" and reads line {number} as `{short(read)}`, not `{short(meant)}` (written in Windows-1252)"
