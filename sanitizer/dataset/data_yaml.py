"""Reads a data.yaml from a stranger: nothing in it is run or built, and every fault has its line.

Ultralytics reads it with PyYAML's safe loader, bytes that are not UTF-8 silently left out. So do we, but
limits on size, depth and aliases come first, so that no file can exhaust memory or the stack.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sanitizer.dataset.dataset_faults import place
from sanitizer.dataset.tables import Place
from sanitizer.findings.finding import Severity
from sanitizer.storage.base import LOCAL, Storage, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


MAX_BYTES = 5_000_000
MAX_DEPTH = 60
_TOO_DEEP = f"nests values more than {MAX_DEPTH} deep"
_PLAIN_VALUES = "Write plain values only: paths, numbers, names."
MAX_EXPANDED_NODES = 1_000_000
"""Values after every alias is written out: a few lines of aliases can stand for billions."""

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
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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
    faults: list[Place] = field(default_factory=list)

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
    faults = _encoding_faults(path, raw)
    text = raw.decode("utf-8", "ignore")
    try:
        if not _parses(text):
            # What PyYAML refuses to read; Ultralytics deletes these characters and tries again.
            text = yaml.reader.Reader.NON_PRINTABLE.sub("", text)
        problem = _hazard(text)
        if problem is not None:
            detail, line = problem
            return _refused(path, detail, _PLAIN_VALUES, line)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _limit_expansion(node)
            data = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        return _syntax_error(path, error)
    except Exception as error:  # odd scalars (`!!int x`, a 31st of February) fail in many ways
        return _refused(path, f"cannot be read as YAML: {_one_line(error)}", _REPAIR)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        detail = f"is a {type(data).__name__}, not a mapping of keys (train:, val:, names:) to values"
        return _refused(
            path, detail, "Write one `key: value` a line, beginning with train:, val: and names:.", 1
        )
    document = DataYaml(
        path, {k: None if _is_none_word(v) else v for k, v in data.items()}, True, _marks(node), faults
    )
    document.faults.extend(_duplicate_keys(path, node))
    document.faults.extend(_wrong_types(document))
    return document


def _is_none_word(value: object) -> bool:
    return isinstance(value, str) and value == "None"


def _read_bytes(path: str, storage: Storage) -> bytes | str:
    """The file's bytes, or a phrase that says why not."""
    try:
        if not storage.isfile(path):
            return "is not a regular file" if storage.lexists(path) else "does not exist"
        with storage.open(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        unreadable(storage, path, error)
        return f"cannot be read: {error.strerror}"
    if len(raw) > MAX_BYTES:
        return f"is over {MAX_BYTES // 1_000_000} MB, far more than any data.yaml needs, so it was not read"
    return raw


def _refused(
    path: str, detail: str, suggestion: str, line: int | None = None, column: int | None = None
) -> DataYaml:
    sentence = f"this file {detail}; training stops here"
    fault = place("D001", sentence, suggestion, Severity.ERROR, file=path, line=line, column=column)
    return DataYaml(path, {}, False, {}, [fault])


def _lfs_pointer(path: str) -> Place:
    return Place("L008", file=path, line=1, values={"what": os.path.basename(path)}, severity=Severity.ERROR)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _encoding_faults(path: str, raw: bytes) -> list[Place]:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        detail = (
            f"this file is not UTF-8 (byte 0x{raw[error.start]:02x}): training silently leaves such"
            " bytes out, so names and paths that hold them change"
        )
        return [place("D001", detail, "Save the file as UTF-8.", Severity.WARNING, file=path, line=line)]
    return []


def _parses(text: str) -> bool:
    """Whether events can be read to the end; stops early, content with what is too deep to be read at all."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += _depth_step(event)
            if depth > MAX_DEPTH:
                return True
    except yaml.YAMLError:
        return False
    return True


def _depth_step(event: yaml.Event) -> int:
    if isinstance(event, yaml.CollectionStartEvent):
        return 1
    return -1 if isinstance(event, yaml.CollectionEndEvent) else 0


def _hazard(text: str) -> tuple[str, int] | None:
    """What must not even be composed: (phrase, 1-based line). Events are flat, so nothing here can recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += _depth_step(event)
        line = event.start_mark.line + 1  # type: ignore[union-attr]  # a parser's events have marks
        if depth > MAX_DEPTH:
            return _TOO_DEEP, line
        tag = getattr(event, "tag", None)
        if tag and "python/" in tag:
            short = tag.removeprefix("tag:yaml.org,2002:")
            return (
                f"holds the tag !!{short}, which asks the reader to build or run Python; no safe reader does",
                line,
            )
    return None


def _limit_expansion(root: yaml.Node | None) -> None:
    """Raise YAMLError where aliases written out would give too many values, or refer to themselves."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known == -1:
            raise yaml.MarkedYAMLError(problem="an alias refers to itself", problem_mark=node.start_mark)
        if known is None:
            sizes[id(node)] = -1
            known = sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            if known > MAX_EXPANDED_NODES:
                problem = f"aliases stand for more than {MAX_EXPANDED_NODES:,} values"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return known

    if root is not None:
        size(root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _syntax_error(path: str, error: yaml.MarkedYAMLError) -> DataYaml:
    mark = error.problem_mark or error.context_mark
    why = ": ".join(part for part in (error.context, error.problem) if part)
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    if (
        "maximum nesting depth" in why
    ):  # newer parsers have a limit of their own, and reach it while reading ahead
        return _refused(path, _TOO_DEEP, _PLAIN_VALUES, line)
    return _refused(path, f"is not valid YAML: {why}", _REPAIR, line, column)


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


def _duplicate_keys(path: str, root: yaml.Node | None) -> Iterator[Place]:
    """Keys that stand twice at the top level or in `names`: the last one wins, without a word."""
    seen: dict[str, int] = {}
    for key, line, value in _entries(root):
        if key in seen:
            detail = f"`{key}:` stands on line {seen[key]} and again on line {line}: training uses the last"
            yield place("D001", detail, "Keep one of the two.", Severity.WARNING, file=path, line=line)
        seen[key] = line
        if key == "names" and isinstance(value, yaml.MappingNode):
            yield from _lost_names(path, value)


def _lost_names(path: str, names: yaml.MappingNode) -> Iterator[Place]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in names.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        same = (key.tag, key.value)  # 0 and "0" are two keys
        line = key.start_mark.line + 1
        if same in lines:
            detail = f"`names` has the key {key.value} on line {lines[same]} and again on line {line}"
            advice = "Give each class its own id."
            yield place(
                "D003", f"{detail}: the first name is lost", advice, Severity.ERROR, file=path, line=line
            )
        lines.setdefault(same, line)


def _wrong_types(document: DataYaml) -> Iterator[Place]:
    for key, types in KEY_TYPES.items():
        value = document.data.get(key)
        if value is not None and not isinstance(value, types):
            expected = " or ".join(
                {"str": "text", "list": "a list", "dict": "a mapping"}[t.__name__] for t in types
            )
            detail = f"`{key}:` must be {expected}, not {type(value).__name__}; training stops here"
            yield place(
                "D001", detail, f"Write `{key}:` as {expected}.", Severity.ERROR,
                file=document.path, line=document.line(key),
            )  # fmt: skip


def typed(document: DataYaml, key: str) -> Any:
    """The value of a key, or None where it is absent or of a type that training refuses."""
    value = document.data.get(key)
    return value if isinstance(value, KEY_TYPES[key]) else None
