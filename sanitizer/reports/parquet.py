"""Parquet: findings as a typed table for notebooks and databases (needs the extra `parquet`)."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import COLUMNS, REAL_COLUMNS, WHOLE_COLUMNS, storable
from sanitizer.reports.common import plain, plain_record
from sanitizer.util.atomic import open_atomically

if TYPE_CHECKING:
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

ROWS_AT_ONCE = 20_000


def write(report: Report, path: str) -> None:
    """Write one row a finding, with the columns of the CSV report; the summary is in the file's metadata.

    The names of dropped images are in the metadata, too, unless there are so many that they lie on disk.

    A whole number that 64 bits cannot hold, as a class id may be, is null.

    Raises:
        OSError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict.fromkeys(COLUMNS, pa.string())
    types |= dict.fromkeys(WHOLE_COLUMNS, pa.int64()) | dict.fromkeys(REAL_COLUMNS, pa.float64())
    head: dict[str, Any] = report.head()
    if isinstance(report.dropped, set | frozenset):
        head["dropped"] = sorted(report.dropped)
    schema = pa.schema(types.items(), metadata={"sanitize": json.dumps(plain(head), allow_nan=False)})
    with open_atomically(path) as file, pq.ParquetWriter(file, schema) as writer:
        findings, first = iter(report.findings), True
        while (rows := [_row(f) for f in islice(findings, ROWS_AT_ONCE)]) or first:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            first = False


def _row(finding: Finding) -> dict[str, Any]:
    record = plain_record(finding)
    reals = {name: None if record[name] is None else float(record[name]) for name in REAL_COLUMNS}
    return record | reals | {name: storable(record[name]) for name in WHOLE_COLUMNS}
