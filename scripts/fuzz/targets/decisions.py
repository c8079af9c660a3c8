"""The annotator's sheet: whatever a spreadsheet made of it is read, or refused in a sentence with its line."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from sanitizer.fixes.decisions import DECISIONS, DecisionsError, read_decisions
from targets.scratch import put

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4096
WORDS = (
    *(b"rule", b"fingerprint", b"decision", b"label", b"image", b"line", b"fix", b"drop", b"keep", b"sep=;"),
    *(b",", b";", b"\t", b'"', b'""', b"\r\n", b"\r", b"\n", b"'=", b"\0", b"PK\x03\x04"),
    *(b"\xef\xbb\xbf", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\xc3\xaf\xc2\xbb\xc2\xbf", b"0123abcd"),
)


def seeds() -> Iterator[bytes]:
    """Sheets as spreadsheets save them."""
    rows = [
        ["rule", "label", "line", "fingerprint", "decision", "comment"],
        ["B003", "labels/a.txt", "1", "0123abcd", "fix", ""],
        ["B007", "labels/ü.txt", "2", "4567abcd", "Drop ", 'say "so"'],
        ["C001", "labels/c.txt", "3", "89ababcd", "", "x"],
    ]
    for delimiter in ",;\t":
        text = "".join(delimiter.join(f'"{c}"' if '"' not in c else c for c in row) + "\r\n" for row in rows)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
            yield text.encode(encoding)
    plain = "\n".join(",".join(row) for row in rows)
    yield b"sep=,\n" + plain.encode()
    yield plain.replace("fix", "fixx").encode()
    yield (plain + "\nB003,labels/a.txt,1,0123abcd,keep,").encode()
    yield b'rule,fingerprint,decision\n"B003,x,"fix\n'
    yield b"PK\x03\x04"
    yield b""


def check(data: bytes) -> None:
    """See the module."""
    path = put("sheet.csv", data)
    try:
        rows = read_decisions(path)
    except DecisionsError as error:
        assert str(error).startswith(path)
        return
    decided: dict[str, str] = {}
    for row in rows:
        assert row.decision in DECISIONS and row.line >= 1
        assert decided.setdefault(row.fingerprint, row.decision) == row.decision, "one finding, two decisions"
