"""The bytes of one cache entry: a chunk's findings and summary, written as we do, and read as if anybody had.

An entry is a line of JSON and the bytes of arrays. Which arrays there are, and of what type, is not in it: it tells
no more than their lengths. What does not fit in every respect is refused, so that whoever wrote it, what comes out
could have come out of a scan.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.findings.finding import ABOUTS, KINDS, Finding, Severity
from sanitizer.labels.heads import HEAD_BYTES
from sanitizer.rules.sketch import ShapeSketch
from sanitizer.rules.survey import COLUMNS, ChunkSummary

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_BINS = {"key": np.int64, "count": np.int64}
_EXTREMES = {"class_id": np.int64, "file": np.int64, "line": np.int64, "measures": np.float64}
"""Arrays of a `ShapeSketch`: one number a bin, and an extreme box; two measures."""

_FIELDS = tuple(f.name for f in fields(Finding))
_SEVERITY = _FIELDS.index("severity")
_TEXT, _INTEGER, _NUMBER = frozenset((str,)), frozenset((int,)), frozenset((int, float))
_TYPES = {
    **dict.fromkeys(("rule", "name", "message", "about", "fingerprint"), _TEXT),
    "severity": _INTEGER,
    **dict.fromkeys(("line", "column", "class_id", "n_more"), _INTEGER | {type(None)}),
    **dict.fromkeys(
        ("x_center", "y_center", "width", "height", "value", "threshold"), _NUMBER | {type(None)}
    ),
}
_TYPE_OF_FIELD = [_TYPES.get(name, _TEXT | {type(None)}) for name in _FIELDS]
"""What JSON may hold for each field of a finding."""
_NUMBERS_AT = [at for at, types in enumerate(_TYPE_OF_FIELD) if int in types]


class EntryError(ValueError):
    """These bytes are no entry that a scan has written."""


def encode(findings: Sequence[Finding], summary: ChunkSummary) -> bytes:
    """The entry for what was found in a chunk."""
    shapes = summary.shapes
    text = json.dumps(
        {
            "findings": [[_plain(getattr(f, name)) for name in _FIELDS] for f in findings],
            "class_counts": list(summary.class_counts.items()),
            "n_label_files": summary.n_label_files,
            "n_boxes": summary.n_boxes,
            "n_bins": len(shapes.key),
            "n_extremes": len(shapes.file),
            "label_heads": [[i, head.decode("latin-1")] for i, head in summary.label_heads.items()],
        },
        separators=(",", ":"),
    ).encode()
    arrays: list[NDArray[Any]] = [
        np.asarray(getattr(summary, name), dtype) for name, dtype in COLUMNS.items()
    ]
    arrays += [np.asarray(getattr(shapes, name), dtype) for name, dtype in (_BINS | _EXTREMES).items()]
    return b"%d\n%b%b" % (len(text), text, b"".join(array.tobytes() for array in arrays))


def decode(content: bytes, n_pairs: int, rules: Container[str]) -> tuple[list[Finding], ChunkSummary]:
    """Findings and summary of a chunk of so many pairs; its arrays cannot be written to.

    Args:
        content: What `encode` gave, or anything.
        n_pairs: Pairs of the chunk that the entry should be about.
        rules: Codes that a finding may have.

    Raises:
        EntryError: It is no such entry.
    """
    length, _, rest = content.partition(b"\n")
    try:
        n_text = int(length)
        # A sign or an underscore is fine with int().
        told = json.loads(rest[:n_text]) if length.isdigit() else None
    except (ValueError, RecursionError):
        raise EntryError("no JSON") from None
    if not isinstance(told, dict):
        raise EntryError("no JSON object")
    raw = memoryview(rest)[n_text:]
    n_bins, n_extremes = _count(told, "n_bins"), _count(told, "n_extremes")
    wanted = [(dtype, n_pairs) for dtype in COLUMNS.values()]
    wanted += [(dtype, n_bins) for dtype in _BINS.values()]
    wanted += [(dtype, n_extremes * (1 + (name == "measures"))) for name, dtype in _EXTREMES.items()]
    arrays = list(_arrays(raw, wanted))
    columns: dict[str, Any] = dict(zip(COLUMNS, arrays, strict=False))
    of_sketch: dict[str, Any] = dict(zip((*_BINS, *_EXTREMES), arrays[len(COLUMNS) :], strict=True))
    of_sketch["measures"] = of_sketch["measures"].reshape(-1, 2)
    sketch = ShapeSketch(n_pairs, **of_sketch)
    if n_extremes and (sketch.file.min() < 0 or sketch.file.max() >= n_pairs):
        raise EntryError("boxes of files that the chunk has not")
    summary = ChunkSummary(
        **columns,
        class_counts=_class_counts(told.get("class_counts")),
        shapes=sketch,
        n_label_files=_count(told, "n_label_files"),
        n_boxes=_count(told, "n_boxes"),
        label_heads=_label_heads(told.get("label_heads"), n_pairs),
    )
    listed = told.get("findings")
    if not isinstance(listed, list):
        raise EntryError("no list of findings")
    return [_finding(values, rules) for values in listed], summary


def _arrays(raw: memoryview, wanted: Sequence[tuple[Any, int]]) -> Iterator[NDArray[Any]]:
    """The arrays of these types and lengths that must lie in the bytes one after the other, and nothing else."""
    sizes = [np.dtype(dtype).itemsize * length for dtype, length in wanted]
    if sum(sizes) != len(raw):
        raise EntryError(f"arrays of {len(raw)} bytes in place of {sum(sizes)}")
    start = 0
    for (dtype, length), size in zip(wanted, sizes, strict=True):
        part = raw[start : start + size]
        if dtype is np.bool_ and length and np.frombuffer(part, np.uint8).max() > 1:
            raise EntryError("neither true nor false")
        yield np.frombuffer(part, dtype)
        start += size


def _count(told: Mapping[str, object], name: str) -> int:
    value = told.get(name)
    if type(value) is not int or value < 0:
        raise EntryError(f"{name} is no number of things")
    return value


def _label_heads(pairs: object, n_pairs: int) -> dict[int, bytes]:
    if not isinstance(pairs, list) or len(pairs) > n_pairs:
        raise EntryError("no heads of labels")
    heads = {}
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and type(pair[1]) is str):
            raise EntryError("no head of a label")
        i, text = pair
        if not 0 <= i < n_pairs or len(text) > HEAD_BYTES or (text and ord(max(text)) > 255):
            raise EntryError("no head of a label of this chunk")
        heads[i] = text.encode("latin-1")
    return heads


def _class_counts(pairs: object) -> dict[int, int]:
    if not isinstance(pairs, list):
        raise EntryError("no class counts")
    counts = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise EntryError("a class count that is no pair")
        class_id, n = pair
        if type(class_id) is not int or type(n) is not int or n < 0 or not _is_reasonable(class_id):
            raise EntryError("a class count that is no number")
        counts[class_id] = n
    return counts


def _finding(values: object, rules: Container[str]) -> Finding:
    if not isinstance(values, list) or len(values) != len(_FIELDS):
        raise EntryError("a finding with more or fewer fields")
    if any(type(value) not in types for value, types in zip(values, _TYPE_OF_FIELD, strict=True)):
        raise EntryError("a finding with a field of another type")
    if not all(_is_reasonable(number) for at in _NUMBERS_AT if (number := values[at]) is not None):
        raise EntryError("a finding with a number beyond all numbers")
    finding = Finding(*values)
    if finding.rule not in rules or finding.fix not in (None, "safe", "unsafe"):
        raise EntryError("a finding of a rule or a fix that there is not")
    if finding.about not in ABOUTS or finding.kind not in (None, *KINDS):
        raise EntryError("a finding about something, or of a kind, that there is not")
    try:
        finding.severity = Severity(values[_SEVERITY])
    except ValueError:
        raise EntryError("a severity that there is not") from None
    return finding


def _is_reasonable(number: float) -> bool:
    """Finite, and no larger than the class ids that label files can hold: these are read as floats."""
    return abs(number) <= sys.float_info.max


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
