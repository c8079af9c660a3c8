"""Findings that go to disk: same order, same fingerprints, same sequence as those in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanitizer.findings.finding import (
    Finding,
    Severity,
    count_by_rule,
    count_by_severity,
    fingerprinted,
    tally,
    with_fingerprints,
)
from sanitizer.findings.findings_log import FindingLog

pytest.importorskip("pyarrow", reason="needs pyarrow (the parquet extra)")

NAMES = st.sampled_from([None, "", "a.txt", "b.txt", "b\udcff.txt", "ü\ud800.txt", "a\n\0.txt", "z" * 50])
NUMBERS = st.none() | st.sampled_from([0.0, -0.0, 0.5, 1e-300, 1e300]) | st.floats(allow_nan=False)
PLACES = st.none() | st.integers(0, 3) | st.just(2**40)
FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(["B001", "C003", "D006", "own\udc80"]),
    name=st.sampled_from(["extreme", "rare"]),
    severity=st.sampled_from(Severity),
    message=st.sampled_from(["m", "n", ""]) | st.text(max_size=5),
    split=st.sampled_from([None, "train", ""]),
    image=NAMES,
    label=NAMES,
    line=PLACES,
    column=PLACES,
    class_id=st.none() | st.integers(-2, 3) | st.just(10**300),
    class_name=st.sampled_from([None, "ship", "\ud800"]),
    x_center=st.sampled_from([None, 0.5]),
    y_center=NUMBERS,
    width=NUMBERS,
    height=NUMBERS,
    value=NUMBERS,
    threshold=NUMBERS,
    suggestion=NAMES,
    fix=st.sampled_from([None, "safe", "unsafe"]),
    file=NAMES,
)


def logged(findings: list[Finding], held: int, runs: int, rows: int, known: frozenset[str] = frozenset()):  # type: ignore[no-untyped-def]
    with (
        patch("sanitizer.findings.findings_log.FINDINGS_HELD", held),
        patch("sanitizer.findings.findings_log.MOST_RUNS", runs),
        patch("sanitizer.findings.findings_file.ROWS_AT_ONCE", rows),
        patch("sanitizer.findings.findings_file.ROWS_OF_GROUP", 5),
    ):
        log = FindingLog()
        for start in range(0, len(findings), 3):
            log.extend([replace(f) for f in findings[start : start + 3]])
        return log.finish(known)[:2]


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=40), st.integers(0, 9), st.integers(2, 4), st.integers(1, 6))
def test_findings_on_disk_are_those_in_memory(
    findings: list[Finding], held: int, runs: int, rows: int
) -> None:
    expected = fingerprinted([replace(f) for f in findings])
    found, suppressed = logged(findings, held, runs, rows)
    assert isinstance(found, list) == (len(findings) <= held)
    assert suppressed == 0
    assert repr(list(found)) == repr(expected)  # tells -0.0 from 0.0
    assert len(found) == len(expected)
    assert [found[i] for i in range(-len(found), len(found))] == expected + expected
    for part in (
        slice(None),
        slice(3, 11),
        slice(-4, None),
        slice(1, 30, 4),
        slice(None, None, -2),
        slice(9, 2),
    ):
        assert found[part] == expected[part]
    assert list(reversed(found)) == expected[::-1]
    assert count_by_rule(found) == count_by_rule(expected)
    assert count_by_severity(found) == count_by_severity(expected)
    assert tally(found).first == tally(expected).first


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=30), st.integers(0, 5), st.data())
def test_a_baseline_leaves_out_what_it_knows(findings: list[Finding], held: int, data: st.DataObject) -> None:
    every = fingerprinted([replace(f) for f in findings])
    known = data.draw(st.sets(st.sampled_from([f.fingerprint for f in every]))) if every else set()
    found, suppressed = logged(findings, held, 3, 4, frozenset(known))
    assert list(found) == [f for f in every if f.fingerprint not in known]
    assert suppressed == len(every) - len(found)
    assert count_by_rule(found) == count_by_rule(list(found))


def counted_over_all(findings: list[Finding]) -> list[str]:
    """Fingerprints by their definition: equal findings are counted over the whole report."""
    seen: Counter[str] = Counter()
    prints = []
    for f in sorted(findings, key=Finding.sort_key):
        row = (f.class_id, f.x_center, f.y_center, f.width, f.height)
        key = repr((f.rule, f.file, f.image, row if any(v is not None for v in row) else f.message))
        seen[key] += 1
        text = f"{key}#{seen[key]}".encode("utf-8", "surrogateescape")
        prints.append(blake2b(text, digest_size=10).hexdigest())
    return prints


@given(st.lists(FINDINGS, max_size=40))
def test_forgetting_counts_with_each_file_changes_no_fingerprint(findings: list[Finding]) -> None:
    twice = [replace(f) for f in findings] + findings
    ordered = sorted(twice, key=Finding.sort_key)
    assert [f.fingerprint for f in with_fingerprints(ordered)] == counted_over_all(twice)


def test_an_index_beyond_the_findings_is_an_error() -> None:
    found, _ = logged([Finding("B001", "x", Severity.ERROR, str(i)) for i in range(9)], 2, 3, 4)
    for index in (9, -10):
        with pytest.raises(IndexError):
            found[index]


def test_two_who_go_through_the_findings_do_not_disturb_each_other() -> None:
    found, _ = logged([Finding("B001", "x", Severity.ERROR, f"{i:03}") for i in range(90)], 10, 3, 4)
    assert [a.message for a, _ in zip(found, found, strict=True)] == [b.message for b in found]
    ahead = iter(found)
    next(ahead)
    assert [f.message for f in found][1:] == [f.message for f in ahead]


def test_without_pyarrow_findings_stay_in_memory_and_a_note_says_so() -> None:
    findings = [Finding("B001", "x", Severity.ERROR, str(i)) for i in range(9)]
    with (
        patch("sanitizer.findings.findings_log.FINDINGS_HELD", 4),
        patch("importlib.util.find_spec", lambda name: None),
    ):
        log = FindingLog()
        log.extend([replace(f) for f in findings])
        found, _, _ = log.finish()
    assert found == fingerprinted(findings)
    assert log.note == (
        "over 4 findings are kept in memory: pip install 'sanitize-yolo[parquet]' lets them go to disk"
    )
