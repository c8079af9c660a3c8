"""JSON read value by value: it gives what `json.loads` gives, however the text is cut into pieces, or one sentence."""

from __future__ import annotations

import json
import tracemalloc
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanitizer.util.json_stream import JsonError, JsonStream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def cut(text: bytes, length: int) -> list[bytes]:
    return [text[i : i + length] for i in range(0, len(text), length)]


def read(stream: JsonStream) -> Any:
    """The whole text, its outermost object or list item by item."""
    value: Any
    if stream.opens() == "{":
        value = {
            key: list(stream.items()) if stream.opens() == "[" else stream.value() for key in stream.members()
        }
    else:
        value = list(stream.items()) if stream.opens() == "[" else stream.value()
    stream.end()
    return value


@given(VALUES, st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_any_value_is_read_however_its_text_is_cut(
    value: Any, length: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read(JsonStream(cut(text, length))) == value
    assert JsonStream(cut(text, length)).value() == value


@given(VALUES, st.data())
def test_a_text_that_is_cut_off_is_an_error(value: Any, data: st.DataObject) -> None:
    text = json.dumps([value]).encode()
    stop = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(JsonError):
        read(JsonStream([text[:stop]]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ('[{"a": 1, "b": 2, "a": 3}]', "'a' stands there twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[1,]", "expecting value"),
        ('["a","b",]', "expecting value"),
        ('[{"a":1},{"b":2}},{"c":3}]', "expecting ',' in place of '}'"),
        ("[1] 2", "something follows the end"),
        ('{"a" 1}', "expecting ':' in place of '1'"),
        ("{1: 2}", "a key of an object is no text"),
        ("", "expecting value"),
        ("[" * 100_000, "nested more than 50 levels deep"),
        ("[" * 60 + "]" * 60, "nested more than 50 levels deep"),
        ('{"' + "k" * 300 + '": 1}', "has 300 characters"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(JsonError, match=r"^[^\n]+$") as raised:
        read(JsonStream(text))
    assert words in str(raised.value)


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(JsonError, match="byte 0xff is not UTF-8"):
        JsonStream([b'["a\xff"]']).value()


@pytest.mark.slow
@pytest.mark.parametrize("item", ["[],", '{"a":0},'])
def test_one_value_takes_bounded_memory(item: str) -> None:
    text = "[" + item * (30_000_000 // len(item))
    tracemalloc.start()
    try:
        with pytest.raises(JsonError, match="one value has over 32 MB or 3,000,000 parts"):
            JsonStream(text).value()
        assert tracemalloc.get_traced_memory()[1] < 400 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
def test_a_long_list_takes_little_memory() -> None:
    pieces = ((b'{"a": "' + b"x" * 100 + b'"}, ') * 1000 for _ in range(200))
    tracemalloc.start()
    try:
        n = sum(1 for _ in JsonStream(chain([b"["], pieces, [b"{}]"])).items())
        assert n == 200_001
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
