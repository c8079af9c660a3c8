"""A baseline: findings that a team knows and has put off, by fingerprint, so that only new ones are named."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.findings.cause import recounted
from sanitizer.findings.finding import fingerprinted
from sanitizer.storage.opening import open_path
from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import MIB, as_size, open_regular
from sanitizer.util.json_stream import JsonError, JsonStream
from sanitizer.util.paths import is_url

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

SCHEMA = 1
MAX_BYTES = 128 * MIB
MAX_KNOWN = 2_000_000
"""Findings that a baseline may know: as many as so many bytes hold."""
MAX_KEYS = 100
_READ_BYTES = 1 << 20


class BaselineError(Exception):
    """The baseline cannot be used; the text is a sentence that names the file."""


def write_baseline(findings: Iterable[Finding], path: str) -> None:
    """Write a baseline that knows all these findings. OSError where that fails.

    It is sorted and holds one line a finding, so that a repository shows what came and went.
    """
    from sanitizer import __version__
    from sanitizer.util.escape import legible

    known = {f.fingerprint: legible(f"{f.rule} {f.file or ''}".rstrip()) for f in findings}
    content = {
        "schema": SCHEMA,
        "tool": {"name": "sanitize", "version": __version__},
        "findings": dict(sorted(known.items(), key=lambda item: (item[1], item[0]))),
    }
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def apply_baseline(findings: Sequence[Finding], path: str) -> tuple[list[Finding], int]:
    """(findings that the baseline does not know, number of those it does).

    Raises:
        BaselineError: The file cannot be read or is no baseline.
    """
    known = read_baseline(path)
    kept = [f for f in findings if f.fingerprint not in known]
    return kept, len(findings) - len(kept)


def with_more_findings(
    report: Report, more: Iterable[Finding], wanted: Container[str], baseline: str | None
) -> Report:
    """The report with more findings, and of its own those of wanted rules; causes are counted on what is left.

    Args:
        report: Without a baseline so far.
        more: Further findings, in any order.
        wanted: Codes of the rules whose findings of the report stay.
        baseline: Path of known findings that are left out, or None.

    Raises:
        BaselineError: The file cannot be read or is no baseline.
    """
    findings, suppressed = fingerprinted([*(f for f in report.findings if f.rule in wanted), *more]), 0
    if baseline:
        findings, suppressed = apply_baseline(findings, baseline)
    return replace(
        report, findings=findings, causes=recounted(report.causes, findings), suppressed=suppressed
    )


def read_baseline(path: str) -> frozenset[str]:
    """Fingerprints that the baseline knows. BaselineError where it cannot be read or is no baseline."""
    try:
        with open_path(path) if is_url(path) else open_regular(path) as file:
            known, schema = _read(JsonStream(_parts(file)))
    except OSError as error:
        raise BaselineError(f"{path}: cannot read the baseline: {error.strerror}") from error
    except _TooManyError:
        raise BaselineError(
            f"{path}: no baseline has over {MAX_KNOWN:,} findings or {as_size(MAX_BYTES)}; {_REMEDY}"
        ) from None
    except JsonError as error:
        raise BaselineError(f"{path}: the baseline is no valid JSON; {_REMEDY} ({error})") from error
    if known is None or schema is None:
        raise BaselineError(f"{path}: no baseline of sanitize; {_REMEDY}")
    if schema != SCHEMA:
        shown = schema if isinstance(schema, int) and 0 <= schema < 1000 else "another kind"
        raise BaselineError(
            f"{os.fspath(path)}: a baseline of schema {shown}, this version reads {SCHEMA}; {_REMEDY}"
        )
    return frozenset(known)


class _TooManyError(Exception):
    """The baseline knows more findings, or has more keys, than any of ours."""


def _parts(file: BinaryIO) -> Iterator[bytes]:
    left = MAX_BYTES
    while part := file.read(_READ_BYTES):
        left -= len(part)
        if left < 0:
            raise _TooManyError
        yield part


def _read(stream: JsonStream) -> tuple[set[str] | None, object]:
    """(fingerprints, schema) of a baseline, None where it has none."""
    known: set[str] | None = None
    schema = None
    if stream.opens() != "{":
        stream.value()
        return None, None
    for number, key in enumerate(stream.members()):
        if number > MAX_KEYS:
            raise _TooManyError
        if key == "findings" and stream.opens() == "{":
            known = set()
            for fingerprint in stream.members():
                stream.value()
                known.add(fingerprint)
                if len(known) > MAX_KNOWN:
                    raise _TooManyError
        elif key == "schema":
            schema = stream.value()
        else:
            stream.value()
    stream.end()
    return known, schema


_REMEDY = "write a new one with `sanitize scan … --write-baseline FILE`"
