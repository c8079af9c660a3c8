"""JSON in pieces, so that a list of millions of findings is never held; the text is that of `json.dumps`.

Control and direction characters are escaped as JSON escapes them, so that any report may be printed on a terminal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sanitizer.reports.common import plain
from sanitizer.util.escape import inert_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Streamed:
    """Stands for a list in a value that `json_pieces` writes.

    Args:
        items: The list's items, gone through once.
        one_line: Write each item on one line of its own.
    """

    def __init__(self, items: Iterable[Any], one_line: bool = False) -> None:
        self.items, self.one_line = items, one_line


def json_pieces(value: Any, indent: int | None, level: int = 0) -> Iterator[str]:
    """The value as JSON, with text that UTF-8 can write; NaN and infinity are null.

    Args:
        value: Plain values, and `Streamed` in place of lists inside of dictionaries and lists.
        indent: As in `json.dumps`.
        level: How deep in another value it stands.
    """
    if not _holds_stream(value):
        yield json_text(value, indent, level)
        return
    inner = "" if indent is None else "\n" + " " * (indent * (level + 1))
    outer = "" if indent is None else "\n" + " " * (indent * level)
    comma = "," + (inner or " ")
    if isinstance(value, dict):
        lead = "{" + inner
        for key, item in value.items():
            yield f"{lead}{json_text(key)}: "
            yield from json_pieces(item, indent, level + 1)
            lead = comma
        yield outer + "}"
        return
    lead = "[" + inner
    items = value.items if isinstance(value, Streamed) else value
    for item in items:
        yield lead
        if isinstance(value, Streamed):
            yield json_text(item, None if value.one_line else indent, level + 1)
        else:
            yield from json_pieces(item, indent, level + 1)
        lead = comma
    yield f"{outer}]" if lead == comma else "[]"


def _holds_stream(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_stream, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_stream, value))
    return isinstance(value, Streamed)


def json_text(value: Any, indent: int | None = None, level: int = 0) -> str:
    """Plain values, as `json_pieces` writes them."""
    text = inert_json(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent))
    # Line breaks inside of texts are escaped, so these are those of the layout.
    return text.replace("\n", "\n" + " " * (indent * level)) if indent and level else text
