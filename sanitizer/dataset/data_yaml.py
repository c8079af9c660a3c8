"""Reads a data.yaml that somebody else wrote: nothing in it is run, and every fault has its line.

Ultralytics reads it with PyYAML's safe loader, and silently leaves out bytes that are not UTF-8. So do we, but
we check limits on size, depth and aliases first, so that no file can exhaust memory or the stack.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sanitizer.dataset.slips.encoding import encoding_faults
from sanitizer.dataset.slips.texts import short
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.storage.base import LOCAL, Storage, raise_if_unreachable
from sanitizer.util import bounded_yaml
from sanitizer.util.bounded_read import TooLargeError, read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


MAX_BYTES = 5_000_000
_STOPS = "training stops here"
_ERROR = "RuntimeError: Dataset … error …"
_SYNTAX_ERROR = f"{_ERROR} YAML syntax error"
_PLAIN_VALUES = "Write plain values only: paths, numbers, names."

KEY_TYPES: Mapping[str, tuple[type, ...]] = {
    "path": (str,),
    "train": (str, list),
    "val": (str, list),
    "test": (str, list),
    "names": (list, dict),
    "kpt_shape": (list,),
    "flip_idx": (list,),
}
"""Types that Ultralytics insists on (its DATASET_KEY_TYPES)."""

LFS_MARK = b"version https://git-lfs.github.com/spec/"
_REPAIR = (
    "Repair the line; `python -c \"import yaml; yaml.safe_load(open('data.yaml'))\"` shows the same error."
)


@dataclass(frozen=True, slots=True)
class DataYaml:
    """A data.yaml as read.

    Attributes:
        path: Absolute path of the file.
        data: Its mapping; empty where it could not be read.
        readable: False where training could not read it either.
        marks: 1-based line and text (None for lists and mappings) of each value of the two upper levels, by its
            keys or list index as text.
        faults: What is wrong with the file as such (D001, L008).
    """

    path: str
    data: Mapping[Any, Any]
    readable: bool
    marks: Mapping[tuple[str, ...], tuple[int, str | None]] = field(default_factory=dict)
    faults: list[DatasetFault] = field(default_factory=list)

    def line(self, *keys: object) -> int | None:
        """1-based line of `data[keys[0]]` or `data[keys[0]][keys[1]]`; of the outer one where only that is known."""
        names = tuple(map(str, keys))
        mark = self.marks.get(names) or self.marks.get(names[:1])
        return mark[0] if mark else None

    def text_of(self, *keys: object) -> str | None:
        """The scalar at that place as it is written, before YAML gave it a type."""
        return self.marks.get(tuple(map(str, keys)), (0, None))[1]


def read_data_yaml(path: str, storage: Storage = LOCAL) -> DataYaml:
    """Read the data.yaml at an absolute path. Never raises for what is in it."""
    raw = _read_bytes(path, storage)
    if isinstance(raw, str):
        return _refused(path, raw, "Check the path and the permissions of the file.")
    if raw.startswith(LFS_MARK):
        return DataYaml(path, {}, False, {}, [_lfs_pointer(path)])
    faults = encoding_faults(path, raw)
    text = raw.decode("utf-8", "ignore")
    try:
        text, hazard = _readable(text)
        if hazard is not None:
            stops_with = _SYNTAX_ERROR if hazard.stops_every_reader else None
            return _refused(path, hazard.problem, _PLAIN_VALUES, hazard.mark.line + 1, stops_with=stops_with)
        loader = bounded_yaml.Loader(text)
        try:
            node = loader.get_single_node()
            bounded_yaml.limit_expansion(node)
            data = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        return _syntax_error(path, text, error)
    except Exception as error:  # odd scalars (`!!int x`, a 31st of February) fail in many ways
        return _refused(path, f"cannot be read as YAML: {_one_line(error)}", _REPAIR)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        detail = f"is a {type(data).__name__}, not a mapping of keys (train:, val:, names:) to values"
        advice = "Write one `key: value` a line, beginning with train:, val: and names:."
        return _refused(path, detail, advice, 1, stops_with=f"{_ERROR} is not a valid YAML mapping")
    document = DataYaml(
        path, {k: None if _is_none_word(v) else v for k, v in data.items()}, True, _marks(node), faults
    )
    document.faults.extend(_duplicate_keys(path, node))
    document.faults.extend(
        _wrong_types(document, {key: v.start_mark.line + 1 for key, _, v in _entries(node)})
    )
    if "\\" in text or not text.isascii():
        from sanitizer.dataset.slips.lines import line_faults

        lines = text.removeprefix("\ufeff").splitlines()
        document.faults.extend(line_faults(path, lines, document.data, document.line))
    return document


def _readable(text: str) -> tuple[str, bounded_yaml.Hazard | None]:
    """The text as training reads it, and the part of it that must not be parsed."""
    try:
        return text, bounded_yaml.find_hazard(text, python_tags=True)
    except yaml.YAMLError:
        # What PyYAML refuses to read; Ultralytics deletes these characters and tries again.
        text = yaml.reader.Reader.NON_PRINTABLE.sub("", text)
        return text, bounded_yaml.find_hazard(text, python_tags=True)


def _is_none_word(value: object) -> bool:
    return isinstance(value, str) and value == "None"


def _read_bytes(path: str, storage: Storage) -> bytes | str:
    """The file's bytes, or a phrase that says why not."""
    try:
        if not storage.isfile(path):
            return "is not a regular file" if storage.lexists(path) else "does not exist"
        with storage.open(path) as file:
            return read_stream(file, MAX_BYTES, path)
    except TooLargeError:
        return f"is over {MAX_BYTES // 1_000_000} MB, far more than any data.yaml needs, so it was not read"
    except OSError as error:
        raise_if_unreachable(storage, path, error)
        return f"cannot be read: {error.strerror}"


def _refused(
    path: str,
    detail: str,
    suggestion: str,
    line: int | None = None,
    column: int | None = None,
    stops_with: str | None = _SYNTAX_ERROR,
    subject: str = "this file ",
) -> DataYaml:
    effect = _STOPS if stops_with else "it was not read, so nothing is known of it"
    sentence = f"{subject}{detail}; {effect}"
    fault = dataset_fault(
        "D001",
        sentence,
        suggestion,
        Severity.ERROR,
        file=path,
        line=line,
        column=column,
        stops_with=stops_with,
    )
    return DataYaml(path, {}, False, {}, [fault])


def _lfs_pointer(path: str) -> DatasetFault:
    return DatasetFault(
        "L008",
        file=path,
        line=1,
        values={"what": os.path.basename(path)},
        severity=Severity.ERROR,
        stops_with=_ERROR,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _syntax_error(path: str, text: str, error: yaml.MarkedYAMLError) -> DataYaml:
    mark = error.problem_mark or error.context_mark
    why = ": ".join(part for part in (error.context, error.problem) if part)
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    if "maximum nesting depth" in why:
        # Newer parsers have a limit of their own, and reach it while reading ahead.
        return _refused(path, bounded_yaml.TOO_DEEP, _PLAIN_VALUES, line)
    from sanitizer.dataset.slips.syntax import find_slip

    slip = find_slip(text, error)
    if slip is None:
        return _refused(path, f"is not valid YAML: {why}", _REPAIR, line, column)
    column = column if slip.line == line else None
    return _refused(path, f"{slip.words} (not valid YAML: {why})", slip.advice, slip.line, column, subject="")


def _marks(root: yaml.Node | None) -> dict[tuple[str, ...], tuple[int, str | None]]:
    """Line and text of the values of the two upper levels; the last wins where a key stands twice, as in YAML."""
    marks: dict[tuple[str, ...], tuple[int, str | None]] = {}
    for key, line, value in _entries(root):
        marks[(key,)] = (line, _text(value))
        marks.update({(key, inner): (inner_line, _text(v)) for inner, inner_line, v in _entries(value)})
    return marks


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """(key or index, 1-based line where it stands, value) of a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key.value, key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield str(i), value.start_mark.line + 1, value


def _text(node: yaml.Node) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _duplicate_keys(path: str, root: yaml.Node | None) -> Iterator[DatasetFault]:
    """Keys that stand twice at the top level or in `names`: the last one wins, without a word."""
    seen: dict[str, tuple[int, str]] = {}
    for key, line, value in _entries(root):
        text = f" ({short(value.value)})" if isinstance(value, yaml.ScalarNode) else ""
        if key in seen:
            detail = f"`{key}:` stands on line {seen[key][0]}{seen[key][1]} and again on line {line}{text}"
            yield dataset_fault(
                "D001", f"{detail}: training uses the last", "Keep one of the two.", Severity.WARNING,
                file=path, line=line,
            )  # fmt: skip
        seen[key] = (line, text)
        if key == "names" and isinstance(value, yaml.MappingNode):
            yield from _lost_names(path, value)


def _lost_names(path: str, names: yaml.MappingNode) -> Iterator[DatasetFault]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in names.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        same = (key.tag, key.value)  # 0 and "0" are two keys
        line = key.start_mark.line + 1
        if same in lines:
            detail = f"`names` has the key {key.value} on line {lines[same]} and again on line {line}"
            advice = "Give each class its own id."
            yield dataset_fault(
                "D003", f"{detail}: the first name is lost", advice, Severity.ERROR, file=path, line=line
            )
        lines.setdefault(same, line)


def _wrong_types(document: DataYaml, lines: Mapping[str, int]) -> Iterator[DatasetFault]:
    """Values that training refuses for their type. `lines` has the line where each begins."""
    for key, types in KEY_TYPES.items():
        value = document.data.get(key)
        if value is not None and not isinstance(value, types):
            expected = " or ".join(
                {"str": "text", "list": "a list", "dict": "a mapping"}[t.__name__] for t in types
            )
            from sanitizer.dataset.slips.values import wrong_type

            meant = wrong_type(key, value, lines.get(key))
            words, advice = meant or (
                f"must be {expected}, not {type(value).__name__}",
                f"Write `{key}:` as {expected}.",
            )
            yield dataset_fault(
                "D001", f"`{key}:` {words}; training stops here", advice, Severity.ERROR,
                file=document.path, line=lines.get(key) if meant else document.line(key),
                stops_with=f"{_ERROR} '{key}' must be {' or '.join(t.__name__ for t in types)}",
            )  # fmt: skip


def typed(document: DataYaml, key: str) -> Any:
    """The value of a key, or None where it is absent or of a type that training refuses."""
    value = document.data.get(key)
    return value if isinstance(value, KEY_TYPES[key]) else None
