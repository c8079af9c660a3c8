"""Message templates: text with plain {name} and {name:format} fields, filled in for many findings at once.

A template is data that may come from anybody's rule pack, so it can name a column and a width of two digits,
but reach into nothing: no attribute, no index, no conversion, no nested field.
"""

from __future__ import annotations

import math
import re
from string import Formatter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FORMAT = re.compile(r"[<>^]?[+ ]?0?(?:[1-9]\d?)?,?(?:\.\d{1,2})?[deEfFgGs%]?")
MAX_TEXT = 200
"""Longest text that a value may put into a message."""
MAX_SENTENCE = 2000
"""Longest text of a field that a check words itself: it ends with what to do, and its values are short already."""
SENTENCES = frozenset(("blame", "detail", "effect", "fate", "problem"))
"""Fields that checks fill with words rather than with a value of the dataset."""
_LONG_WORD = re.compile(rf"\S{{{MAX_TEXT + 1},}}")


class TemplateError(ValueError):
    """The text is no template that a rule may use; the argument is a sentence without its full stop."""


class Template:
    """A checked message template.

    Attributes:
        text: As written.
        names: The fields it names, in order.
    """

    __slots__ = ("_formats", "_pattern", "names", "text")

    def __init__(self, text: str) -> None:
        """Check the template; TemplateError where it holds anything but text and plain fields."""
        pattern, names, formats = "", [], []
        try:
            parts = list(Formatter().parse(text))
        except ValueError as e:
            raise TemplateError(f"{e}: a brace that is meant as such is written twice") from None
        for literal, name, spec, conversion in parts:
            pattern += literal.replace("%", "%%")
            if name is None:
                continue
            if not _NAME.fullmatch(name) or conversion:
                written = f"{{{name}{'!' + conversion if conversion else ''}}}"
                raise TemplateError(f"{written} is not allowed: a field is {{name}} or {{name:format}}")
            if not _FORMAT.fullmatch(spec or ""):
                raise TemplateError(f"{{{name}:{spec}}} has no format of the kind .2f, 8.1f, d or .0%")
            pattern += "%s"
            names.append(name)
            formats.append(spec or "")
        self.text, self.names = text, tuple(names)
        self._pattern, self._formats = pattern, tuple(formats)

    def __reduce__(self) -> tuple[type[Template], tuple[str]]:
        return Template, (self.text,)

    def render(self, column: Callable[[str], Sequence[object] | NDArray[Any]], count: int) -> list[str]:
        """`count` messages; `column(name)` gives the `count` values of a field.

        Unknown numbers (NaN, None) read "?".
        """
        if not self.names:
            return [self._pattern % ()] * count
        fields = [_texts(n, column(n), f) for n, f in zip(self.names, self._formats, strict=True)]
        return [self._pattern % row for row in zip(*fields, strict=True)]

    def render_one(self, value: Callable[[str], object]) -> str:
        """One message; `value(name)` gives the value of a field."""
        fields = (_text(n, value(n), f) for n, f in zip(self.names, self._formats, strict=True))
        return self._pattern % tuple(fields)


def _texts(name: str, values: Sequence[object] | NDArray[Any], spec: str) -> list[str]:
    """The values as text; the usual case, finite floats under a float format, at the speed of format()."""
    if isinstance(values, np.ndarray) and _is_plain(values, spec):
        return [format(v, spec) for v in values.tolist()]
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return [_text(name, v, spec) for v in listed]


def _is_plain(values: NDArray[Any], spec: str) -> bool:
    return spec[-1:] in tuple("efgEFG%") and values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def _text(name: str, value: object, spec: str) -> str:
    if not spec and isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return "?"
    if isinstance(value, float):
        if math.isnan(value):
            return "?"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if spec.endswith("d"):
            value = round(value)
        elif not spec:
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    try:
        text = format(value, spec)
    except (TypeError, ValueError):  # text under a number's format
        text = str(value)
    return text if len(text) <= MAX_TEXT else _shortened(name, text)


def _shortened(name: str, text: str) -> str:
    """A value cut at its end. A sentence stays whole, as it ends with what to do; its long words lose their middle."""
    if name not in SENTENCES:
        return text[: MAX_TEXT - 1] + "…"
    half = MAX_TEXT // 2
    text = _LONG_WORD.sub(lambda word: f"{word[0][: half - 1]}…{word[0][-half:]}", text)
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"
