"""Label files that are not plain UTF-8 text: which encoding they have, and on which line it shows."""

from __future__ import annotations

import re

import numpy as np

from sanitizer.dataset.tables import Fault
from sanitizer.findings.finding import Severity

UTF8_MARK = b"\xef\xbb\xbf"
LFS_START = b"version https://git-lfs.github.com/spec/"

_BYTE_ORDER_MARKS = (
    # The marks of UTF-32 begin or end as those of UTF-16 do, so they come first.
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_SIGNATURES = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
)
_NUL_SAMPLE_BYTES = 4096
_BLANK_LINE = re.compile(
    rb"[\n\r\x0b\x0c\x1c-\x1e\x80-\xff][ \t\x1f\x80-\xff]+[\n\r\x0b\x0c\x1c-\x1e\x80-\xff]"
)
"""Bytes that may be a line of blanks; those over 0x7F may be Unicode blanks or line ends."""
_ODD_BLANK = re.compile("[\x0b\x0c\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def not_text_fault(data: bytes, file: int) -> Fault | None:
    """The L001 fault of bytes that are not UTF-8, or are UTF-16 or UTF-32 without a mark; None for UTF-8 text."""
    wide = wide_encoding(data)
    if wide:
        problem = f"the file is {wide}, not UTF-8"
        return Fault(
            "L001", file, 1, 1, {"problem": problem}, "save it as UTF-8 (iconv, or your editor's Save As)"
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _bad_byte_fault(data, file, error.start)
    return None


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32, by the byte-order mark or the positions of NUL bytes; None for anything else."""
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    if b"\0" not in data:
        return None
    sample = data[: min(_NUL_SAMPLE_BYTES, len(data) // 4 * 4)]
    # ASCII text in UTF-16 has NUL as every second byte, in UTF-32 as three of four.
    nul_share = (np.frombuffer(sample, np.uint8).reshape(-1, 4) == 0).mean(axis=0) if sample else np.zeros(4)
    is_nul = tuple((nul_share > 0.9).tolist())
    if not all(is_nul) and (nul_share[~np.array(is_nul)] < 0.1).all():
        if is_nul in ((False, True, True, True), (True, True, True, False)):
            return "UTF-32"
        if is_nul in ((False, True, False, True), (True, False, True, False)):
            return "UTF-16"
    return None


def _bad_byte_fault(data: bytes, file: int, offset: int) -> Fault:
    """Fault at the first byte that is not UTF-8."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            problem = f"the file is {name}, not a label"
            return Fault("L001", file, 1, 1, {"problem": problem}, "export this label again")
    before = data[:offset].decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    byte = data[offset]
    in_windows = bytes([byte]).decode("cp1252", "replace")
    guess = f", {in_windows!r} in Windows-1252" if in_windows.isprintable() and in_windows != "\ufffd" else ""
    return Fault(
        "L001",
        file,
        before.count("\n") + 1,
        len(before) - before.rfind("\n"),
        {"problem": f"byte 0x{byte:02X} is not UTF-8{guess}", "byte": byte},
        "save the file as UTF-8, or delete the character",
    )


def mark_fault(file: int, is_skipped: bool) -> Fault:
    """The L009 fault of a file that starts with a UTF-8 byte-order mark, which training may skip or not."""
    fate = "Ultralytics skips it, other loaders take it for part of the class"
    if not is_skipped:
        fate = "it is taken for part of the class, so training drops the image"
    severity = Severity.INFO if is_skipped else Severity.ERROR
    problem = f"starts with a UTF-8 byte-order mark: {fate}"
    return Fault("L009", file, 1, None, {"problem": problem}, "save as UTF-8 without BOM", severity)


def blank_line_within(data: bytes) -> int | None:
    """Number of the first line that holds blanks alone and lies between rows; None where there is none."""
    if not _BLANK_LINE.search(data):
        return None
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    first_row = len(text) - len(text.lstrip())
    at, last_row = 0, len(text.rstrip())
    for line in text.splitlines(keepends=True):
        if (
            first_row < at < last_row
            and line.strip("\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
            and not line.strip()
        ):
            return text.count("\n", 0, at) + 1
        at += len(line)
    return None


def blank_line_fault(file: int, line: int) -> Fault:
    """The L009 fault of a file with a line of blanks between rows, which training reads as a row without numbers."""
    problem = "a line of blanks alone: it is read as a row without numbers, so training drops the image"
    return Fault("L009", file, line, None, {"problem": problem}, "delete the line", Severity.ERROR)


def carriage_return_fault(data: bytes, file: int) -> Fault | None:
    """The L009 fault of a file where a \\r alone ends lines, as on very old Macs."""
    if data.count(b"\r") == data.count(b"\r\n"):
        return None
    line = len(re.findall(rb"\r\n|\n", data[: re.search(rb"\r(?!\n)", data).start()])) + 1  # type: ignore[union-attr]
    problem = "line ends with a carriage return alone: Ultralytics reads that, other loaders see one long row"
    return Fault("L009", file, line, None, {"problem": problem}, "save with \\n line ends", Severity.INFO)


def odd_blank_fault(text: str, file: int, first_line: int) -> Fault | None:
    """The L009 fault of text with a character that only Python treats as a blank or a line end."""
    found = _ODD_BLANK.search(text)
    if not found:
        return None
    before = text[: found.start()].replace("\r\n", "\n").replace("\r", "\n")
    code = f"U+{ord(found[0]):04X}"
    problem = (
        f"character {code} stands for a blank or a line end: Ultralytics reads it so, other loaders do not"
    )
    return Fault(
        "L009",
        file,
        first_line + before.count("\n"),
        len(before) - before.rfind("\n"),
        {"problem": problem},
        "use plain blanks and \\n line ends",
        Severity.INFO,
    )
