"""Makes text from a dataset safe to print: names may hold bytes that are no text, line breaks or terminal codes."""

from __future__ import annotations

import re

_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_CONTROLS = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""What a terminal or an editor acts upon, as part of a pattern: control characters (C0, DEL, C1), line and paragraph
separators, and what changes the direction of text (UAX #9)."""
_ACTS = re.compile(f"[{_CONTROLS}\ud800-\udfff]")
_ACTS_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""The same without C0, which `json.dumps` escapes inside of texts and needs outside of them."""


def encodable(text: str) -> str:
    r"""The text, with what UTF-8 cannot write escaped: a byte of a file name that was no UTF-8 becomes ``\xff``."""
    if text.isascii():
        return text
    return _NOT_UTF8.sub(_escape, text)


def inert(text: str) -> str:
    r"""The text with every control and direction character escaped, and what UTF-8 cannot write: ``\n``, ``\x1b``.

    Unlike `legible` it keeps characters that names in some languages need, such as joiners and unusual blanks.
    """
    return _ACTS.sub(_escape, text)


def inert_json(text: str) -> str:
    r"""JSON with the same characters written as ``\u202e``: it means the same, and is safe to print."""
    return _ACTS_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


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


def first_line(error: Exception) -> str:
    """The first line of what an exception says; its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
