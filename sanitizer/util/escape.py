"""Text from a dataset made fit to print: names may hold bytes that are no text, line breaks, terminal codes."""

from __future__ import annotations

import re

_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    r"""The text, with what UTF-8 cannot write escaped: a byte of a file name that was no UTF-8 becomes ``\xff``."""
    if text.isascii():
        return text
    return _NOT_UTF8.sub(_escape, text)


def legible(text: str) -> str:
    r"""The text on one line, with everything unprintable escaped: ``\n``, ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str | re.Match[str]) -> str:
    c = character if isinstance(character, str) else character[0]
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's way of keeping a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return c.encode("unicode_escape").decode("ascii")
