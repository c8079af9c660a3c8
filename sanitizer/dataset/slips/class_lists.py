"""Class lists that annotators and exporters put beside a dataset, and where they contradict its data.yaml (D003).

Training reads none of them. They tell what the class ids meant to the tool that wrote the labels.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import read_data_yaml, typed
from sanitizer.dataset.slips.texts import cut, plain_name
from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.bounded_read import TooLargeError, read_stream
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import DatasetFault

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LISTS = (
    *("classes.txt", "class_names.txt", "names.txt", "labels.txt"),
    *("obj.names", "data.names", "classes.names", "_darknet.labels", "notes.json"),
)
"""As LabelImg, Label Studio, darknet, CVAT and Roboflow name them."""
_FILES = (*_LISTS, *_YAMLS)
"""Beside labels the data.yaml of their export counts, too. One beside the data.yaml in use may be of another dataset,
or hold other names on purpose."""
_NO_CLASS = "_background_"
"""In the labels.txt of labelme, whose ids count otherwise."""
_MAX_BYTES = 1_000_000
_MAX_FOLDERS = 20
"""Folders of labels that are looked at; a tool writes the same list to each."""
_MAX_NAMES = 100_000


def class_list_faults(
    document: DataYaml, names: Mapping[int, str], dataset: Dataset
) -> Iterator[DatasetFault]:
    """At most one D003 for each list that contradicts `names`: a name at another class id, or more classes."""
    if 0 not in names or dataset.storage.remote:  # names from 1 are a fault of their own
        return
    told: dict[str, tuple[str, int]] = {}
    data_yaml = shown(os.path.basename(document.path))
    for path in _paths(document, dataset):
        listed = _read(path, dataset)
        words = _contradiction(listed, names, shown(path, dataset.root), data_yaml) if listed else None
        if words is not None:
            key = "\n".join(listed.values())
            first, files = told.get(key, (words, 0))
            told[key] = (first, files + 1)
    line = document.line("names")
    for words, files in told.values():
        more = f" ({files} such files hold the same list)" if files > 1 else ""
        advice = (
            "Look at some images of these classes; where the file beside the labels is right, write `names:` in its"
            " order, or else delete that file: training does not read it."
        )
        yield dataset_fault("D003", words + more, advice, Severity.WARNING, file=document.path, line=line)


def _paths(document: DataYaml, dataset: Dataset) -> Iterator[str]:
    """Files of such a name beside the data.yaml, in the dataset's folder and labels/, and beside the labels."""
    top = dict.fromkeys([os.path.dirname(document.path), dataset.root])
    around = [*top, *(f"{folder}/data" for folder in top)]
    folders = dict.fromkeys([*around, *(f"{folder}/labels" for folder in top)])
    for split in dataset.splits:
        for folder in list(split.label_dirs)[:_MAX_FOLDERS]:
            folders.setdefault(folder)
            folders.setdefault(os.path.dirname(folder))
    seen = {dataset.storage.realpath(document.path)}
    for folder in list(folders)[: 3 * _MAX_FOLDERS]:
        for name in _LISTS if folder in around else _FILES:
            path = f"{folder}/{name}"
            real = dataset.storage.realpath(path) if dataset.storage.isfile(path) else None
            if real is not None and real not in seen:
                seen.add(real)
                yield path


def _read(path: str, dataset: Dataset) -> dict[int, str]:
    """Class id to name as a file lists them; empty where it is no such list."""
    if path.endswith(_YAMLS):
        names = typed(read_data_yaml(path, dataset.storage), "names")
        entries = enumerate(names) if isinstance(names, list) else (names or {}).items()
        return {number: name for number, name in entries if isinstance(number, int) and isinstance(name, str)}
    try:
        with dataset.storage.open(path) as file:
            text = read_stream(file, _MAX_BYTES, path).decode("utf-8-sig", "replace")
    except (OSError, TooLargeError):
        return {}
    if path.endswith(".json"):
        return _in_json(text)
    lines = text.rstrip().splitlines()
    if len(lines) > _MAX_NAMES or any(_is_label_row(line) for line in lines[:20]) or _NO_CLASS in lines[:2]:
        return {}
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _is_label_row(line: str) -> bool:
    """Whether a line is one of a label file (of an image that is called classes), not a name."""
    return re.fullmatch(r"\s*\d+(\s+[\d.eE+-]+){4,}\s*", line) is not None


def _in_json(text: str) -> dict[int, str]:
    """`categories` of the notes.json of Label Studio: [{"id": 0, "name": "cat"}, …]."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    entries = found.get("categories") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) > _MAX_NAMES:
        return {}
    pairs = [(e.get("id"), e.get("name")) for e in entries if isinstance(e, dict)]
    return {number: name for number, name in pairs if isinstance(number, int) and isinstance(name, str)}


def _contradiction(
    listed: Mapping[int, str], names: Mapping[int, str], path: str, data_yaml: str
) -> str | None:
    """The contradiction in words. Another name for a class is none, as long as no name stands at another id."""
    ids = _ids_by_name(names)
    moved = [
        number
        for number, name in listed.items()
        if number in names and plain_name(name) in ids and number not in ids[plain_name(name)]
    ]
    if moved:
        number = moved[0]
        others = f"; {len(moved)} classes differ" if len(moved) > 1 else ""
        return f"class {number} is {_short(listed[number])} in {path}, {_short(names[number])} in {data_yaml}{others}"
    count, own = max(listed) + 1, max(names) + 1
    if path.endswith(_YAMLS):  # one of fewer classes may be made on purpose
        return None
    if count > own and any(plain_name(name) in ids for name in listed.values()):
        extra = _short(listed[max(listed)])
        return f"{path} lists {count} classes, `names` {own}: class {max(listed)} is {extra} there, unknown to training"
    return None


def _ids_by_name(names: Mapping[int, str]) -> dict[str, Sequence[int]]:
    ids: dict[str, list[int]] = {}
    for number, name in names.items():
        ids.setdefault(plain_name(name), []).append(number)
    return dict(ids)


def _short(name: str) -> str:
    return cut(shown(" ".join(name.split())), 40)
