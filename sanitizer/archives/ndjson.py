"""Ultralytics' NDJSON: reads every image record as the label file that Ultralytics' converter writes for it.

The converter is `convert_ndjson_to_yolo` (ultralytics/data/converter.py, 8.4). Images are URLs and are not fetched:
their sizes are those that the records claim. What makes the converter stop is reported with its line.
"""

from __future__ import annotations

import errno
import io
import json
import reprlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.archives.member_pairing import Pair
from sanitizer.archives.read_ahead import blocks_of
from sanitizer.archives.stored_images import sized_image, stored_table
from sanitizer.archives.tar.chunks import LABEL_BYTES_PER_CHUNK, PackChunk, as_split
from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util import limits
from sanitizer.util.bounded_read import too_large
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.model import Pack
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.images.image_files import ImageMode

SPLITS = ("train", "val", "test")
MAX_LINE_BYTES = limits.NDJSON_LINE_BYTES
MAX_BAD_LINES = 10_000
"""Bad lines of a range that are named one by one. At one more, reading of the range stops."""
STOPS = "Ultralytics' converter stops here"


class RecordError(ValueError):
    """A line that the converter cannot read.

    Attributes:
        rule: Code of the rule that reports it.
    """

    def __init__(self, detail: str, rule: str = "D001") -> None:
        super().__init__(detail)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Record:
    """One image, with the values of its line. Sizes are -1 where the line has none."""

    split: str
    file: str
    label: bytes
    class_ids: frozenset[int]
    width: int
    height: int
    ignored_kinds: Sequence[str] = ()
    has_url: bool = True


def parse_line(line: bytes) -> dict[str, Any]:
    """The object on a line; RecordError where there is none."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise RecordError("is no UTF-8 text") from None
    except RecursionError:
        raise RecordError("nests values without end") from None
    except ValueError as error:
        raise RecordError(f"is no JSON ({' '.join(str(error).split())[:100]})") from None
    if not isinstance(value, dict):
        raise RecordError(f"holds a {type(value).__name__}, not an object")
    return value


def read_record(line: bytes) -> Record:
    """An image record, its label as the converter writes it; RecordError where the converter would stop."""
    value = parse_line(line)
    split, file = value.get("split"), value.get("file")
    if split not in SPLITS:
        raise RecordError(f"has the split {in_short(split)}, which is none of train, val and test", "D002")
    if not isinstance(file, str) or not file:
        raise RecordError(f"has no file name (`file` is {in_short(file)})")
    _check_name(file)
    annotations = value.get("annotations", {})
    if not isinstance(annotations, dict):
        raise RecordError(f"`annotations` is a {type(annotations).__name__}, not an object")
    try:
        ids = frozenset(int(row[0]) for rows in annotations.values() for row in rows if row)
        kinds = list(annotations)
        rows = [" ".join(map(str, row)) for row in annotations[kinds[0]]] if kinds else []
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, RecursionError):
        raise RecordError("has annotations that are no lists of numbers with a class id first") from None
    text = "\n".join(rows) + "\n" if rows else ""
    try:
        label = text.encode("utf-8")
    except UnicodeEncodeError:
        raise RecordError("has annotations with half a surrogate pair, which no file can hold") from None
    width, height = _side(value.get("width")), _side(value.get("height"))
    return Record(
        split,
        file,
        label,
        ids,
        width,
        height,
        [k for k in kinds[1:] if annotations[k]],
        bool(value.get("url")),
    )


def in_short(value: object) -> str:
    """A value of a record, shortened for a message."""
    return shown(_SHORT.repr(value))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = 60


def _check_name(file: str) -> None:
    """Raise RecordError where no file can have that name."""
    try:
        n_bytes = len(file.encode("utf-8"))
    except UnicodeEncodeError:
        raise RecordError(f"has half a surrogate pair in its file name {in_short(file)}") from None
    if "\0" in file:
        raise RecordError(f"has a NUL in its file name {in_short(file)}")
    if n_bytes > limits.NDJSON_NAME_BYTES:
        raise RecordError(f"has a file name of {n_bytes:,} bytes")
    if file.count("/") > limits.MEMBER_DEPTH:
        raise RecordError(f"has a file name that is {file.count('/'):,} folders deep")


def _side(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 31:
        return -1
    return int(value)


@dataclass(slots=True)
class NdjsonReader:
    """Reads the records of one split.

    Attributes:
        pack: The file; `only` names the split.
        splits: All splits of the dataset. The reader of the first one also reports lines that belong to no split.
        names: Class ids that have a name.
        root: Folder that paths in messages are relative to.
        mode: With "none" image sizes are left out.
        opener: Opens a path for reading, unbuffered.
        records_per_chunk: How many records are held at once.
        label_bytes: The largest label that is judged.
    """

    pack: Pack
    splits: Sequence[str]
    names: frozenset[int]
    root: str
    mode: ImageMode
    opener: Opener
    records_per_chunk: int
    label_bytes: int = limits.LABEL_BYTES
    faults: list[DatasetFault] = field(default_factory=list)
    unread: int = 0
    _bad_lines: int = 0
    _unnamed: dict[int, int] = field(default_factory=dict)
    _n_without_url: int = 0
    _first_without_url: int = 0
    """Line of the first record that names no url."""

    def chunks(self, start: int, stop: int, first_line: int) -> Iterator[PackChunk]:
        """Chunks of the records in a range of whole lines."""
        pending: list[Record] = []
        label_bytes = 0
        try:
            with self.opener(self.pack.path) as raw:
                for number, line in _lines(raw, start, stop, first_line):
                    record = None if _of_another_split(line, self._own()) else self._judge(number, line)
                    if record is not None:
                        pending.append(record)
                        label_bytes += len(record.label)
                    if self._bad_lines > MAX_BAD_LINES:
                        self._fault(
                            number,
                            "and over 10,000 lines before it are no records: what follows was not read",
                            "D001",
                        )
                        break
                    if len(pending) == self.records_per_chunk or label_bytes > LABEL_BYTES_PER_CHUNK:
                        yield self._chunk(pending)
                        pending, label_bytes = [], 0
        except OSError as error:
            self._fault(None, f"cannot be read: {error.strerror or type(error).__name__}", "D002")
            self.unread = 1
        self._report_without_url()
        self._report_unnamed()
        if pending or self.faults:
            yield self._chunk(pending)

    def _own(self) -> str:
        return self.splits[self.pack.split]

    def _judge(self, number: int, line: bytes) -> Record | None:
        """The record of a line, if it is of this split; else None."""
        try:
            if line == _TOO_LONG:
                raise RecordError(f"is longer than {MAX_LINE_BYTES:,} bytes")
            record = read_record(line)
        except RecordError as error:
            self._bad_lines += 1
            if self.pack.split == 0:
                self._fault(
                    number, f"{error}; {STOPS}", error.rule, stops_with="RuntimeError: Dataset … error"
                )
            return None
        lost = self.pack.split == 0 and record.split not in self.splits
        if record.split != self._own() and not lost:
            return None
        if record.ignored_kinds:
            words = ", ".join(map(shown, record.ignored_kinds))
            self._fault(
                number,
                f"has more than one kind of annotations: {words} are ignored",
                "D001",
                Severity.WARNING,
            )
        if record.file.startswith("/") or ".." in record.file.split("/"):
            detail = f"names the file {in_short(record.file)}, which leads out of the folder that the converter fills"
            self._fault(number, detail, "D005")
        if not (record.has_url or lost or self.pack.images_beside):
            self._n_without_url += 1
            self._first_without_url = self._first_without_url or number
        for class_id in record.class_ids - self.names if self.names else ():
            self._unnamed.setdefault(class_id, number)
        return record

    def _report_without_url(self) -> None:
        n = self._n_without_url
        if not n:
            return
        records = "its record names" if n == 1 else f"it is the first of {n:,} records that name"
        detail = f"names no url ({records} none): the converter cannot fetch the image; {STOPS}"
        self._fault(
            self._first_without_url, detail, "D001", stops_with="RuntimeError: Downloaded …/… images from"
        )

    def _report_unnamed(self) -> None:
        added = {c: n for c, n in self._unnamed.items() if c >= 0}
        if not added:
            return
        listed = ", ".join(map(in_short, sorted(added)[:10])) + (" and more" if len(added) > 10 else "")
        first = f"class{in_short(min(added))}"
        detail = (
            f"uses class ids without a name ({listed}): the converter adds classes, the first called {first}"
        )
        self._fault(min(added.values()), detail, "D003", Severity.WARNING)

    def _fault(
        self,
        line: int | None,
        detail: str,
        rule: str,
        severity: Severity = Severity.ERROR,
        stops_with: str | None = None,
    ) -> None:
        where = f"line {line} of " if line is not None else ""
        sentence = f"{where}{shown(self.pack.path, self.root)} {detail}"
        advice = "Correct the line, or export the dataset again."
        self.faults.append(
            dataset_fault(
                rule,
                sentence,
                advice,
                severity,
                file=self.pack.path,
                line=line,
                split=self._own(),
                stops_with=stops_with,
            )
        )

    def _chunk(self, records: Sequence[Record]) -> PackChunk:
        split = self._own()
        pairs = [
            Pair(
                f"images/{split}/{r.file}",
                None,
                f"labels/{split}/{r.file.rsplit('.', 1)[0] or r.file}.txt",
                None,
            )
            for r in records
        ]
        faults, self.faults = self.faults, []
        unread, self.unread = self.unread, 0
        images = [None if self.mode == "none" else sized_image(r.width, r.height) for r in records]
        return PackChunk(
            as_split(split, self.pack.path, pairs),
            [_label(r, self.label_bytes) for r in records],
            stored_table(images),
            faults,
            unread=unread,
        )


def _label(record: Record, limit: int) -> bytes | OSError:
    """The label's bytes, or that they are more than `limit`."""
    if len(record.label) > limit:
        return too_large(limit, record.file)
    return record.label


_TOO_LONG = b"\0"
_SAMPLED_AT_ONCE = 1 << 20


def _lines(
    raw: BinaryIO, start: int, stop: int, first_line: int, buffer_bytes: int = 1 << 23
) -> Iterator[tuple[int, bytes]]:
    """(1-based number, bytes) of every line of a range that is not blank; the dataset's record is left out.

    Raises:
        OSError: The file cannot be read, or not as far as the range goes.
    """
    raw.seek(start)
    file = io.BufferedReader(raw, min(blocks_of(raw).largest, buffer_bytes))  # type: ignore[type-var]
    number, at, header_seen = first_line, start, start > 0
    while at < stop:
        line = file.readline(MAX_LINE_BYTES)
        if not line:
            raise OSError(errno.EIO, "it became shorter while it was read")
        at += len(line)
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                at += len(rest)
            at += len(rest)
            line = _TOO_LONG
        if not line.isspace():
            if header_seen:
                yield number, line
            header_seen = True
        number += 1


def _of_another_split(line: bytes, own: str) -> bool:
    """Whether a line certainly belongs to another split, so that it need not be parsed."""
    others = (b'"train"', b'"val"', b'"test"')
    return f'"{own}"'.encode() not in line and b"\\u" not in line and any(other in line for other in others)


def first_labels(pack: Pack, opener: Opener) -> Iterator[bytes]:
    """Labels of the first records that can be read."""
    try:
        with opener(pack.path) as raw:
            for _, line in _lines(raw, 0, min(pack.size_bytes, limits.SAMPLED_BYTES), 1, _SAMPLED_AT_ONCE):
                try:
                    yield read_record(line).label
                except RecordError:
                    continue
    except OSError:
        return
