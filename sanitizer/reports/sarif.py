"""SARIF 2.1.0 (OASIS), as code hosts and editors read it: rules with their help, results with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sanitizer import __version__
from sanitizer.findings.cause import cause_record
from sanitizer.findings.finding import Severity, tally
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd, rules_of
from sanitizer.reports.streamed_json import Streamed, json_pieces
from sanitizer.util.escape import encodable
from sanitizer.util.paths import absolute_path, on_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.rules.language.pack import Rule

SCHEMA_URI = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_BASE = "DATASET"


def pieces(report: Report) -> Iterator[str]:
    """The report as SARIF text, in pieces.

    Paths are relative to the working directory, which code hosts take for the repository; where the dataset is
    elsewhere they are relative to its root, given as `originalUriBaseIds`.
    """
    prefix = prefix_below_cwd(report)
    known = rules_of(report)
    first = tally(report.findings).first
    index = {code: i for i, code in enumerate(sorted(first))}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "sanitize",
                "semanticVersion": __version__,
                "rules": [_descriptor(first[code], known.get(code)) for code in index],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": Streamed(
            _result(f, path_below_cwd(f, report, prefix), prefix, index) for f in report.findings
        ),
    }
    if report.causes:
        run["properties"] = {"causes": [cause_record(cause) for cause in report.causes]}
    if prefix is None:
        run["originalUriBaseIds"] = {_BASE: {"uri": _root_uri(report.root)}}
    log = {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    yield from json_pieces(log, indent=1)
    yield "\n"


def _uri(path: str, safe: str = "/") -> str:
    """Percent-encoded but for the characters in `safe`; a byte of a file name that is no UTF-8 as that byte."""
    try:
        return quote(path.encode("utf-8", "surrogateescape"), safe)
    except UnicodeEncodeError:
        return quote(encodable(path), safe)


def _root_uri(root: str) -> str:
    """The dataset root as an absolute URI that ends in a slash; an archive counts as a folder."""
    if root.startswith("zip://"):
        inside, _, archive = root.removeprefix("zip://").partition("::")
        return f"{_root_uri(archive)}{_uri(inside)}/"
    protocol, is_url, place = root.partition("://")
    if is_url:
        return f"{_uri(protocol)}://{_uri(place, '/:').rstrip('/')}/"
    # Three slashes: after two, the first part of the path would be the name of a host.
    path = absolute_path(root)
    if on_windows() and path.startswith("//"):  # a share of a server
        return f"file:{_uri(path)}/"
    path = _uri(path.strip("/"), "/:" if on_windows() else "/")
    return f"file:///{path}/" if path else "file:///"


def _descriptor(finding: Finding, rule: Rule | None) -> dict[str, Any]:
    """A rule's metadata. Of a user's own rule only what its findings say is known here."""
    descriptor: dict[str, Any] = {
        "id": finding.rule,
        "name": "".join(word.capitalize() for word in finding.name.split("-")),
        "shortDescription": {"text": finding.name.replace("-", " ")},
        "defaultConfiguration": {"level": _LEVELS[rule.severity if rule else finding.severity]},
    }
    if rule is not None:
        why, training = " ".join(rule.why.split()), rule.training_note
        descriptor["fullDescription"] = {"text": why}
        descriptor["help"] = {
            "text": f"{why}\n\nTraining: {training}\n\nWhat to do: {rule.suggestion}",
            "markdown": f"{why}\n\n**Training:** {training}\n\n**What to do:** {rule.suggestion}",
        }
    return descriptor


def _result(finding: Finding, path: str, prefix: str | None, index: dict[str, int]) -> dict[str, Any]:
    artifact = {"uri": _uri(path)} | ({"uriBaseId": _BASE} if prefix is None else {})
    physical: dict[str, Any] = {"artifactLocation": artifact}
    if finding.line is not None:
        physical["region"] = {"startLine": finding.line}
        if finding.column is not None:
            physical["region"]["startColumn"] = finding.column
    text = finding.message
    if finding.suggestion:
        text = f"{text.removesuffix('.')}. {finding.suggestion}"
    result = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"sanitizeFinding/v1": finding.fingerprint},
    }
    return result if finding.cause is None else result | {"properties": {"cause": finding.cause}}
