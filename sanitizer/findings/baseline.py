"""A baseline: findings that a team knows and has put off, by fingerprint, so that only new ones are named."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from sanitizer.storage.opening import open_path
from sanitizer.util.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sanitizer.findings.finding import Finding

SCHEMA = 1


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


def read_baseline(path: str) -> frozenset[str]:
    """Fingerprints that the baseline knows. BaselineError where it cannot be read or is no baseline."""
    try:
        with open_path(path) as file:
            content = json.loads(file.read())
    except OSError as error:
        raise BaselineError(f"{path}: cannot read the baseline: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: the baseline is no valid JSON; {_REMEDY}") from error
    findings = content.get("findings") if isinstance(content, dict) else None
    if not isinstance(findings, dict) or "schema" not in content:
        raise BaselineError(f"{path}: no baseline of sanitize; {_REMEDY}")
    if content["schema"] != SCHEMA:
        raise BaselineError(
            f"{os.fspath(path)}: a baseline of schema {content['schema']}, this version reads {SCHEMA}; {_REMEDY}"
        )
    return frozenset(findings)


_REMEDY = "write a new one with `sanitize scan … --write-baseline FILE`"
