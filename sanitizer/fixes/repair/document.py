"""A label file as lines of bytes that can be changed one by one; what nobody changes stays byte for byte."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sanitizer.labels.encodings import UTF8_MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        key: Unique in the document. Lines that were one line in the file as it was share `origin`, not `key`.
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


@dataclass(frozen=True, slots=True)
class Document:
    """A label file in some state of its repair. Each change returns a new document.

    Attributes:
        mark: The byte-order mark, or nothing.
        lines: Those that are left, in order.
        removed: Rows that were taken out.
        text_steps: What was done to the file as a whole.
    """

    mark: bytes
    lines: tuple[Line, ...]
    removed: tuple[Line, ...] = ()
    text_steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> Document:
        """Take UTF-8 text apart; `content()` puts it together again, byte for byte."""
        mark = UTF8_MARK if content.startswith(UTF8_MARK) else b""
        lines = tuple(
            Line(number, number, match[1], match[2])
            for number, match in enumerate(_LINE.finditer(content, len(mark)), 1)
            if match[0]
        )
        return cls(mark, lines)

    def content(self) -> bytes:
        """The file's bytes."""
        return self.mark + b"".join(line.text + line.end for line in self.lines)

    def has_rows(self) -> bool:
        """Whether there is anything but blank lines."""
        return any(line.is_row() for line in self.lines)

    def line_at(self, number: int) -> Line | None:
        """The line of that 1-based number; None where there is none, as for 0, the file as a whole."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else None

    def as_plain_text(self, step: Step) -> Document:
        """Without the mark, with line ends that all programs see, and with plain blanks."""
        lines: list[Line] = []
        next_key = max((line.key for line in self.lines), default=0) + 1
        for line in self.lines:
            first, *others = _plain_lines(line)
            lines += [first, *(replace(other, key=next_key + i) for i, other in enumerate(others))]
            next_key += len(others)
        if not self.mark and tuple(lines) == self.lines:
            return self
        return replace(self, mark=b"", lines=tuple(lines), text_steps=(*self.text_steps, step))

    def changed(self, texts: Mapping[int, tuple[str, Step]], removed: Mapping[int, Step]) -> Document:
        """Give some lines (by their index) new text, and take others out, each for a reason."""
        kept, gone = [], []
        for i, line in enumerate(self.lines):
            if i in removed:
                gone.append(replace(line, steps=(*line.steps, removed[i])))
            elif i in texts:
                text, step = texts[i]
                kept.append(replace(line, text=text.encode(), steps=(*line.steps, step)))
            else:
                kept.append(line)
        return replace(self, lines=tuple(kept), removed=(*self.removed, *gone))


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
