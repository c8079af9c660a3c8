"""Classes and keypoints as a data.yaml declares them, and what is wrong with them (D003)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import typed
from sanitizer.dataset.input_shape import read_channels, read_kpt_shape
from sanitizer.dataset.slips.keys import entries_at_top, key_of_other_tool, parent_of
from sanitizer.dataset.slips.texts import short_value
from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.tables import DatasetFault, Task


MAX_NAME_FAULTS = 100
MAX_CLASSES = 100_000
"""Class ids beyond this are a typing error or an attack. A detector computes a score for every class at 8,400 anchors
of an image of 640 px. So many classes need 3 GB for one image; the largest published sets have 21,841 classes.
"""
_CURLY_QUOTES = "“”„‟‘’‚‛«»"
_SCORE_BYTES_OF_A_CLASS = 8400 * 4
_ERROR = "RuntimeError: Dataset … error …"
_NO_CLASS = f"{_ERROR} 0-class dataset, at least one class name is required in your dataset YAML."


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes that labels are checked against. `nc` is None where the data.yaml does not count them: then no class
    id can be out of range."""

    nc: int | None
    names: Mapping[int, str]
    kpt_shape: tuple[int, int]
    faults: tuple[DatasetFault, ...]
    channels: int = 3


def read_classes(document: DataYaml | None) -> Classes:
    """Number of classes, names, kpt_shape and channels, by the rules of Ultralytics' check_det_dataset.

    Where nc and names disagree, the larger counts, so that one mistake in the yaml does not make every row a
    finding. Without a data.yaml there are none.
    """
    if document is None:
        return Classes(None, {}, (0, 0), ())
    faults: list[DatasetFault] = []
    nc = _read_nc(document, faults)
    listed = typed(document, "names")
    if document.readable and document.data.get("names") is None and "nc" not in document.data:
        faults.append(_no_names(document))
    elif nc is not None and nc <= MAX_CLASSES and document.data.get("names") is None:
        faults.append(_nameless(document, nc))
    names = _read_names(document, listed, faults) if listed is not None else {}
    if listed is not None:
        if nc is not None and nc != len(listed):
            detail = f"`nc: {nc}` but `names` has {len(listed)} entries; training stops here"
            advice = "Correct the one that is wrong, or leave `nc:` out: training counts the names."
            stops_with = f"{_ERROR} 'names' length {len(listed)} and 'nc: {nc}' must match."
            faults.append(_fault(document, detail, advice, document.line("nc"), stops_with=stops_with))
        nc = max([nc or 0, len(listed), *(key + 1 for key in names if key < MAX_CLASSES)])
    if nc is not None and nc > MAX_CLASSES:
        faults.append(_too_many(document, nc))
        nc = None
    shape = read_kpt_shape(document, faults)
    channels = read_channels(document, faults)
    return Classes(nc or None, names, shape, tuple(faults), channels)


def _fault(
    document: DataYaml,
    detail: str,
    suggestion: str,
    line: int | None = None,
    severity: Severity = Severity.ERROR,
    rule: str = "D003",
    stops_with: str | None = None,
    stops_task: Task | None = None,
) -> DatasetFault:
    return dataset_fault(
        rule, detail, suggestion, severity,
        file=document.path, line=line, stops_with=stops_with, stops_task=stops_task,
    )  # fmt: skip


def _no_names(document: DataYaml) -> DatasetFault:
    """Neither `names:` nor `nc:`: by mistake, with the mistake in words where it is a known one."""
    detail, line = "neither `names:` nor `nc:` is given", None
    advice = "Add `names:`, one name a class, in the order of the class ids."
    other = key_of_other_tool(document.data, "names")
    if "names" in document.data and (outside := _outside_names(document)) is not None:
        detail, advice, line = outside
        detail = f"`names:` is empty: {detail}"
    elif other is not None:
        line = document.line(other)
        detail = f"the key `names:` is missing (training does not read `{short_value(other)}:`)"
        advice = f"Write `names:` in place of `{short_value(other)}:` on line {line}."
    elif (parent := parent_of(document.data, "names")) is not None:
        line = document.line(parent)
        detail = f"`names:` stands below `{short_value(parent)}:`, where training does not look for it"
        advice = f"Delete line {line}, and take the indentation off the lines below it."
    stops_with = f"{_ERROR} either 'names' or 'nc' are required in all data YAMLs."
    return _fault(document, f"{detail}; training stops here", advice, line, stops_with=stops_with)


def _outside_names(document: DataYaml) -> tuple[str, str, int | None] | None:
    """(words, advice, line) where entries of `names:` stand at the top level, as they are not indented."""
    entries = entries_at_top(document.data)
    if not entries:
        return None
    key, name = next(iter(entries.items()))
    line = document.line(key)
    what = f"its entry {key}: {short_value(name)}" if len(entries) == 1 else f"its {len(entries)} entries"
    words = f"{what} {'stands' if len(entries) == 1 else 'stand'} at the top level, not indented"
    alike = "" if len(entries) == 1 else ", and indent the other names alike"
    where = f"line {line}" if line else "it"
    return words, f"Write {where} as `  {key}: {short_value(name)}`{alike}.", line


def _nameless(document: DataYaml, nc: int) -> DatasetFault:
    called = "class class_0" if nc == 1 else f"classes class_0 to class_{nc - 1}"
    detail = f"`nc: {nc}` without `names:`; training calls the {called}"
    advice = "Add `names:`, one name a class, in the order of the class ids."
    outside = _outside_names(document)
    if outside is not None:
        return _fault(document, f"{detail}: {outside[0]}", outside[1], outside[2], Severity.WARNING)
    return _fault(document, detail, advice, document.line("nc"), Severity.WARNING)


def _too_many(document: DataYaml, nc: int) -> DatasetFault:
    key, words = (
        ("nc", f"`nc: {short_value(nc)}`")
        if "nc" in document.data
        else ("names", f"`names` of {nc:,} classes")
    )
    need = f"the scores of one image alone take {nc * _SCORE_BYTES_OF_A_CLASS // 10**9:,} GB"
    detail = f"{words} is more than can be trained ({need}, {MAX_CLASSES:,} classes are the limit here)"
    advice = "Correct the number of classes; until then no class id can be found to be out of range."
    return _fault(document, f"{detail}; class ids were not checked", advice, document.line(key))


def _read_nc(document: DataYaml, faults: list[DatasetFault]) -> int | None:
    if "nc" not in document.data:
        return None
    value = document.data["nc"]
    try:
        number = float(value)
        if not math.isfinite(number) or number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        detail = f"`nc: {short_value(value)}` is no whole number; training stops here"
        stops_with = f"{_ERROR} 'nc: {short_value(value)}' must be an integer"
        faults.append(
            _fault(
                document, detail, "Write the number of classes.", document.line("nc"), stops_with=stops_with
            )
        )
        return None
    if number < 1:
        detail = f"`nc: {int(number)}` leaves no class to learn; training stops here"
        faults.append(
            _fault(
                document, detail, "Write the number of classes.", document.line("nc"), stops_with=_NO_CLASS
            )
        )
        return None
    return int(number)


def _read_names(document: DataYaml, listed: Any, faults: list[DatasetFault]) -> dict[int, str]:
    """Class id to name; entries that cannot be an id are left out and reported."""
    if not listed:
        detail = "`names:` is empty: no class to learn; training stops here"
        faults.append(
            _fault(document, detail, "List one name a class.", document.line("names"), stops_with=_NO_CLASS)
        )
        return {}
    names: dict[int, str] = {}
    odd: list[DatasetFault] = []
    for key, value in enumerate(listed) if isinstance(listed, list) else listed.items():
        number = _class_id(key)
        line = document.line("names", key)
        if number is None:
            detail = (
                f"`names` has the key {short_value(key)!r}, which is no whole number; training stops here"
            )
            advice = "Use the class ids 0, 1, 2, … as keys."
            from sanitizer.dataset.slips.values import entry_without_blank

            meant = entry_without_blank(key)
            if meant is not None:
                missing = f"the blank after the colon of `{short_value(key)}` is missing"
                detail = f"{missing}, so it is a key; training stops here"
                advice = f"Write `{meant}` in its place."
            stops_with = None if _int_takes(key) else f"{_ERROR} int()"
            odd.append(_fault(document, detail, advice, line, stops_with=stops_with))
            continue
        if number in names:
            detail = f"`names` gives class {number} twice: {names[number]!r} and {short_value(value)!r}"
            odd.append(_fault(document, detail, "Give each class its own id.", line))
        names[number] = str(value)
        odd.extend(_odd_name(document, key, number, value))
    if isinstance(listed, dict) and (outside := _outside_names(document)) is not None:
        detail = f"`names:` is not whole: {outside[0]}, and training does not read what is there"
        odd.append(_fault(document, detail, outside[1], outside[2]))
    odd.extend(_gaps(document, names))
    odd.extend(_same_names(document, names))
    faults.extend(odd[:MAX_NAME_FAULTS])
    if len(odd) > MAX_NAME_FAULTS:
        detail = f"`names` has {len(odd) - MAX_NAME_FAULTS} further faults, not listed"
        faults.append(
            _fault(document, detail, "Repair those listed, then scan again.", document.line("names"))
        )
    return names


def _int_takes(key: object) -> bool:
    """Whether int(), which training calls, takes a key."""
    try:
        int(key)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _class_id(key: object) -> int | None:
    """The class id of a key, where int() loses nothing of it."""
    if isinstance(key, bool) or not isinstance(key, (int, str)):
        return None
    try:
        return int(key)
    except ValueError:
        return None


def _odd_name(document: DataYaml, key: object, number: int, value: object) -> Iterator[DatasetFault]:
    """Report a name that YAML reads as another text than the one written."""
    line = document.line("names", key)
    written = document.text_of("names", key)
    if isinstance(value, str):
        if not value.strip():
            yield _fault(
                document, f"class {number} has an empty name", "Give it a name.", line, Severity.WARNING
            )
        elif len(value) > 2 and value[0] in _CURLY_QUOTES and value[-1] in _CURLY_QUOTES:
            detail = f"class {number} is called {short_value(value)} with the quotes: YAML knows straight ones only"
            yield _fault(document, detail, f'Write "{short_value(value[1:-1])}".', line, Severity.WARNING)
    elif value is None:
        detail = f"class {number} has no name; training calls it 'None'"
        yield _fault(document, detail, "Give it a name.", line, Severity.WARNING)
    elif isinstance(value, (list, dict)):
        detail = f"the name of class {number} is a {type(value).__name__}; training calls it {short_value(value)!r}"
        yield _fault(document, detail, "Write `names` as one flat list.", line, Severity.WARNING)
    elif written != str(value):
        detail = (
            f"YAML reads the name `{written}` of class {number} as {value!r}, and training calls it '{value}'"
        )
        yield _fault(document, detail, f'Put it in quotes: "{written}".', line, Severity.WARNING)


def _gaps(document: DataYaml, names: Mapping[int, str]) -> Iterator[DatasetFault]:
    """Ids must be 0 … n-1 (Ultralytics' check_class_names)."""
    n = len(names)
    wrong = sorted(key for key in names if not 0 <= key < n)
    if not wrong:
        return
    absent = [str(i) for i in range(min(n, max(names) + 1)) if i not in names][:5]
    without = f"; {', '.join(absent)} missing" if absent else ""
    detail = f"`names` has {n} classes with ids {min(names)} to {max(names)}, not 0 to {n - 1}{without}"
    stops = max(names) >= n or 0 not in names
    detail += "; training stops here" if stops else "; a negative id can never be learned"
    line = document.line("names", wrong[0])
    stops_with = None
    if max(names) >= n:
        stops_with = f"{_ERROR} {n}-class dataset requires class indices 0-{n - 1}"
    elif stops:
        stops_with = f"{_ERROR} 0"  # KeyError: 0
    advice = "Number the classes 0, 1, 2, … without gaps, in the labels too."
    if sorted(names) == list(range(1, n + 1)):
        first = short_value(names[1])
        detail = f"`names` counts from 1 ({first}) to {n}, and training counts from 0; training stops here"
        line = document.line("names", 1)
        advice = f"Write `0: {first}` in place of `1: {first}`, and so on"
        advice += "; where the labels count from 1 too, take 1 from each class id."
    yield _fault(document, detail, advice, line, stops_with=stops_with)


def _same_names(document: DataYaml, names: Mapping[int, str]) -> Iterator[DatasetFault]:
    first: dict[str, int] = {}
    for key, name in names.items():
        if name in first and name.strip() and name != "None":
            called = repr(short_value(name))
            detail = f"classes {first[name]} and {key} are both called {called}; training learns them as two"
            line = document.line("names", key)
            yield _fault(document, detail, "Rename one, or merge the two classes.", line, Severity.WARNING)
        first.setdefault(name, key)
