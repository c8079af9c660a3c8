"""What does not belong into a data.yaml: marks of a chat, of another keyboard, of JSON and of Python."""

from __future__ import annotations

import re

from sanitizer.dataset.slips.place import Place, Slip, code_of, write_line

_FENCE = "```"
_FULL_WIDTH = "："
_KEY = re.compile(rf"[^:{_FULL_WIDTH}]+{_FULL_WIDTH}")
"""What a line begins with whose first colon is such a one."""


def fence(place: Place) -> Slip | None:
    """Lines around code in a chat or a README."""
    found = next((i for i, line in enumerate(place.lines) if line.startswith(_FENCE)), None)
    if found is None:
        return None
    words = "this line is the mark of a piece of code in a chat or a README, not YAML"
    return Slip(words, f"Delete the lines that begin with {_FENCE}.", found + 1)


def second_document(place: Place) -> Slip | None:
    """`---` in the middle."""
    if "another document" not in place.why:
        return None
    words = "a second document begins on this line, and training reads one only"
    return Slip(
        words,
        f"Delete line {place.last + 1}, or what follows it, so that one document is left.",
        place.last + 1,
    )


def full_width_colon(place: Place) -> Slip | None:
    """The colon of a Chinese or Japanese keyboard."""
    for i in place.upwards():
        if _KEY.match(code_of(place.lines[i])):
            words = f"this line has a full-width colon ({_FULL_WIDTH}) in place of `:` and a blank"
            edited = re.sub(rf"{_FULL_WIDTH}[ \u3000]*", ": ", place.lines[i], count=1)
            return Slip(words, write_line(i + 1, edited), i + 1)
    return None


def comment_in_list(place: Place) -> Slip | None:
    """`[a #1, b #2]`: what follows # is no part of the list."""
    if "flow" not in place.why:
        return None
    line = place.lines[place.first]
    head, bracket, inner = line.partition("[")
    inside, closing, _ = inner.rpartition("]")
    if not (bracket and closing and re.search(r"\s#", inside)) or "]" in code_of(line):
        return None
    items = [item.strip().strip("'\"") for item in inside.split(",") if item.strip()]
    words = "this line has a # in its list, which begins a comment for YAML"
    quoted = ", ".join(f'"{item}"' for item in items)
    return Slip(words, write_line(place.first + 1, f"{head}[{quoted}]"), place.first + 1)


def comma_at_end(place: Place) -> Slip | None:
    """`names: [a, b],` as in JSON or Python."""
    if "flow" in place.why:
        return None
    written = place.lines[place.last]
    line = code_of(written)
    if not re.search(r"[]}'\"],$", line):
        return None
    words = "this line ends with a comma, as in JSON, which YAML does not take there"
    indent = written[: -len(written.lstrip())]
    more = any(code_of(other).endswith(",") for other in place.lines[: place.last])
    also = " Take the commas at the ends of the other lines away, too." if more else ""
    return Slip(words, write_line(place.last + 1, indent + line[:-1]) + also, place.last + 1)
