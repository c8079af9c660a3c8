"""Makes faults of the dataset, and finds paths as Ultralytics does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.tables import DatasetFault

if TYPE_CHECKING:
    from sanitizer.findings.finding import Severity
    from sanitizer.storage.base import Storage


def dataset_fault(
    rule: str, detail: str, suggestion: str, severity: Severity | None = None, **where: Any
) -> DatasetFault:
    """A `DatasetFault` whose message is the whole sentence `detail`; `where` are the fields of `DatasetFault`."""
    return DatasetFault(rule, values={"detail": detail}, suggestion=suggestion, severity=severity, **where)


def find_from(base: str, path: str, storage: Storage) -> str:
    """Absolute path of `path` seen from `base`, symbolic links resolved, as Ultralytics resolves split paths."""
    joined = os.path.join(base, path)
    try:
        return storage.realpath(joined)
    except ValueError:  # a NUL or half a surrogate pair, which no file name can hold
        return os.path.normpath(joined)
