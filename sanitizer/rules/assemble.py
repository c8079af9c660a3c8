"""From hits and faults to findings: where they are, what they measured, what they say.

A rule may fire on every row of a large dataset, so a chunk's findings are made column by column.
"""

from __future__ import annotations

import math
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.dataset.model import relative_path
from sanitizer.findings.finding import MAX_PER_FILE, Finding
from sanitizer.rules.language.columns import WithParams
from sanitizer.rules.language.message import Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import ChunkTables, DatasetFault, Fault, LabelTable, TaskSpec
    from sanitizer.findings.finding import Severity
    from sanitizer.rules.hits import Hits, Params
    from sanitizer.rules.language.columns import FileColumns, RowColumns
    from sanitizer.rules.language.rule import Rule
    from sanitizer.rules.ruleset import RuleSet


class Assembler:
    """Makes the findings of one chunk; paths are spelled out only for files that have any."""

    def __init__(
        self,
        tables: ChunkTables,
        spec: TaskSpec,
        ruleset: RuleSet,
        root: str,
        rows: RowColumns,
        files: FileColumns,
    ) -> None:
        self._tables, self._spec, self._ruleset, self._root = tables, spec, ruleset, root
        self._rows, self._files = rows, files
        self._pairs: dict[int, tuple[str | None, str | None]] = {}
        self._ignored: dict[int, frozenset[str]] = {}

    def of_hits(self, rule: Rule, hits: Hits, params: Params) -> list[Finding]:
        """Findings of a rule of scope row or file: at most `MAX_PER_FILE` of one file, and one that counts the rest."""
        hits = self._without_ignored(rule, hits)
        beyond = _beyond_limit(self._tables.labels.file[hits.index]) if rule.scope == "row" else None
        if beyond is None:
            return self._one_by_one(rule, hits, params)
        return self._one_by_one(rule, hits.where(~beyond), params) + self._counted(rule, hits.where(beyond))

    def _counted(self, rule: Rule, hits: Hits) -> list[Finding]:
        """One finding for each file with these hits of a row rule: where they begin, and how many there are."""
        labels = self._tables.labels
        files, first, counts = np.unique(labels.file[hits.index], return_index=True, return_counts=True)
        severity = max(islice(self._severities(rule, hits), len(hits)))
        return [
            Finding(
                rule=rule.code,
                name=rule.name,
                severity=severity,
                message=f"the same is wrong with {n:,} more row{'s' * (n > 1)} of this file, from this line on; "
                f"only the first {MAX_PER_FILE:,} are listed one by one",
                split=self._tables.chunk.split or None,
                image=image,
                label=label,
                line=int(labels.line[row]),
                suggestion=rule.suggestion,
                fix=rule.fix,
                file=opened,
                about=rule.about,
                kind=rule.kind,
                n_more=n,
            )
            for row, n, image, label, opened in zip(
                hits.index[first].tolist(), counts.tolist(), *self._paths(rule, files), strict=True
            )
        ]

    def _one_by_one(self, rule: Rule, hits: Hits, params: Params) -> list[Finding]:
        if not len(hits):
            return []
        of_rows = rule.scope == "row"
        index, labels = hits.index, self._tables.labels
        files = labels.file[index] if of_rows else index
        images, label_paths, opened = self._paths(rule, files)
        where: Iterable[Iterable[Any]] = repeat(repeat(None), 6)
        if of_rows:
            where = _rows_where(labels, self._spec, index)
        elif self._tables.chunk.classes is not None:
            where = _classes_of(self._tables.chunk.classes[index], self._spec)
        lines: Iterable[int | None] = labels.line[index].tolist() if of_rows else repeat(None)
        if hits.line is not None:
            lines = [n or None for n in hits.line.tolist()]
        columns = repeat(None) if hits.column is None else [n or None for n in hits.column.tolist()]
        return list(
            map(
                Finding,
                repeat(rule.code, len(hits)),
                repeat(rule.name),
                self._severities(rule, hits),
                self._messages(rule, hits, params),
                repeat(self._tables.chunk.split or None),
                images,
                label_paths,
                lines,
                columns,
                *where,
                _finite(hits.value),
                _finite(hits.threshold),
                repeat(rule.suggestion),
                repeat(rule.fix),
                opened,
                repeat(rule.about),
                repeat(rule.kind) if hits.kind is None else hits.kind,
            )
        )

    def of_faults(self, rule: Rule, faults: Sequence[Fault]) -> list[Finding]:
        """Findings of a rule that a reader reports."""
        if self._ruleset.ignores:
            faults = [f for f in faults if rule.code not in self._ignored_in(f.file)]
        if not faults:
            return []
        messages = self._fault_messages(rule, faults)
        split = self._tables.chunk.split or None
        images, label_paths, opened = self._paths(rule, np.array([f.file for f in faults]))
        opened = [
            image if fault.about == "image" else path
            for fault, image, path in zip(faults, images, opened, strict=True)
        ]
        where = _rows_where(self._tables.labels, self._spec, self._rows_of(faults))
        if self._tables.chunk.classes is not None:
            where = _classes_of(self._tables.chunk.classes[[f.file for f in faults]], self._spec)
        return [
            Finding(
                rule.code,
                rule.name,
                severity_of(rule, fault, self._ruleset),
                message,
                split,
                image,
                label,
                fault.line,
                fault.column,
                *(class_id, class_name, x, y, w, h),
                _number(fault.values.get("value")),
                _number(fault.values.get("threshold")),
                fault.suggestion or rule.suggestion,
                rule.fix,
                path,
                fault.about or rule.about,
                fault.kind or rule.kind,
                fault.n_more,
            )
            for fault, message, image, label, path, class_id, class_name, x, y, w, h in zip(
                faults, messages, images, label_paths, opened, *where, strict=True
            )
        ]

    def _paths(
        self, rule: Rule, files: NDArray[Any]
    ) -> tuple[list[str | None], list[str | None], list[str | None]]:
        """(image, label, file to open) of each file number, relative to the root."""
        pairs = [self._pair(file) for file in files.tolist()]
        images, labels = [p[0] for p in pairs], [p[1] for p in pairs]
        if rule.about == "image":
            return images, labels, [image or label for image, label in pairs]
        return images, labels, [label or image for image, label in pairs]

    def _pair(self, file: int) -> tuple[str | None, str | None]:
        pair = self._pairs.get(file)
        if pair is None:
            chunk = self._tables.chunk
            pair = (
                relative_path(self._root, chunk.images[file]),
                relative_path(self._root, chunk.labels[file]),
            )
            self._pairs[file] = pair
        return pair

    def _ignored_in(self, file: int) -> frozenset[str]:
        codes = self._ignored.get(file)
        if codes is None:
            codes = self._ignored[file] = self._ruleset.ignored_in(self._pair(file))
        return codes

    def _without_ignored(self, rule: Rule, hits: Hits) -> Hits:
        if not self._ruleset.ignores or not len(hits):
            return hits
        files = self._tables.labels.file[hits.index] if rule.scope == "row" else hits.index
        return hits.where(np.array([rule.code not in self._ignored_in(f) for f in files.tolist()]))

    def _severities(self, rule: Rule, hits: Hits) -> Iterable[Severity]:
        """The user's choice, else what each case deserves, else the rule's."""
        if hits.severity is None or rule.code in self._ruleset.fixed_severity:
            return repeat(rule.severity)
        return hits.severity

    def _messages(self, rule: Rule, hits: Hits, params: Params) -> list[str]:
        names = WithParams(self._rows if rule.scope == "row" else self._files, params)
        length = len(self._rows if rule.scope == "row" else self._files)

        def column(name: str) -> Sequence[object] | NDArray[Any]:
            if name in hits.fields:
                return hits.fields[name]
            if name == "value" and hits.value is not None:
                return hits.value
            if name == "threshold" and hits.threshold is not None:
                return hits.threshold
            gathered: NDArray[Any] = np.broadcast_to(names[name], (length,))[hits.index]
            return gathered

        return Template(rule.message).render(column, len(hits))

    def _fault_messages(self, rule: Rule, faults: Sequence[Fault]) -> list[str]:
        """A field is what the reader said of the case, or else what is known of the file."""

        def column(name: str) -> list[object]:
            if all(name in fault.values for fault in faults):
                return [fault.values[name] for fault in faults]
            known = np.broadcast_to(self._files[name], (len(self._files),)).tolist()
            return [fault.values.get(name, known[fault.file]) for fault in faults]

        return Template(rule.message).render(column, len(faults))

    def _rows_of(self, faults: Sequence[Fault]) -> NDArray[np.int64]:
        """int64 (K,): the label row that each fault is about, -1 where it is about none that could be read."""
        labels = self._tables.labels
        if not len(labels):
            return np.full(len(faults), -1)
        # Rows are ordered by file, then line.
        keys = labels.file.astype(np.int64) << 32 | labels.line
        wanted = np.array([f.file << 32 | (f.line or 0) for f in faults], np.int64)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[at] == wanted) & np.isfinite(labels.xywh[at]).all(1), at, -1)


def _beyond_limit(files: NDArray[np.int32]) -> NDArray[np.bool_] | None:
    """bool (K,): hits of these files, in order of line, with `MAX_PER_FILE` of the same file before; None for none."""
    if len(files) <= MAX_PER_FILE or np.bincount(files).max() <= MAX_PER_FILE:
        return None
    order = np.argsort(files, kind="stable")
    in_order = files[order]
    beyond = np.zeros(len(files), np.bool_)
    beyond[order[MAX_PER_FILE:]] = in_order[MAX_PER_FILE:] == in_order[:-MAX_PER_FILE]
    return beyond


def severity_of(rule: Rule, fault: Fault | DatasetFault, ruleset: RuleSet) -> Severity:
    """The user's choice, else what this very case deserves, else the rule's."""
    if fault.severity is None or rule.code in ruleset.fixed_severity:
        return rule.severity
    return fault.severity


def of_place(rule: Rule, place: DatasetFault, dataset: Dataset, ruleset: RuleSet) -> Finding:
    """The finding for a fault of the dataset as a whole."""
    image, label = dataset.relative(place.image), dataset.relative(place.label)
    return Finding(
        rule=rule.code,
        name=rule.name,
        severity=severity_of(rule, place, ruleset),
        message=Template(rule.message).render_one(place.values.__getitem__),
        split=place.split,
        image=image,
        label=label,
        line=place.line,
        column=place.column,
        class_id=place.class_id,
        class_name=None if place.class_id is None else dataset.names.get(place.class_id),
        value=_number(place.values.get("value")),
        threshold=_number(place.values.get("threshold")),
        suggestion=place.suggestion or rule.suggestion,
        fix=rule.fix,
        file=dataset.relative(place.file) or label or image or dataset.relative(dataset.yaml_path),
        about=rule.about,
        kind=place.kind or rule.kind,
    )


def _rows_where(labels: LabelTable, spec: TaskSpec, index: NDArray[np.int64]) -> tuple[Iterable[Any], ...]:
    """class_id, class_name, x_center, y_center, width, height of label rows; None throughout for row -1."""
    if not len(labels):
        return tuple([None] * len(index) for _ in range(6))
    class_id = np.where(index < 0, np.nan, labels.class_id[index])
    xywh = np.where(index[:, None] < 0, np.nan, labels.xywh[index])
    ids = [int(c) if c.is_integer() else None for c in class_id.tolist()]
    names = _texts_by_id(spec.names)
    return ids, [names.get(c) for c in ids], *(_finite(column) for column in xywh.T)


def _classes_of(class_id: NDArray[np.int32], spec: TaskSpec) -> tuple[Iterable[Any], ...]:
    """As `_rows_where`, for images whose folder is their class."""
    names, ids = _texts_by_id(spec.names), class_id.tolist()
    return ids, [names.get(c) for c in ids], *([None] * len(ids) for _ in range(4))


def _texts_by_id(names: Mapping[int, object]) -> dict[int | None, str]:
    return {class_id: str(name) for class_id, name in names.items()}


def _finite(numbers: NDArray[np.float64] | None) -> Any:
    """The numbers as a list with None for those that are not finite; endless None where there are none."""
    if numbers is None:
        return repeat(None)
    listed = np.asarray(numbers, np.float64).tolist()
    if np.isfinite(numbers).all():
        return listed
    return [n if math.isfinite(n) else None for n in listed]


def _number(value: object) -> float | None:
    """The value as a report number, None for text and for what is not finite."""
    if value is None or isinstance(value, bool | str) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if math.isfinite(value) else None
