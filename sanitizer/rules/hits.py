"""What a check returns, and the parameters it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.findings.finding import FindingKind, Severity


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Where a rule of scope `row` or `file` fires. K hits.

    Attributes:
        index: int64 (K,) row numbers of the label table (scope row), or file numbers of the chunk (scope file).
        value: float64 (K,) the measured number, in the unit of the rule's parameter; None where there is none.
        threshold: float64 (K,) the limit it broke; None where there is none.
        fields: Further columns, each of length K, that the message template may name.
        line, column: int (K,) place, where it is not that of the row; 0 for none.
        severity: A `Severity` for each hit, where it depends on the case; None leaves it to the rule. The user's
            configuration still wins over it.
        kind: Of the finding of each hit, where it depends on the case; None leaves it to the rule.
    """

    index: NDArray[np.int64]
    value: NDArray[np.float64] | None = None
    threshold: NDArray[np.float64] | None = None
    fields: Mapping[str, Sequence[object] | NDArray[np.generic]] = field(default_factory=dict)
    line: NDArray[np.int64] | None = None
    column: NDArray[np.int64] | None = None
    severity: Sequence[Severity] | None = None
    kind: Sequence[FindingKind | None] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def where(self, keep: NDArray[np.bool_]) -> Hits:
        """The hits for which bool (K,) `keep` is true."""

        def kept(column: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if column is None else np.asarray(column)[keep]

        def picked(values: Sequence[Any]) -> list[Any]:
            return [value for value, stays in zip(values, keep.tolist(), strict=True) if stays]

        return Hits(
            self.index[keep],
            kept(self.value),
            kept(self.threshold),
            {n: c[keep] if isinstance(c, np.ndarray) else picked(c) for n, c in self.fields.items()},
            kept(self.line),
            kept(self.column),
            None if self.severity is None else picked(self.severity),
            None if self.kind is None else picked(self.kind),
        )


@dataclass(frozen=True, slots=True)
class Params:
    """A rule's parameters after configuration: one number each, some with other numbers for some classes."""

    values: Mapping[str, float]
    per_class: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def by_class(self, name: str, class_id: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (R,): the parameter that applies to each row's class."""
        result = np.full(len(class_id), self.values[name])
        for cls, overrides in self.per_class.items():
            if name in overrides:
                result[class_id == cls] = overrides[name]
        return result
