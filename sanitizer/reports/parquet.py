"""Parquet: findings as a typed table for notebooks and databases (needs the extra `parquet`)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from sanitizer.atomic import write_atomically
from sanitizer.findings import COLUMNS
from sanitizer.reports.common import plain, plain_record

if TYPE_CHECKING:
    from sanitizer.report import Report

_INTEGERS = ("line", "column", "class_id")
_FLOATS = ("x_center", "y_center", "width", "height", "value", "threshold")


def write(report: Report, path: str) -> None:
    """Write one row a finding, with the columns of the CSV report; the summary is in the file's metadata.

    Raises:
        OSError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict.fromkeys(COLUMNS, pa.string())
    types |= dict.fromkeys(_INTEGERS, pa.int64()) | dict.fromkeys(_FLOATS, pa.float64())
    head: dict[str, Any] = {k: v for k, v in plain(report.to_dict()).items() if k != "findings"}
    schema = pa.schema(types.items(), metadata={"sanitize": json.dumps(head, allow_nan=False)})
    table = pa.Table.from_pylist([plain_record(f) for f in report.findings], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())
