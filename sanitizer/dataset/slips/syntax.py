"""The likely slip behind a text that is no YAML, in words before the parser's, which speaks of tokens and scalars."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sanitizer.dataset.slips import strays
from sanitizer.dataset.slips.place import Place, Slip, code_of, quoted, write_line

if TYPE_CHECKING:
    import yaml

_KEY = re.compile(r"(\s*(?:- )?)([\w.-]+):(?=[^\s/\\:])(.*)")
_TOP_KEYS = (
    "path",
    "train",
    "val",
    "test",
    "names",
    "nc",
    "kpt_shape",
    "flip_idx",
    "channels",
    "task",
    "download",
)
_LINE_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
_CONFLICT = "<<<<<<< "
_CLOSES_WITH = {"[": "]", "{": "}"}


def find_slip(text: str, error: yaml.MarkedYAMLError) -> Slip | None:
    """The likeliest slip, or None where nothing usual fits."""
    lines = _LINE_BREAK.split(text)
    if not lines or error.problem_mark is None:
        return None
    last = min(error.problem_mark.line, len(lines) - 1)
    first = min(error.context_mark.line, last) if error.context_mark else last
    why = f"{error.context}: {error.problem}"
    place = Place(lines, first, last, error.problem_mark.column, why)
    return next((slip for look in _LOOKS if (slip := look(place)) is not None), None)


def with_blank_after_colon(line: str) -> str | None:
    """The line with a blank after the colon of its key; None where no blank is missing."""
    found = _KEY.fullmatch(line.rstrip())
    if found is None or not (found[2].isdigit() or found[2].lower() in _TOP_KEYS):
        return None
    return f"{found[1]}{found[2]}: {found[3]}"


def _conflict(place: Place) -> Slip | None:
    found = next((i for i, line in enumerate(place.lines) if line.startswith(_CONFLICT)), None)
    if found is None:
        return None
    words = "this line begins a merge conflict of git that was never resolved"
    return Slip(
        words,
        "Keep one of the two versions, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>.",
        found + 1,
    )


def _tab(place: Place) -> Slip | None:
    for i in dict.fromkeys((place.last, place.first)):
        line = place.lines[i]
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            words = "this line is indented with a tab, and YAML takes blanks only"
            advice = write_line(i + 1, indent.replace("\t", "  ") + line.lstrip())
            return Slip(words, f"{advice} Replace the other tabs in the same way.", i + 1)
    return None


def _backslash(place: Place) -> Slip | None:
    if "escape character" not in place.why and not re.search("hexa?dec", place.why):
        return None
    line = place.lines[place.last]
    found = re.search(r'"([^"]*)"?', line)
    if found is None:
        return None
    number, single = place.last + 1, line.replace('"', "'").strip()
    words = (
        "this line has a backslash in double quotes, where YAML takes it for the start of a code such as \\n"
    )
    advice = write_line(number, line.replace("\\", "/"))
    advice += f" Or write it in single quotes, in which backslashes stay as they are: `{quoted(single)}`."
    return Slip(words, advice, number)


def _colon(place: Place) -> Slip | None:
    for i in place.upwards():
        line = with_blank_after_colon(place.lines[i])
        if line is not None:
            key = line.partition(":")[0].strip()
            words = f"the blank after the colon of `{key}:` is missing"
            return Slip(words, write_line(i + 1, line), i + 1)
    return None


def _quote(place: Place) -> Slip | None:
    for i in range(place.first, place.last + 1):
        problem = _quote_problem(place.lines[i])
        if problem is None:
            continue
        quote, closed = problem
        if not closed and "quoted scalar" not in place.why and i == place.last:
            continue
        what = (
            f"goes on after a closed quote ({quote})"
            if closed
            else f"opens a quote ({quote}) that nothing closes"
        )
        other = "double" if quote == "'" else "single"
        advice = f"Close the quote on line {i + 1}; a text that has {quote} in it goes into {other} quotes."
        return Slip(f"this line {what}", advice, i + 1)
    return None


def _quote_problem(line: str) -> tuple[str, bool] | None:
    """(the quote, whether it is closed and text follows) of the first quoted text of a line that is not well formed."""
    at = 0
    while at < len(line):
        char = line[at]
        if char == "#" and (at == 0 or line[at - 1].isspace()):
            return None
        if char in "'\"" and (at == 0 or line[at - 1] in " \t[{,:"):
            pattern = r"'(?:[^']|'')*'" if char == "'" else r'"(?:[^"\\]|\\.)*"'
            found = re.compile(pattern).match(line, at)
            if found is None:
                return char, False
            at = found.end()
            if at < len(line) and line[at] not in " \t,]}:":
                return char, True
            continue
        at += 1
    return None


def _bracket(place: Place) -> Slip | None:
    if "flow" not in place.why:
        return None
    line = place.lines[place.first]
    bracket = "{" if "mapping" in place.why else "["
    if line.count(bracket) <= line.count(_CLOSES_WITH[bracket]):
        return None
    words = f"this line opens a {bracket} that is not closed"
    return Slip(words, f"Add {_CLOSES_WITH[bracket]} where the list ends.", place.first + 1)


def _indentation(place: Place) -> Slip | None:
    if place.last == 0 or "flow" in place.why or "quoted" in place.why:
        return None
    line = place.lines[place.last]
    above = next((i for i in range(place.last - 1, -1, -1) if code_of(place.lines[i])), None)
    if above is None or not code_of(line):
        return None
    here, there = _indent(line), _indent(place.lines[above])
    if here > there and not code_of(place.lines[above]).endswith(":"):
        words = f"this line begins {_blanks(here)}, and line {above + 1} above it {_blanks(there)}"
        return Slip(words, write_line(place.last + 1, " " * there + line.strip()), place.last + 1)
    levels = {_indent(other) for other in place.lines[: place.last] if code_of(other)}
    if here < there and here not in levels:
        words = f"this line begins {_blanks(here)}, and line {above + 1} above it {_blanks(there)}"
        return Slip(words, write_line(place.last + 1, " " * there + line.strip()), place.last + 1)
    return None


def _second_colon(place: Place) -> Slip | None:
    if "mapping values are not allowed" not in place.why:
        return None
    line = place.lines[place.last]
    key, _, value = line.partition(": ")
    if ": " not in value and not value.endswith(":"):
        return None
    words = "this line has a second colon, which YAML reads as a key within a value"
    quote = "'" if "'" not in value else '"'
    return Slip(words, write_line(place.last + 1, f"{key}: {quote}{value.strip()}{quote}"), place.last + 1)


def _no_colon(place: Place) -> Slip | None:
    if "could not find expected ':'" not in place.why and "mapping values are not allowed" not in place.why:
        return None
    for i in dict.fromkeys((place.first, place.last, max(0, place.last - 1))):
        code, above = code_of(place.lines[i]), place.lines[max(0, i - 1)]
        if code and ":" not in code and above.lstrip().startswith("- "):
            indent = above[: _indent(above)]
            return Slip("this line has no dash", write_line(i + 1, f"{indent}- {code}"), i + 1)
        if code and ":" not in code and not code.startswith("- "):
            key, _, value = code.replace("=", " ").partition(" ")
            words = f"this line has no colon after `{quoted(key)}`"
            return Slip(words, write_line(i + 1, f"{key}: {value.strip()}"), i + 1)
    return None


def _own_character(place: Place) -> Slip | None:
    if "cannot start any token" not in place.why and "alias" not in place.why and "anchor" not in place.why:
        return None
    line = place.lines[place.last]
    at = place.column if place.column < len(line) and not line[place.column].isalnum() else place.column - 1
    if not 0 <= at < len(line) or line[at] not in "@`%*&":
        return None
    words = f"this line has a value that begins with {line[at]}, which YAML keeps for itself"
    end = next((i for i in range(at, len(line)) if line[i] in ",]}#"), len(line))
    value = line[at:end].strip()
    edited = f'{line[:at]}"{value}"{line[at + len(value) :]}'
    return Slip(words, write_line(place.last + 1, edited), place.last + 1)


_LOOKS = (
    _conflict, strays.fence, strays.second_document, strays.full_width_colon, _tab, _backslash, _colon, _quote,
    _own_character, strays.comment_in_list, strays.comma_at_end, _indentation, _second_colon, _no_colon, _bracket,
)  # fmt: skip
"""In this order: what is beyond doubt first."""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blanks(count: int) -> str:
    return "without a blank" if count == 0 else f"with {count} blank{'' if count == 1 else 's'}"
