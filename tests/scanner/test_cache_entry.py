"""The bytes of a cache entry: they come back as they were, or are refused."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from strange_files import within

from sanitizer.findings.finding import Finding, Severity
from sanitizer.labels.heads import HEAD_BYTES
from sanitizer.rules.sketch import ShapeSketch
from sanitizer.rules.survey import COLUMNS, ChunkSummary
from sanitizer.scanner.cache_entry import EntryError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

N_PAIRS = 5
FINDINGS = [
    Finding("B002", "flat-box", Severity.ERROR, "no height", "train", "a.jpg", "a.txt", 3, 1, 2, "c\udc80t"),
    Finding(
        "L001", "no-text", Severity.WARNING, "not text", fix="safe", value=0.25, threshold=1, class_id=10**300
    ),
]
RULES = frozenset(("B002", "L001"))


def summary() -> ChunkSummary:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        name: rng.integers(0, 2, N_PAIRS).astype(dtype) for name, dtype in COLUMNS.items()
    }
    long = np.arange(3, dtype=np.int64)
    shapes = ShapeSketch(N_PAIRS, long, long + 1, long, long + 1, long, rng.normal(size=(3, 2)))
    return ChunkSummary(
        **columns,
        class_counts={0: 3, -7: 1},
        shapes=shapes,
        n_label_files=5,
        n_boxes=9,
        label_heads={1: b"0 0.5 0.5 0.1 0.1\n", 4: bytes(range(256))},
    )


def test_what_was_written_comes_back() -> None:
    findings, known = decode(encode(FINDINGS, summary()), N_PAIRS, RULES)
    assert findings == FINDINGS
    assert findings[0].severity is Severity.ERROR
    written = summary()
    for name, dtype in COLUMNS.items():
        assert getattr(known, name).dtype == dtype
        assert np.array_equal(getattr(known, name), getattr(written, name))
    for f in fields(ShapeSketch):
        assert np.array_equal(getattr(known.shapes, f.name), getattr(written.shapes, f.name))
    assert (known.class_counts, known.n_label_files, known.n_boxes) == ({0: 3, -7: 1}, 5, 9)
    assert known.label_heads == written.label_heads


def test_a_chunk_without_anything_comes_back() -> None:
    none = np.zeros(0, np.int64)
    columns: dict[str, Any] = dict.fromkeys(COLUMNS, none)
    shapes = ShapeSketch(0, none, none, none, none, none, np.zeros((0, 2)))
    nothing = ChunkSummary(**columns, class_counts={}, shapes=shapes, n_label_files=0, n_boxes=0)
    findings, known = decode(encode([], nothing), 0, RULES)
    assert (findings, len(known.image_digest), known.shapes.measures.shape) == ([], 0, (0, 2))


def with_text(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Change the JSON of an entry and leave its arrays as they are."""

    def changed(body: bytes) -> bytes:
        length, _, rest = body.partition(b"\n")
        value = change(json.loads(rest[: int(length)]))
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return b"%d\n%b%b" % (len(text), text, rest[int(length) :])

    return changed


def with_finding(field: str, value: object) -> Callable[[bytes], bytes]:
    """Change a field of the first finding."""
    at = [f.name for f in fields(Finding)].index(field)

    def change(content: Any) -> Any:
        content["findings"][0][at] = value
        return content

    return with_text(change)


def with_key(key: str, value: object) -> Callable[[bytes], bytes]:
    return with_text(lambda content: content | {key: value})


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda body: b"",
    "no text": lambda body: b"\x00" * 64,
    "a length below zero": lambda body: b"-5\n" + body,
    "a length of many digits": lambda body: b"9" * 5000 + b"\n" + body,
    "a length beyond the end": lambda body: b"999999999999\n" + body,
    "deep lists": with_text(lambda content: b"[" * 200_000),
    "deep mappings": with_text(lambda content: b'{"map":' * 200_000),
    "a number of many digits": with_text(lambda content: b'{"findings": ' + b"1" * 5000 + b"}"),
    "another type": with_text(lambda content: [1, 2, 3]),
    "a missing key": with_text(lambda content: {}),
    "findings that are none": with_key("findings", [5]),
    "findings that are a text": with_key("findings", "abc"),
    "a finding too short": with_key("findings", [["B002"]]),
    "a finding's rule that is no text": with_finding("rule", 5),
    "a rule that is not there": with_finding("rule", "Z999"),
    "a severity that is not there": with_finding("severity", 77),
    "a severity that is a list": with_finding("severity", [[]]),
    "a message that is none": with_finding("message", None),
    "a message that is a mapping": with_finding("message", {"Finding": []}),
    "a line that is a text": with_finding("line", "1"),
    "a line beyond all numbers": with_finding("line", 10**4000),
    "a value that is no number": with_finding("value", float("nan")),
    "a value without end": with_finding("x_center", float("inf")),
    "a fix that is not there": with_finding("fix", "rm -rf"),
    "an image that is a list": with_finding("image", ["a"]),
    "counts that are no numbers": with_key("class_counts", [["a", "b"]]),
    "counts below zero": with_key("class_counts", [[0, -5]]),
    "boxes below zero": with_key("n_boxes", -5),
    "labels that are a text": with_key("n_label_files", "5"),
    "more bins than bytes": with_key("n_bins", 2**60),
    "bins below zero": with_key("n_bins", -1),
    "extremes that are no number": with_key("n_extremes", None),
    "heads that are no list": with_key("label_heads", "0 0.5"),
    "a head of no pair": with_key("label_heads", [[N_PAIRS, "0"]]),
    "a head before the first pair": with_key("label_heads", [[-1, "0"]]),
    "a head that is a number": with_key("label_heads", [[0, 5]]),
    "a head that is no bytes": with_key("label_heads", [[0, "\u0100"]]),
    "a head too long": with_key("label_heads", [[0, "0" * (HEAD_BYTES + 1)]]),
    "more heads than pairs": with_key("label_heads", [[0, "0"]] * (N_PAIRS + 1)),
    "arrays too short": lambda body: body[:-8],
    "arrays too long": lambda body: body + b"\0" * 8,
}


def with_array(index_from_end: int, value: bytes) -> Callable[[bytes], bytes]:
    """Put bytes so far before the end, where arrays are."""
    return lambda body: body[:-index_from_end] + value + body[len(value) - index_from_end :]


FORGED |= {
    # The extreme boxes come last: their files, lines and two measures, eight bytes each.
    "a box of a file that is not there": with_array(3 * 8 * 4, (2**40).to_bytes(8, "little")),
    "a box of a file before the first": with_array(3 * 8 * 4, b"\xff" * 8),
    "neither true nor false": with_array(
        3 * 8 * 7 + N_PAIRS + 1, b"\x07"
    ),  # before the channels, a byte a pair
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_what_no_scan_has_written_is_refused(change: Callable[[bytes], bytes]) -> None:
    forged = change(encode(FINDINGS, summary()))
    with within(10), pytest.raises(EntryError):
        decode(forged, N_PAIRS, RULES)


@pytest.mark.parametrize("n_pairs", [0, 4, 6, 10**9])
def test_an_entry_of_a_chunk_of_another_length_is_refused(n_pairs: int) -> None:
    with pytest.raises(EntryError):
        decode(encode(FINDINGS, summary()), n_pairs, RULES)


def test_whatever_is_cut_off_or_changed_is_refused_or_read_and_nothing_else() -> None:
    rng, whole = np.random.default_rng(0), encode(FINDINGS, summary())
    for _ in range(2000):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            content[at] = rng.integers(0, 256)
        content = content[: rng.integers(0, 2 * len(content))]
        try:
            findings, _ = decode(bytes(content), N_PAIRS, RULES)
        except EntryError:
            continue
        assert all(f.rule in RULES for f in findings)
