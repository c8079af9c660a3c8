"""Report formats by name and by file ending: one module a format, imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, cast

from sanitizer.findings.finding import Severity
from sanitizer.reports.common import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report

FORMATS: dict[str, str] = {
    "text": "text.render",
    "full": "text.render",
    "grouped": "text.render",
    "concise": "text.render",
    "json": "json_",
    "jsonl": "jsonl",
    "csv": "csv_",
    "sarif": "sarif",
    "github": "ci.github",
    "gitlab": "ci.gitlab",
    "junit": "junit",
    "rdjson": "ci.rdjson",
    "azure": "ci.azure",
}
"""What `--format` offers, and the module whose `pieces` write it."""

LAYOUTS = ("text", "full", "grouped", "concise")
"""The formats that are text for people, as `text.render.Layout` names them."""

ENDINGS: dict[str, str] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".sarif": "sarif",
    ".xml": "junit",
    ".html": "html",
    ".parquet": "parquet",
}
"""File endings that `--output` takes, and their format."""


def pieces(report: Report, format_name: str, fail_on: Severity | None = Severity.ERROR) -> Iterator[str]:
    """The report in a format of `FORMATS`, piece by piece, so that very many findings are never held together.

    `fail_on` says which findings fail a JUnit test; None: none.
    """
    module = importlib.import_module(f"sanitizer.reports.{FORMATS[format_name]}")
    if format_name in LAYOUTS:
        return cast("Iterator[str]", module.pieces(report, module.Style(layout=format_name)))
    if format_name == "junit":
        return cast("Iterator[str]", module.pieces(report, fail_on))
    return cast("Iterator[str]", module.pieces(report))


def render(report: Report, format_name: str, fail_on: Severity | None = Severity.ERROR) -> str:
    """The report in a format of `FORMATS` as one text; arguments as those of `pieces`."""
    return "".join(pieces(report, format_name, fail_on))


def format_of(path: str) -> str:
    """Format that a file's ending stands for. ReportError for other endings and where a package is missing."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise ReportError(f"{path}: no report is known by this ending; there are {', '.join(ENDINGS)}")
    if ENDINGS[ending] == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ReportError(f"{path}: Parquet needs pyarrow: pip install 'sanitize-yolo[parquet]'")
    return ENDINGS[ending]


def write(
    report: Report,
    path: str,
    fail_on: Severity | None = Severity.ERROR,
    progress: bool = False,
    dataset: Dataset | None = None,
) -> None:
    """Write the report to a file, in the format of its ending. ReportError as `format_of`; OSError on writing.

    A page of the name x.html has its pictures beside it, in x_files. `progress` shows a bar while they are made.
    `dataset` is what the report is about, where the same command found it.
    """
    format_name = format_of(path)
    if format_name == "html":
        from sanitizer.reports.html.build import write_page

        write_page(report, path, f"{os.path.splitext(path)[0]}_files", progress, dataset=dataset)
        return
    if format_name == "parquet":
        from sanitizer.reports import parquet

        parquet.write(report, path)
        return
    from sanitizer.util.atomic import open_atomically

    with open_atomically(path) as file:
        for piece in pieces(report, format_name, fail_on):
            file.write(piece.encode("utf-8"))
