"""A label file as lines of bytes that can be changed one by one; what nobody changes stays byte for byte."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sanitizer.labels.encodings import UTF8_MARK

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
_TOKEN = re.compile(r"\S+")
_ODD_LINE_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ODD_BLANK = re.compile("[\x1f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")


class Step(NamedTuple):
    """What was done for one finding: its rule, in words, and whether training has one box less for it."""

    rule: str
    done: str
    loses_box: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line.

    Attributes:
        origin: Its 1-based number in the file as it was.
        key: Tells it from all other lines, also from those that were one with it in the file as it was.
        text: Its bytes without the line end.
        end: \\n, \\r\\n, \\r, or nothing at the end of the file.
        steps: What was done to it, in order.
    """

    origin: int
    key: int
    text: bytes
    end: bytes
    steps: tuple[Step, ...] = ()

    def is_row(self) -> bool:
        """Whether training sees anything in this line."""
        return bool(self.text.strip())


@dataclass(slots=True)
class Document:
    """A label file under repair.

    Attributes:
        mark: The byte-order mark, or nothing.
        lines: Those that are left, in order.
        removed: Rows that were taken out.
        text_steps: What was done to the file as a whole.
    """

    mark: bytes
    lines: list[Line]
    removed: list[Line] = field(default_factory=list)
    text_steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> Document:
        """Take UTF-8 text apart; `content()` puts it together again, byte for byte."""
        mark = UTF8_MARK if content.startswith(UTF8_MARK) else b""
        lines = [
            Line(number, number, match[1], match[2])
            for number, match in enumerate(_LINE.finditer(content, len(mark)), 1)
            if match[0]
        ]
        return cls(mark, lines)

    def copy(self) -> Document:
        """An independent copy."""
        return Document(self.mark, list(self.lines), list(self.removed), self.text_steps)

    def content(self) -> bytes:
        """The file's bytes."""
        return self.mark + b"".join(line.text + line.end for line in self.lines)

    def has_rows(self) -> bool:
        """Whether there is anything but blank lines."""
        return any(line.is_row() for line in self.lines)

    def normalise_text(self, step: Step) -> bool:
        """Drop the mark, end lines as all programs do, write plain blanks; False where nothing was to do."""
        lines: list[Line] = []
        next_key = max((line.key for line in self.lines), default=0) + 1
        for line in self.lines:
            first, *others = _plain_lines(line)
            lines += [first, *(replace(other, key=next_key + i) for i, other in enumerate(others))]
            next_key += len(others)
        if not self.mark and lines == self.lines:
            return False
        self.mark, self.lines, self.text_steps = b"", lines, (*self.text_steps, step)
        return True

    def rewrite(self, index: int, text: str, step: Step) -> None:
        """Give a line new text."""
        line = self.lines[index]
        self.lines[index] = replace(line, text=text.encode(), steps=(*line.steps, step))

    def remove(self, indices: dict[int, Step]) -> None:
        """Take lines out, each for a reason."""
        for index, step in indices.items():
            line = self.lines[index]
            self.removed.append(replace(line, steps=(*line.steps, step)))
        self.lines = [line for i, line in enumerate(self.lines) if i not in indices]


def _plain_lines(line: Line) -> list[Line]:
    """The line with plain blanks, cut where only Python sees a line end."""
    end = b"\n" if line.end == b"\r" else line.end
    text = line.text.decode()
    if not _ODD_BLANK.search(text) and not _ODD_LINE_END.search(text):
        return [line if end == line.end else replace(line, end=end)]
    parts = _ODD_LINE_END.split(_ODD_BLANK.sub(" ", text))
    inner = end or b"\n"
    return [
        replace(line, text=part.encode(), end=end if i == len(parts) - 1 else inner)
        for i, part in enumerate(parts)
    ]


def with_tokens(text: str, tokens: dict[int, str]) -> str:
    """The text with some of its columns (by number, from 0) written anew, and all blanks as they were."""
    parts, after = [], 0
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number in tokens:
            parts += [text[after : match.start()], tokens[number]]
            after = match.end()
    return "".join((*parts, text[after:]))
