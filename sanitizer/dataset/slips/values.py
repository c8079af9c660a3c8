"""Values of a data.yaml that YAML reads as something else than was meant, in words and with the text to write."""

from __future__ import annotations

import re
from typing import NamedTuple

from sanitizer.dataset.slips.texts import short

PATH_KEYS = ("path", "train", "val", "test")
"""Keys whose values are paths."""
_NAME_FILE = re.compile(r"\S+\.(names|txt|labels|yaml|yml|json|csv)")
_ENTRY_WITHOUT_BLANK = re.compile(r"(\d+):(\S+)")
_CODES = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", "\0": "0"}


class Reading(NamedTuple):
    """What a value is, in words that go on after the key, and the edit."""

    words: str
    advice: str


def wrong_type(key: str, value: object, line: int | None) -> Reading | None:
    """What somebody meant by a value whose type training refuses; None where nothing usual fits.

    Args:
        key: Its key.
        value: The value.
        line: 1-based line where the value begins.
    """
    where = f"line {line}" if line else "it"
    if key in ("train", "val") and isinstance(value, bool):
        words = f"is {value}, a setting of training in place of the path to its images"
        advice = f"Delete {where} where another line names the path, or else write the path there"
        return Reading(words, f"{advice}; `{key}={value}` is an argument of train.")
    if not isinstance(value, str):
        return None
    if key == "names":
        return _names_as_text(value.strip(), where)
    if key in ("kpt_shape", "flip_idx"):
        numbers = re.findall(r"\d+", value)
        if numbers:
            words = f"is the text '{short(value)}', not a list"
            return Reading(words, f"Write {where} as `{key}: [{', '.join(numbers)}]`.")
    return None


def _names_as_text(text: str, where: str) -> Reading:
    entry = _ENTRY_WITHOUT_BLANK.match(text)
    if entry is not None:
        words = f"is one text, '{short(text)}', because the blank after the colon is missing"
        return Reading(words, f"Write {where} as `  {entry[1]}: {entry[2]}`, and the other names alike.")
    if re.match(r"-\S.* -\S", text):
        words = f"is one text, '{short(text)}', because the blank after the dash is missing"
        return Reading(words, f"Write {where} as `  - {text.split()[0][1:]}`, and the other names alike.")
    if text[0:1] + text[-1:] in ("[]", "{}"):
        words = f"is a list in quotes, which YAML reads as one text, '{short(text)}'"
        return Reading(words, f"Leave out the quotes around it: write {where} as `names: {short(text)}`.")
    if text[0:1] + text[-1:] == "()":
        words = f"is the text '{short(text)}', as YAML lists stand in square brackets"
        return Reading(words, f"Write {where} as `names: [{short(text[1:-1])}]`.")
    if _NAME_FILE.fullmatch(text):
        words = f"is the path of a file ('{short(text)}'), as darknet takes it; training wants the names themselves"
        return Reading(
            words, f"Copy the names from {short(text)} into `names:`, one a line, in the same order."
        )
    words = f"is one text, '{short(text)}', not a list"
    return Reading(words, f"Write {where} as `names: [{short(text)}]`.")


def entry_without_blank(key: object) -> str | None:
    """`0: bear` of the key "0:bear"."""
    found = _ENTRY_WITHOUT_BLANK.fullmatch(key) if isinstance(key, str) else None
    return f"{found[1]}: {found[2]}" if found else None


def codes_in(text: str) -> list[str]:
    """Codes such as `\\t` that double quotes made control characters of."""
    return [f"\\{_CODES[char]}" for char in dict.fromkeys(text) if char in _CODES]
