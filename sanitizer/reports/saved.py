"""A JSON report read back: what `sanitize scan --output findings.json` wrote, as the Report it was."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

from sanitizer.dataset.tables import TASKS
from sanitizer.findings.finding import Finding, Severity, finite
from sanitizer.findings.report import SCHEMA, Report, SplitCounts, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = frozenset(("line", "column", "class_id"))
_NUMBERS = frozenset(("x_center", "y_center", "width", "height", "value", "threshold"))
_ALWAYS = frozenset(("rule", "name", "message"))
_TEXTS = frozenset(f.name for f in fields(Finding)) - _WHOLE - _NUMBERS - {"severity"}
_COUNTS = tuple(f.name for f in fields(Summary) if f.name not in ("splits", "elapsed_s"))
_SPLIT_COUNTS = tuple(f.name for f in fields(SplitCounts) if f.name != "split")

_REMEDY = "make one with `sanitize scan … --output findings.json`"


class SavedReportError(Exception):
    """A file is no report that can be read; the text is a sentence."""


def read_report(path: str) -> Report:
    """The report in a JSON file that `sanitize scan` wrote.

    Raises:
        OSError: The file cannot be read.
        SavedReportError: It is no JSON, cut off, no report of ours, or one of another schema.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        return parse_report(content)
    except SavedReportError as error:
        raise SavedReportError(f"{path}: {error}") from error


def parse_report(content: bytes | str) -> Report:
    """The report in a JSON text; SavedReportError, without the file's name, for any other text."""
    try:
        data = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"this is no valid JSON, or it is cut off ({_first_line(error)}): {_REMEDY}")
    if not isinstance(data, dict) or not {"schema", "findings", "summary"} <= data.keys():
        _refuse(f"this JSON is no report of sanitize: {_REMEDY}")
    if data["schema"] != SCHEMA:
        _refuse(f"a report of schema {_shown(data['schema'])}, this version reads {SCHEMA}: {_REMEDY}")
    summary = _object(data, "summary")
    task = _text(data, "task")
    if task not in TASKS:
        _refuse(f"there is no task {_shown(task)}: {', '.join(TASKS)}")
    return Report(
        data=_text(data, "data"),
        root=_text(data, "root"),
        task=task,
        summary=_summary(summary),
        findings=[_finding(record, i) for i, record in enumerate(_list(data, "findings"), 1)],
        suppressed=_count(summary, "suppressed_by_baseline"),
        notes=tuple(_texts(data, "notes")),
        class_counts={cls: n for cls, n in _by_class(data, "class_counts").items() if isinstance(n, int)},
        names={cls: name for cls, name in _by_class(data, "names").items() if isinstance(name, str)},
        kpt_shape=_kpt_shape(data),
        files_only=data.get("files_only") is True,
        dropped=frozenset(_texts(data, "dropped")),
        probe=_object(data, "probe") if "probe" in data else None,
        preflight=_object(data, "preflight") if "preflight" in data else None,
    )


def _summary(data: Mapping[str, Any]) -> Summary:
    splits = []
    for split in _list(data, "splits"):
        if not isinstance(split, dict):
            _refuse(f"a split of the summary is {_shown(split)}, no object")
        splits.append(
            SplitCounts(_text(split, "split"), **{name: _count(split, name) for name in _SPLIT_COUNTS})
        )
    return Summary(
        **{name: _count(data, name) for name in _COUNTS},
        splits=tuple(splits),
        elapsed_s=_real(data.get("elapsed_s"), "'elapsed_s' of the summary") or 0.0,
    )


def _finding(record: object, number: int) -> Finding:
    if not isinstance(record, dict):
        _refuse(f"finding {number} is {_shown(record)}, no object")
    values: dict[str, Any] = {}
    for name in _TEXTS:
        value = values[name] = record.get(name)
        if not isinstance(value, str) and (value is not None or name in _ALWAYS):
            _refuse(f"finding {number}: {name!r} is {_shown(value)}, no text")
    for name in _WHOLE:
        value = values[name] = record.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            _refuse(f"finding {number}: {name!r} is {_shown(value)}, no whole number")
    for name in _NUMBERS:
        values[name] = _real(record.get(name), f"finding {number}: {name!r}")
    severity = record.get("severity")
    try:
        values["severity"] = Severity.parse(severity if isinstance(severity, str) else _shown(severity))
    except ValueError as error:
        _refuse(f"finding {number}: {error}")
    values["file"] = values["file"] or values["label"] or values["image"]
    values["fingerprint"] = values["fingerprint"] or ""
    return Finding(**values)


def _kpt_shape(data: Mapping[str, Any]) -> tuple[int, int]:
    shape = data.get("kpt_shape", [0, 0])
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and n >= 0 for n in shape):
        _refuse(f"'kpt_shape' is {_shown(shape)}, no pair of whole numbers")
    return shape[0], shape[1]


def _by_class(data: Mapping[str, Any], key: str) -> dict[int, object]:
    """An object whose keys are class ids, which JSON writes as text."""
    try:
        return {int(cls): value for cls, value in _object(data, key, {}).items()}
    except ValueError:
        _refuse(f"{key!r} has a key that is no class id")


def _real(value: object, what: str) -> float | None:
    """A number as it was written, so that 3 does not become 3.0; None for null and for what no float can hold."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"{what} is {_shown(value)}, no number")
    try:
        return value if finite(value) is not None else None
    except OverflowError:
        return None


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key, 0)
    if type(value) is not int or value < 0:
        _refuse(f"{key!r} of the summary is {_shown(value)}, no count")
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        _refuse(f"{key!r} is {_shown(value)}, no text")
    return value


def _texts(data: Mapping[str, Any], key: str) -> list[str]:
    values = _list(data, key, [])
    if not all(isinstance(value, str) for value in values):
        _refuse(f"{key!r} holds something that is no text")
    return values


def _object(data: Mapping[str, Any], key: str, default: object = None) -> dict[str, Any]:
    value = data.get(key, default)
    if not isinstance(value, dict):
        _refuse(f"{key!r} is {_shown(value)}, no object")
    return value


def _list(data: Mapping[str, Any], key: str, default: object = None) -> list[Any]:
    value = data.get(key, default)
    if not isinstance(value, list):
        _refuse(f"{key!r} is {_shown(value)}, no list")
    return value


def _shown(value: object) -> str:
    """A value as a sentence may hold it, however large it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None:
        return "missing"
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write a whole number of thousands of digits
        return "a huge number"
    return text if len(text) <= 40 else f"{text[:37]}…"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(sentence: str) -> NoReturn:
    raise SavedReportError(sentence)
