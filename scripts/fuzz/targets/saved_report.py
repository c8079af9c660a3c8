"""findings.json: anything that is no report is refused in a sentence; a report can be written in every format."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Finding, Severity
from sanitizer.findings.report import Report, SplitCounts, Summary
from sanitizer.reports.formats import FORMATS, render
from sanitizer.reports.saved import SavedReportError, parse_report

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 8192
WORDS = (
    *(
        b'"schema": 1',
        b'"findings"',
        b'"summary"',
        b'"task"',
        b'"detect"',
        b'"root"',
        b'"data"',
        b'"severity"',
    ),
    *(
        b'"error"',
        b'"image"',
        b'"label"',
        b'"line"',
        b'"fingerprint"',
        b'"names"',
        b'"probe"',
        b'"kpt_shape"',
    ),
    *(
        b'"../private/x.jpg"',
        b'"/etc/passwd"',
        b'"\\ud800"',
        b'"\\u202e"',
        b'"\\u001b[31m"',
        b'"=1+1"',
        b"]]>",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"-1",
        b"1" * 40,
        b"{}",
        b"[]",
        b"::error::",
        b"\\r\\n",
    ),
)
_FOR_TERMINALS = ("text", "github", "gitlab", "sarif")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, colours its text or turns its direction."""


def seeds() -> Iterator[bytes]:
    """Reports of one finding, and JSON that is none."""
    summary = Summary(3, 2, 4, 1, 0, 0, splits=(SplitCounts("train", 3, 2, 4, 1, 0, 0),), elapsed_s=0.5)
    finding = Finding(
        "B003", "name", Severity.ERROR, "centre outside", split="train", image="images/a.jpg",
        label="labels/a.txt", line=1, column=3, class_id=0, class_name="cat", x_center=1.5, y_center=0.5,
        width=0.1, height=0.1, value=1.5, threshold=1.0, suggestion="move it", fix="unsafe",
        file="labels/a.txt", fingerprint="0123abcd",
    )  # fmt: skip
    report = Report(
        data="data.yaml", root="/data/set", task="detect", summary=summary, findings=[finding], suppressed=0,
        notes=("a note",), class_counts={0: 4}, names={0: "cat"}, kpt_shape=(0, 0), files_only=False,
        dropped=frozenset(["images/a.jpg"]),
    )  # fmt: skip
    good = json.loads(render(report, "json"))
    yield json.dumps(good).encode()
    yield json.dumps(good | {"probe": {"a": 1}, "preflight": {}}).encode()
    for odd in ("\x1b[31m", "\u202e", "=1+1", "../../x", "]]>&<a", "%0A::error::", "a\nb\r\tc", "|`*"):
        yield json.dumps(good | {"findings": [good["findings"][0] | {"message": odd, "image": odd}]}).encode()
    yield json.dumps(good)[:300].encode()
    yield b'{"schema": 1, "findings": [{}], "summary": {}}'
    yield b"[" * 100


def check(data: bytes) -> None:
    """See the module."""
    try:
        report = parse_report(data)
    except SavedReportError as error:
        assert str(error)
        return
    texts = {name: render(report, name) for name in FORMATS}
    assert render(parse_report(texts["json"]), "json") == texts["json"], (
        "written and read again it is another"
    )
    raw = {name: found[0] for name in _FOR_TERMINALS if (found := _CONTROL.search(texts[name]))}
    assert not raw, f"formats that hold what a terminal obeys: {raw}"
