"""What the page leads with after a preflight: verdict, checklist, what matters most, the corrected command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sanitizer.reports.common import grave_counts, plain
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sanitizer.findings.report import Report

MOST = 200
"""Areas, concerns, rules of one and changed arguments that are shown: a saved report may hold anything."""
MAX_CHARACTERS = 4000


def preflight_part(report: Report) -> dict[str, Any] | None:
    """The page's data object `preflight`; None for a report without one. What a saved report has wrong is left out."""
    record = report.preflight
    if record is None:
        return None
    asked, corrected = _mapping(record.get("arguments")), _mapping(record.get("corrected"))
    return {
        "go": record.get("go") is True,
        "what": f"{_text(os.path.basename(report.data))} with {_text(record.get('model'))}",
        "counts": grave_counts(report),
        "areas": [
            {"area": _text(area), "mark": _text(line.get("mark")), "text": _text(line.get("text"))}
            for area, line in list(_mapping(record.get("areas")).items())[:MOST]
            if isinstance(line, dict)
        ],
        "concerns": [
            _concern(concern) for concern in _list(record.get("concerns")) if isinstance(concern, dict)
        ],
        "run": [_text(sentence) for sentence in _list(record.get("run"))],
        "changed": [
            {"key": _text(key), "from": _value(asked, key), "to": _value(corrected, key)}
            for key in [*corrected][:MOST]
            if key not in asked or asked[key] != corrected[key]
        ],
        "command": _text(record.get("command")),
    }


def _concern(concern: Mapping[str, Any]) -> dict[str, Any]:
    severity, settle = concern.get("severity"), _text(concern.get("settle"))
    return {
        "severity": severity if severity in ("error", "warning", "info") else "warning",
        "what": _text(concern.get("what")),
        "settle": settle,
        "command": settle if _is_command(settle) else None,
        "rules": [_text(code) for code in _list(concern.get("rules"))],
    }


def _is_command(settle: str) -> bool:
    """Whether all of it can be pasted: a command of ours, or train arguments."""
    words = settle.split()
    return bool(words) and "`" not in settle and (words[0] == "sanitize" or all("=" in w for w in words))


def _value(arguments: Mapping[str, Any], key: str) -> str | None:
    return _text(str(arguments[key])) if key in arguments else None


def _text(value: object) -> str:
    return legible(str(plain(value)))[:MAX_CHARACTERS] if isinstance(value, str) else ""


def _list(value: object) -> Iterable[Any]:
    return value[:MOST] if isinstance(value, list | tuple) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
