"""Parquet: findings as a typed table for notebooks and databases (needs the extra `parquet`)."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import COLUMNS
from sanitizer.reports.common import plain, plain_record
from sanitizer.util.atomic import open_atomically

if TYPE_CHECKING:
    from sanitizer.findings.report import Report

ROWS_AT_ONCE = 20_000
_INTEGERS = ("line", "column", "class_id")
_FLOATS = ("x_center", "y_center", "width", "height", "value", "threshold")


def write(report: Report, path: str) -> None:
    """Write one row a finding, with the columns of the CSV report; the summary is in the file's metadata.

    The names of dropped images are in the metadata, too, unless there are so many that they lie on disk.

    Raises:
        OSError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict.fromkeys(COLUMNS, pa.string())
    types |= dict.fromkeys(_INTEGERS, pa.int64()) | dict.fromkeys(_FLOATS, pa.float64())
    head: dict[str, Any] = report.head()
    if isinstance(report.dropped, set | frozenset):
        head["dropped"] = sorted(report.dropped)
    schema = pa.schema(types.items(), metadata={"sanitize": json.dumps(plain(head), allow_nan=False)})
    with open_atomically(path) as file, pq.ParquetWriter(file, schema) as writer:
        findings, first = iter(report.findings), True
        while (rows := [plain_record(f) for f in islice(findings, ROWS_AT_ONCE)]) or first:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            first = False
