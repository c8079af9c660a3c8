"""A JSON report read back: what `sanitize scan --output findings.json` wrote, as the Report it was."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import fields
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args

from sanitizer.dataset.tables import TASKS
from sanitizer.findings.cause import Cause, CauseFix
from sanitizer.findings.finding import (
    ABOUTS,
    KINDS,
    REAL_COLUMNS,
    WHOLE_COLUMNS,
    Finding,
    Severity,
    Tally,
    characters_of,
    finite,
    storable,
)
from sanitizer.findings.findings_log import FINDINGS_HELD, HOLDS
from sanitizer.findings.report import SCHEMA, Report, SplitCounts, Summary, Training
from sanitizer.rules.language.pack import load_rules
from sanitizer.util.bounded_read import as_size, open_regular
from sanitizer.util.json_stream import JsonError, JsonStream
from sanitizer.util.name_set import NameSetBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sanitizer.rules.language.rule import Rule

T = TypeVar("T")

MAX_BYTES = 1 << 30
"""Largest report that is read. A million findings are about 600 MB."""
MAX_FINDINGS = 1_000_000
MAX_NAMES = 2_000_000
MAX_RULES = 10_000
"""Rules, told apart by code and name, that findings may be of: summaries hold something for each."""
MAX_KEYS = 100
MAX_CAUSES = 1000
MAX_CHARACTERS = 8192
"""Longest text of a finding: a path has no more than 4,096 bytes, a message has a few hundred."""
CHARACTERS_HELD = 1 << 25
"""Text of findings that stay in memory; more go to a temporary file."""
CHARACTERS_HELD_ALONE = 1 << 27
"""The same where pyarrow, which writes that file, is missing."""
_READ_BYTES = 1 << 20

_KEYS = frozenset(
    ("schema", "data", "root", "task", "summary", "notes", "class_counts", "names", "kpt_shape", "files_only",
     "causes", "unread", "probe", "preflight", "training")
)  # fmt: skip
_ALWAYS = frozenset(("rule", "name", "message"))
_WHOLE = (*WHOLE_COLUMNS, "n_more")
_TEXTS = {
    f.name: 200 if f.name in ("rule", "name") else MAX_CHARACTERS
    for f in fields(Finding)
    if f.name not in ("severity", "about", "kind", *_WHOLE, *REAL_COLUMNS)
}
"""Texts of a finding, and how long they may be."""
_CAUSE_TEXTS = ("id", "name", "sentence", "training", "way_out")
_CAUSE_COUNTS = ("images", "explains", "files")
_COUNTS = tuple(f.name for f in fields(Summary) if f.name not in ("splits", "elapsed_s"))
_SPLIT_COUNTS = tuple(f.name for f in fields(SplitCounts) if f.name != "split")

_OF_SUMMARY = " of the summary"
_REMEDY = "make one with `sanitize scan … --output findings.json`"


class SavedReportError(Exception):
    """A file is no report that can be read; the text is a sentence."""


def read_report(path: str) -> Report:
    """The report in a JSON file that `sanitize scan` wrote.

    It is read piece by piece; very many findings lie in a temporary file, as those of a scan do.

    Raises:
        OSError: The file cannot be read, or is no regular file.
        SavedReportError: It is no JSON, cut off, no report of ours, one of another schema, or too large.
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
            raise SavedReportError(
                f"{path}: a report of {as_size(size)}, and no more than {as_size(MAX_BYTES)} are read: "
                "scan for fewer findings, with --select or --split"
            )
        try:
            return _read(JsonStream(iter(partial(file.read, _READ_BYTES), b"")))
        except SavedReportError as error:
            raise SavedReportError(f"{path}: {error}") from error


def parse_report(content: bytes | str) -> Report:
    """The report in a JSON text; SavedReportError, without the file's name, for any other text."""
    return _read(JsonStream(content if isinstance(content, str) else iter((content,))))


def _read(stream: JsonStream) -> Report:
    try:
        if stream.opens() != "{":
            stream.value()
            stream.end()
            _refuse(f"this JSON is no report of sanitize: {_REMEDY}")
        return _report(_members(stream))
    except JsonError as error:
        _refuse(f"this is no valid JSON, or it is cut off ({error}): {_REMEDY}")


def _members(stream: JsonStream) -> dict[str, Any]:
    """What the report's object holds; of `findings` and `dropped`, which may be very long, what is made of them."""
    data: dict[str, Any] = {}
    no_lists: dict[str, Any] = {}
    for key in stream.members():
        if len(data) > MAX_KEYS:
            _refuse(f"this JSON has over {MAX_KEYS} keys and is no report of sanitize: {_REMEDY}")
        is_list = stream.opens() == "["
        if key == "findings" and is_list:
            data[key] = _findings(stream)
        elif key == "dropped" and is_list:
            data[key] = _names(stream, key)
        else:
            value = stream.value()
            data[key] = value if key in _KEYS else None
            if key in ("findings", "dropped"):
                no_lists[key] = value
            if key == "schema" and value != SCHEMA:
                _refuse(f"a report of schema {_shown(value)}, this version reads {SCHEMA}: {_REMEDY}")
    stream.end()
    if not {"schema", "findings", "summary"} <= data.keys():
        _refuse(f"this JSON is no report of sanitize: {_REMEDY}")
    for key, value in no_lists.items():
        _refuse(f"{key!r} is {_shown(value)}, no list")
    return data


def _report(data: Mapping[str, Any]) -> Report:
    summary = _object(data, "summary")
    task = _text(data, "task")
    if task not in TASKS:
        _refuse(f"there is no task {_shown(task)}: {', '.join(TASKS)}")
    return Report(
        data=_text(data, "data"),
        root=_text(data, "root"),
        task=task,
        summary=_summary(summary),
        findings=data["findings"],
        suppressed=_count(summary, "suppressed_by_baseline", _OF_SUMMARY),
        notes=tuple(_texts(data, "notes")),
        class_counts={cls: n for cls, n in _by_class(data, "class_counts").items() if isinstance(n, int)},
        names={cls: name for cls, name in _by_class(data, "names").items() if isinstance(name, str)},
        kpt_shape=_kpt_shape(data),
        files_only=data.get("files_only") is True,
        dropped=data.get("dropped") or frozenset(),
        causes=_causes(data),
        unread=_count(data, "unread"),
        probe=_object(data, "probe") if "probe" in data else None,
        preflight=_object(data, "preflight") if "preflight" in data else None,
        training=_training(_object(data, "training")) if data.get("training") is not None else None,
    )


def _training(data: Mapping[str, Any]) -> Training:
    starts, stops_with = data.get("starts"), data.get("stops_with")
    if not (starts is None or isinstance(starts, bool)) or not (
        stops_with is None or isinstance(stops_with, str)
    ):
        _refuse("'training' is no verdict on a run")
    sentence = None if stops_with is None else _bounded(stops_with, "'stops_with' of 'training'")
    because = tuple(_bounded(code, "a rule of 'training'", 200) for code in _texts(data, "because")[:100])
    return Training(starts, sentence, _bounded(_text(data, "as"), "'as' of 'training'", 200), because)


def _findings(stream: JsonStream) -> Sequence[Finding]:
    """The findings in their order: a list, or for very many a temporary file."""
    can_spill = importlib.util.find_spec("pyarrow") is not None
    most, room = (FINDINGS_HELD, CHARACTERS_HELD) if can_spill else (MAX_FINDINGS, CHARACTERS_HELD_ALONE)
    found = _each_finding(stream)
    held: list[Finding] = []
    for finding in found:
        held.append(finding)
        room -= characters_of(finding)
        if len(held) > most or room < 0:
            break
    else:
        return held
    if not can_spill:
        _refuse(
            f"over {CHARACTERS_HELD_ALONE >> 20} MB of text in its findings: reading so much needs pyarrow, "
            "pip install 'sanitize-yolo[parquet]'"
        )
    from sanitizer.findings.findings_file import FindingsFile, write_findings

    counted = Tally()
    return FindingsFile(write_findings(counted.counting(chain(held, found)), HOLDS), counted)


def _each_finding(stream: JsonStream) -> Iterator[Finding]:
    built_in = load_rules()
    rules: set[tuple[str, str]] = set()
    for number, record in enumerate(stream.items(), 1):
        if number > MAX_FINDINGS:
            _refuse(f"over {MAX_FINDINGS:,} findings: scan for fewer, with --select or --split")
        finding = _finding(record, number, built_in)
        rules.add((finding.rule, finding.name))
        if len(rules) > MAX_RULES:
            _refuse(f"its findings are of over {MAX_RULES:,} rules, more than there can be")
        yield finding


def _names(stream: JsonStream, key: str) -> AbstractSet[str]:
    """The names in a list, each once; of very many the most lie on disk."""
    builder = NameSetBuilder("the names of dropped images")
    for number, name in enumerate(stream.items(), 1):
        if not isinstance(name, str):
            _refuse(f"{key!r} holds something that is no text")
        if number > MAX_NAMES:
            _refuse(f"{key!r} has over {MAX_NAMES:,} names: scan a part of the dataset, with --split")
        builder.add(_bounded(name, f"a name in {key!r}"))
    return builder.finish()


def _summary(data: Mapping[str, Any]) -> Summary:
    splits = []
    for split in _list(data, "splits"):
        if not isinstance(split, dict):
            _refuse(f"a split of the summary is {_shown(split)}, no object")
        splits.append(
            SplitCounts(
                _text(split, "split"), **{name: _count(split, name, _OF_SUMMARY) for name in _SPLIT_COUNTS}
            )
        )
    return Summary(
        **{name: _count(data, name, _OF_SUMMARY) for name in _COUNTS},
        splits=tuple(splits),
        elapsed_s=_real(data.get("elapsed_s"), "'elapsed_s' of the summary") or 0.0,
    )


def _finding(record: object, number: int, built_in: Mapping[str, Rule]) -> Finding:
    if not isinstance(record, dict):
        _refuse(f"finding {number} is {_shown(record)}, no object")
    values: dict[str, Any] = {}
    for name, limit in _TEXTS.items():
        value = values[name] = record.get(name)
        if isinstance(value, str):
            if len(value) > limit:
                _bounded(value, f"finding {number}: {name!r}", limit)
        elif value is not None or name in _ALWAYS:
            _refuse(f"finding {number}: {name!r} is {_shown(value)}, no text")
    for name in _WHOLE:
        value = values[name] = record.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(f"finding {number}: {name!r} is {_shown(value)}, no whole number")
        if _real(value, name) is None or (name != "class_id" and storable(value) is None):
            _refuse(f"finding {number}: {name!r} is {_shown(value)}, too large a number")
    for name in REAL_COLUMNS:
        value = record.get(name)
        values[name] = None if value is None else _real(value, f"finding {number}: {name!r}")
    severity = record.get("severity")
    try:
        values["severity"] = Severity.parse(severity if isinstance(severity, str) else _shown(severity))
    except ValueError as error:
        _refuse(f"finding {number}: {error}")
    rule = built_in.get(values["rule"])  # reports of other versions may lack these two, or know other ones
    values["about"] = _chosen(record, "about", ABOUTS, rule.about if rule else "row")
    values["kind"] = _chosen(record, "kind", (None, *KINDS), rule.kind if rule else None)
    values["file"] = values["file"] or values["label"] or values["image"]
    values["fingerprint"] = values["fingerprint"] or ""
    return Finding(**values)


def _chosen(record: Mapping[str, Any], name: str, choices: Sequence[T], default: T) -> T:
    """The record's value, the default where it has none of these choices."""
    return record[name] if name in record and record[name] in choices else default


def _causes(data: Mapping[str, Any]) -> tuple[Cause, ...]:
    """The causes of the report; none in reports of earlier versions."""
    records = _list(data, "causes", [])
    if len(records) > MAX_CAUSES:
        _refuse(f"{len(records):,} causes, and no more than {MAX_CAUSES:,} are read")
    return tuple(_cause(record, number) for number, record in enumerate(records, 1))


def _cause(record: object, number: int) -> Cause:
    what = f"cause {number}"
    if not isinstance(record, dict):
        _refuse(f"{what} is {_shown(record)}, no object")
    known: dict[str, Any] = {name: _bounded(_text(record, name), what) for name in _CAUSE_TEXTS}
    known |= {name: _count(record, name, f" of {what}") for name in _CAUSE_COUNTS}
    reading = record.get("reading")
    return Cause(
        **known,
        evidence=tuple(_bounded(text, what) for text in _texts(record, "evidence")[:MAX_KEYS]),
        fix=_chosen(record, "fix", (None, *get_args(CauseFix)), None),
        reading=_bounded(reading, what) if isinstance(reading, str) else None,
        whole_splits=tuple(_bounded(text, what) for text in _texts(record, "whole_splits")[:MAX_KEYS]),
    )


def _kpt_shape(data: Mapping[str, Any]) -> tuple[int, int]:
    shape = data.get("kpt_shape", [0, 0])
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and n >= 0 for n in shape):
        _refuse(f"'kpt_shape' is {_shown(shape)}, no pair of whole numbers")
    return shape[0], shape[1]


def _by_class(data: Mapping[str, Any], key: str) -> dict[int, object]:
    """An object whose keys are class ids, which JSON writes as text."""
    try:
        by_class = {int(cls): value for cls, value in _object(data, key, {}).items()}
    except ValueError:
        _refuse(f"{key!r} has a key that is no class id")
    for cls, value in by_class.items():
        if _real(cls, key) is None or (isinstance(value, int) and storable(value) is None):
            _refuse(f"{key!r} holds {_shown(cls)}: {_shown(value)}, too large a number")
    return by_class


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


def _count(data: Mapping[str, Any], key: str, where: str = "") -> int:
    value = data.get(key, 0)
    if type(value) is not int or value < 0 or storable(value) is None:
        _refuse(f"{key!r}{where} is {_shown(value)}, no count")
    return value


def _bounded(text: str, what: str, limit: int = MAX_CHARACTERS) -> str:
    if len(text) > limit:
        _refuse(f"{what} has {len(text):,} characters, and no more than {limit:,} are read")
    return text


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


def _refuse(sentence: str) -> NoReturn:
    raise SavedReportError(sentence)
