"""From an NDJSON file to a `Dataset`: the first record names the classes, the other records name the splits."""

from __future__ import annotations

import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from sanitizer.archives.ndjson import SPLITS, STOPS, RecordError, first_labels, in_short, parse_line
from sanitizer.archives.read_ahead import blocks_of, open_unbuffered, opener_in
from sanitizer.dataset.model import Dataset, Pack, Split
from sanitizer.dataset.tables import LABEL_TASKS, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.storage.base import LOCAL, Storage, raise_if_unreachable
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.tables import DatasetFault, Task
    from sanitizer.storage.remote import RemoteStorage

RANGE_BYTES = 1 << 26
_BLOCK = 1 << 20
_FIRST_LINE_BYTES = 1 << 24
_SPLIT = re.compile(rb'"split"\s*:\s*"(train|val|test)"')
_LONGEST_MATCH = 64
_KEYPOINT_ROWS = 50
_MOST_KEYPOINTS = 10_000


def from_ndjson(path: str, data: str, wanted: Sequence[str] | None, storage: Storage = LOCAL) -> Dataset:
    """The dataset in an NDJSON file at an absolute path.

    Args:
        path: The file.
        data: As the user gave it.
        wanted: Names of the splits to look at; all by default.
        storage: Where it is.

    Raises:
        StorageError: A remote storage cannot read it.
    """
    root = os.path.dirname(path)
    size, opener = _opened(path, storage)
    faults: list[DatasetFault] = []
    try:
        record = _first_record(path, root, faults, opener)
        found = _splits(path, opener)
    except OSError as error:
        raise_if_unreachable(storage, path, error)
        raise
    names = _names(record, path, root, faults)
    _report_splits(found, path, root, faults)
    used = [name for name in found if wanted is None or name in wanted]
    lie_beside = bool(record.get("path"))
    packs = [Pack(path, "ndjson", number, name, size, lie_beside) for number, name in enumerate(used)]
    declared: Any = record.get("task", "detect")
    task: Task | None = next((t for t in LABEL_TASKS if t == declared), None)
    if task is None:
        where = f"{shown(path, root)} is a dataset for the task {in_short(declared)}"
        detail = f"{where}, whose records hold no boxes to judge"
        faults.append(
            dataset_fault(
                "D001", detail, "Scan detect, segment, pose or obb sets.", Severity.WARNING, file=path, line=1
            )
        )
    shape = _keypoint_shape(record, packs, faults, opener) if task == "pose" else (0, 0)
    return Dataset(
        root=root,
        data=data,
        yaml_path=path,
        splits=[Split.empty(name) for name in used],
        declared_task=task or "detect",
        nc=max(names) + 1 if names else None,
        names=names,
        kpt_shape=shape,
        faults=faults,
        packs=packs,
        notes=[
            f"images of {shown(path, root)} are URLs and were not fetched: their sizes are those that its records claim"
        ],
        storage=storage,
    )


def _opened(path: str, storage: Storage) -> tuple[int, Opener]:
    """(size of the file in bytes, the function that opens it)."""
    if not storage.remote:
        return storage.size(path), opener_in(storage)
    try:
        size = cast("RemoteStorage", storage).known_size(path)
    except OSError as error:
        raise_if_unreachable(storage, path, error)
        raise
    return size, opener_in(storage, size)


def _first_record(path: str, root: str, faults: list[DatasetFault], opener: Opener) -> dict[str, Any]:
    """The record of the dataset; empty where the first line is no such record."""
    with opener(path) as file:
        head = b""
        while len(head) < _FIRST_LINE_BYTES and b"\n" not in head.lstrip() and (part := file.read(_BLOCK)):
            head += part
    text = head.lstrip()
    line = 1 + head[: len(head) - len(text)].count(b"\n")
    advice = 'Begin the file with the dataset\'s record: {"type": "dataset", "task": …, "class_names": {…}}.'
    try:
        record = parse_line(text.partition(b"\n")[0])
    except RecordError as error:
        detail = f"line {line} of {shown(path, root)}, the dataset's record, {error}; {STOPS}"
        faults.append(dataset_fault("D001", detail, advice, Severity.ERROR, file=path, line=line))
        return {}
    if "class_names" not in record and ("file" in record or record.get("type") == "image"):
        detail = (
            f"line {line} of {shown(path, root)} is the record of an image, and the dataset's own is missing:"
            " the converter takes the first line for it and loses the image"
        )
        faults.append(dataset_fault("D001", detail, advice, Severity.ERROR, file=path, line=line))
        return {}
    return record


def _names(record: dict[str, Any], path: str, root: str, faults: list[DatasetFault]) -> dict[int, str]:
    """Class names; a missing name is added as the converter does."""
    given = record.get("class_names", {})
    try:
        names = {int(key): _text(name) for key, name in given.items()}
        if names and not 0 <= min(names) <= max(names) < 1_000_000:
            raise ValueError("out of range")
    except (AttributeError, TypeError, ValueError, RecursionError):
        detail = f"`class_names` of {shown(path, root)} is no mapping of class ids to names; {STOPS}"
        advice = 'Write "class_names": {"0": "first", "1": "second"}.'
        faults.append(dataset_fault("D003", detail, advice, Severity.ERROR, file=path, line=1))
        return {}
    gaps = [i for i in range(max(names, default=-1) + 1) if i not in names]
    if gaps:
        where, added = shown(path, root), f"class{gaps[0]}"
        detail = f"`class_names` of {where} has no name for id {gaps[0]}: the converter calls it {added}"
        faults.append(dataset_fault("D003", detail, "Name every class.", Severity.WARNING, file=path, line=1))
    return {i: names.get(i, f"class{i}") for i in range(max(names, default=-1) + 1)}


def _text(name: object) -> str:
    """A class name. Characters that no file can hold are escaped."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def _splits(path: str, opener: Opener) -> list[str]:
    found: set[bytes] = set()
    with opener(path) as file:
        kept = b""
        while (part := file.read(block_of(file))) and len(found) < len(SPLITS):
            block = kept + part
            found.update(match[1] for match in _SPLIT.finditer(block))
            kept = block[-_LONGEST_MATCH:]
    return [name for name in SPLITS if name.encode() in found]


def _report_splits(found: list[str], path: str, root: str, faults: list[DatasetFault]) -> None:
    """D002 for what the converter makes of missing splits; a file without any is read as train."""
    if "train" not in found:
        detail = f"no record of {shown(path, root)} has the split train; {STOPS}"
        faults.append(
            dataset_fault(
                "D002", detail, "Give records the split train.", Severity.ERROR, file=path, split="train"
            )
        )
    elif "val" not in found:
        detail = (
            f"no record of {shown(path, root)} has the split val: the converter moves a tenth of train there,"
        )
        detail += " at random"
        advice = "Choose the validation images yourself."
        faults.append(dataset_fault("D002", detail, advice, Severity.WARNING, file=path, split="val"))
    if not found:
        found.append("train")


def _keypoint_shape(
    record: dict[str, Any], packs: Sequence[Pack], faults: list[DatasetFault], opener: Opener
) -> tuple[int, int]:
    """kpt_shape as given, or else as the converter guesses it from the first fifty rows."""
    given = record.get("kpt_shape")
    if (
        isinstance(given, list)
        and len(given) == 2
        and all(type(n) is int and 0 < n <= _MOST_KEYPOINTS for n in given)
        and given[1] in (2, 3)
    ):
        return given[0], given[1]
    rows: list[list[bytes]] = []
    for label in islice(first_labels(packs[0], opener), 1000) if packs and given is None else ():
        rows += [columns for line in label.splitlines() if len(columns := line.split()) > 5]
        if len(rows) >= _KEYPOINT_ROWS:
            break
    rows = rows[:_KEYPOINT_ROWS]
    lengths = {len(row) - 5 for row in rows}
    if len(lengths) == 1:
        (n,) = lengths
        if n % 3 == 0 and all(
            v in (b"0", b"1", b"2", b"0.0", b"1.0", b"2.0") for row in rows for v in row[7::3]
        ):
            return n // 3, 3
        if n % 2 == 0 and n % 3:
            return n // 2, 2
    detail = f"a pose dataset without a `kpt_shape` that its rows agree on; {STOPS}"
    where = packs[0].path if packs else None
    faults.append(
        dataset_fault(
            "D003", detail, 'Add "kpt_shape": [points, 2 or 3].', Severity.ERROR, file=where, line=1
        )
    )
    return 0, 0


def block_of(file: BinaryIO) -> int:
    """Bytes of a read, where a file is read from start to end."""
    return max(_BLOCK, blocks_of(file).largest)


def line_ranges(path: str, size: int, opener: Opener = open_unbuffered) -> Iterator[tuple[int, int, int]]:
    """(start, stop, number of the first line) of ranges of whole lines."""
    start, line = 0, 1
    if 0 < size <= RANGE_BYTES:
        yield 0, size, 1
        return
    try:
        with opener(path) as file:
            at = lines = 0
            while at < size and (block := file.read(block_of(file))):
                if at + len(block) - start >= RANGE_BYTES and (cut := block.rfind(b"\n") + 1):
                    lines += block.count(b"\n")
                    yield start, at + cut, line
                    start, line = at + cut, 1 + lines
                else:
                    lines += block.count(b"\n")
                at += len(block)
    except OSError:  # the reader of the range reports it
        pass
    if start < size or not size:
        yield start, size, line
