"""JSON that somebody else wrote, read value by value: memory is bounded by the largest value, not by the file.

`json.loads` holds all of a file at once, and builds up to twenty-four bytes of objects for each byte of it. Here lists
and objects that may be long are gone through item by item, and what is read in one piece has a limit.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_VALUE_CHARACTERS = 1 << 25
"""Longest text of one value that is read in one piece."""
MAX_VALUE_PARTS = 3_000_000
"""Most commas and brackets in it: each stands for an object of about seventy bytes."""
MAX_KEY_CHARACTERS = 200
"""Of an object whose members are read one by one, as its keys are kept."""
MAX_DEPTH = 50
"""Levels of lists and objects in one value. Code that walks through a value recurses once a level."""

_BLANKS = " \t\r\n"
_PIECE_CHARACTERS = 1 << 20
_PARTS = ",[{"
_OF_NUMBERS = "0123456789+-.eE"
_LONGEST_BREAK = len("e+") + 1
"""Characters after a number that show whether it goes on."""
_ITEM_ENDS = {"{": "},", '"': '",'}
"""How an item ends that begins so, and more follows."""


class JsonError(ValueError):
    """The text is no JSON, or is too large to read; the argument is a sentence without its full stop."""


class JsonStream:
    """A JSON text, read from its start to its end.

    Whoever calls `members` or `items` reads each value, by any method, before asking for the next.

    Args:
        parts: The text's UTF-8, in pieces, or the text itself.
    """

    def __init__(self, parts: Iterable[bytes] | str) -> None:
        self._rest = _pieces(parts) if isinstance(parts, str) else _decoded(parts)
        self._text, self._at = "", 0
        self._n_parts = 0
        """Commas and brackets in the text at hand: no value in it has more parts."""
        self._block_failed = False
        """Whether the last try to read many items at once failed; tried again when there is more text."""
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)

    def opens(self) -> str:
        """The first character of the next value: `{`, `[`, `"`, …; "" at the end of the text."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANKS:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value as a whole. JsonError where it is no JSON, too long, or nested too deep."""
        self.opens()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except JsonError:
                raise
            except RecursionError:
                raise JsonError(f"nested more than {MAX_DEPTH} levels deep") from None
            except ValueError as error:  # wrong, or not there to its end
                if not self._more():
                    raise JsonError(_words(error)) from None
                self._refuse_very_much()
                continue
            if self._is_whole(value, end) or not self._more():
                self._at = end
                _refuse_depth(value)
                return value

    def _is_whole(self, value: object, end: int) -> bool:
        """Whether a value is complete without the text that is not read yet: `1` may be the start of `1.5e3`."""
        if isinstance(value, str | list | dict):
            return True
        return bool(self._text[end : end + _LONGEST_BREAK].strip(_OF_NUMBERS)) or end + _LONGEST_BREAK <= len(
            self._text
        )

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next, one by one; each stands once, and its value follows."""
        seen: set[str] = set()
        for _ in self._inside("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise JsonError("a key of an object is no text")
            if len(key) > MAX_KEY_CHARACTERS:
                raise JsonError(f"the key {_short(key)} has {len(key):,} characters")
            if key in seen:
                raise JsonError(f"{_short(key)} stands there twice")
            seen.add(key)
            self._take(":")
            yield key

    def items(self) -> Iterator[Any]:
        """The items of the list that comes next, each as `value` would read it."""
        self._block_failed = False
        for _ in self._inside("[", "]"):
            while block := self._block():
                yield from block
            yield self.value()

    def end(self) -> None:
        """JsonError where more text follows."""
        if self.opens():
            raise JsonError("something follows the end")

    def _block(self) -> list[Any]:
        """Items that the text at hand holds whole, with the comma after them; [] where it is not clear how many."""
        end_of_item = _ITEM_ENDS.get(self.opens())
        if self._block_failed or end_of_item is None:
            return []
        stop = self._text.rfind(end_of_item, self._at, self._at + _PIECE_CHARACTERS)
        if stop < 0:
            return []
        try:
            block = self._decoder.decode(f"[{self._text[self._at : stop + 1]}]")
            _refuse_depth(block, MAX_DEPTH + 1)
        except (ValueError, RecursionError):  # `value` says what is wrong, if anything
            self._block_failed = True
            return []
        self._at = stop + len(end_of_item)
        return block if isinstance(block, list) else []

    def _inside(self, left: str, right: str) -> Iterator[None]:
        self._take(left)
        if self.opens() == right:
            self._at += 1
            return
        while True:
            yield
            if self.opens() == right:
                self._at += 1
                return
            self._take(",")

    def _take(self, character: str) -> None:
        found = self.opens()
        if found != character:
            place = f"in place of {_short(found)}" if found else "at the end"
            raise JsonError(f"expecting {character!r} {place}")
        self._at += 1

    def _more(self) -> bool:
        """Read more text, at least as much as is at hand. False at the end of the text."""
        self._n_parts -= _count_parts(self._text, self._at)
        held = [self._text[self._at :]]
        length = wanted = max(len(held[0]), 1)
        while length < 2 * wanted and (piece := next(self._rest, None)) is not None:
            held.append(piece)
            length += len(piece)
            self._n_parts += _count_parts(piece, len(piece))
        self._text, self._at, self._block_failed = "".join(held), 0, False
        return len(held) > 1

    def _refuse_very_much(self) -> None:
        if len(self._text) > MAX_VALUE_CHARACTERS or self._n_parts > MAX_VALUE_PARTS:
            raise JsonError(
                f"one value has over {MAX_VALUE_CHARACTERS >> 20} MB or {MAX_VALUE_PARTS:,} parts"
            )


def _decoded(parts: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for part in parts:
            yield decoder.decode(part)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise JsonError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from None


def _pieces(text: str) -> Iterator[str]:
    return (text[i : i + _PIECE_CHARACTERS] for i in range(0, len(text), _PIECE_CHARACTERS))


def _count_parts(text: str, stop: int) -> int:
    return sum(text.count(mark, 0, stop) for mark in _PARTS)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    raise JsonError(f"{_short(key)} stands there twice")


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


def _refuse_depth(value: object, levels: int = MAX_DEPTH) -> None:
    """JsonError where lists and objects are nested more than so many levels deep."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise JsonError(f"nested more than {MAX_DEPTH} levels deep")


def _words(error: ValueError) -> str:
    """What Python says is wrong, without its position, which counts from the piece at hand."""
    words = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(":")[0]
    return words.lower() or "no value"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}…")
