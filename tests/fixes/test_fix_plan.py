"""What a fix makes of label rows: the pure part, without files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from effort import examples
from flawed_labels import label_texts
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from row_findings import images_of, task_spec

from sanitizer.config import Config
from sanitizer.dataset.tables import Chunk, ChunkTables, TaskSpec
from sanitizer.findings.finding import Severity, fingerprinted
from sanitizer.fixes.repair.document import Document, with_tokens
from sanitizer.fixes.repair.plan import FilePlan, Source, plan_files
from sanitizer.fixes.repair.policy import NO_CLAIM, Claim, Policy
from sanitizer.fixes.repair.repairs import REPAIRS, TEXT_RULE
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.policy import Decision

SIZE = (640, 480)
DETECT = task_spec("detect")
RULES = RuleSet.build(load_rules(), Config())
GOOD = "1 0.3 0.3 0.2 0.2"


def judge_all(
    contents: Sequence[bytes], spec: TaskSpec = DETECT, size: tuple[int, int] | None = SIZE
) -> list[list[Finding]]:
    """All findings of rules on rows and files."""
    names = [f"{i}.txt" for i in range(len(contents))]
    chunk = Chunk("", [f"/d/{i}.jpg" for i in range(len(contents))], [f"/d/{n}" for n in names])
    tables = ChunkTables(chunk, parse_labels(contents, spec), images_of([size] * len(contents)))
    found: dict[str | None, list[Finding]] = {n: [] for n in names}
    for f in run_chunk(tables, spec, RULES, "/d"):
        found[f.label].append(f)
    return [found[n] for n in names]


def plan(
    content: bytes | str,
    unsafe: bool = False,
    spec: TaskSpec = DETECT,
    size: tuple[int, int] | None = SIZE,
    codes: Sequence[str] = tuple(RULES.rules),
    known: Sequence[str] = (),
    decisions: dict[str, Decision] | None = None,
    claim: Claim = NO_CLAIM,
) -> FilePlan:
    content = content.encode() if isinstance(content, str) else content
    policy = Policy(unsafe, frozenset(codes), frozenset(known), decisions)
    # The number of a file stays the same in every round, and so does its name.
    (result,) = plan_files(
        [Source(content, size, claim)],
        spec,
        policy,
        lambda files: judge_all([c for _, c in files], spec, size),
    )
    return result


def after(content: bytes | str, unsafe: bool = False, spec: TaskSpec = DETECT, **options: object) -> bytes:
    return plan(content, unsafe, spec, **options).after  # type: ignore[arg-type]


FLAT_POSE = task_spec("pose", kpt_shape=(1, 2))
SEGMENT, POSE, OBB = task_spec("segment"), task_spec("pose", kpt_shape=(1, 3)), task_spec("obb")


@pytest.mark.parametrize(
    ("about", "spec", "before", "expected"),
    [
        ("B004: right edge by half a percent", DETECT, "0 0.9 0.5 0.21 0.3\n", "0 0.8975 0.5 0.205 0.3\n"),
        ("B004: top edge by 1 %", DETECT, "0 0.5 0.19 0.4 0.4\n", "0 0.5 0.195 0.4 0.39\n"),
        ("B004: width 1.008", DETECT, "0 0.5 0.5 1.008 0.5\n", "0 0.5 0.5 1 0.5\n"),
        ("B004: too far outside to be rounding", DETECT, "0 0.9 0.5 0.3 0.3\n", None),
        ("B004: little of the box is inside", DETECT, "0 1.0 0.5 0.018 0.3\n", None),
        ("B004: under the tolerance, not even flagged", DETECT, "0 0.9 0.5 0.2015 0.3\n", None),
        ("B004: keypoints stay", POSE, "0 0.9 0.5 0.21 0.3 0.90 0.50 2\n", "0 0.8975 0.5 0.205 0.3 0.90 0.50 2\n"),
        ("B007: the later copy goes", DETECT, f"{GOOD}\n0 .5 .5 .4 .4\n{GOOD}\n", f"{GOOD}\n0 .5 .5 .4 .4\n"),
        ("B007: copies that are written differently", DETECT, f"{GOOD}\n1.0 .30 .3 2e-1 .2", f"{GOOD}\n"),
        ("L003: commas", DETECT, "0,0.5,0.5,0.4,0.3\n", "0 0.5 0.5 0.4 0.3\n"),
        ("L003: commas and blanks", DETECT, " 0, 0.5, 0.5, 0.4, 0.3 \n", " 0 0.5 0.5 0.4 0.3 \n"),
        ("L003: semicolons", DETECT, "0;0.5;0.5;0.4;0.3;\r\n", "0 0.5 0.5 0.4 0.3\r\n"),
        ("L003: decimal commas", DETECT, "0 0,5 0,5 0,4 0,3\n", "0 0.5 0.5 0.4 0.3\n"),
        ("L003: decimal commas between semicolons", DETECT, "0;0,5;0,5;0,4;0,3\n", "0 0.5 0.5 0.4 0.3\n"),
        ("L003: only the row that is wrong", DETECT, f"{GOOD}\n0,0.5,0.5,0.4,0.3\n", f"{GOOD}\n0 0.5 0.5 0.4 0.3\n"),
        ("L003: four columns are no row", DETECT, "0,0.5,0.5,0.4\n", None),
        ("L003: not within the image", DETECT, "0,5,0.5,0.4,0.3\n", None),
        ("L003: a class that there is not", DETECT, "7,0.5,0.5,0.4,0.3\n", None),
        ("L003: two readings, so none", OBB, "0 0,1 0,0 1,0 1,0\n", None),
        ("L003: a polygon with commas", SEGMENT, "0,0.1,0.1,0.5,0.1,0.5,0.5\n", "0 0.1 0.1 0.5 0.1 0.5 0.5\n"),
        ("L003: what only Python reads stays", DETECT, "0_1 0.5 0.5 0.4 0.3\n", None),
        ("L009: byte-order mark", DETECT, f"\ufeff{GOOD}\n", f"{GOOD}\n"),
        ("L009: carriage returns", DETECT, f"{GOOD}\r2 .6 .6 .1 .1\r", f"{GOOD}\n2 .6 .6 .1 .1\n"),
        ("L009: no-break space", DETECT, "1 0.3 0.3\xa00.2 0.2\n", f"{GOOD}\n"),
        ("L009: a line end that only Python knows", DETECT, f"{GOOD}\u20282 .6 .6 .1 .1\n", f"{GOOD}\n2 .6 .6 .1 .1\n"),
        ("S004: points outside by rounding", SEGMENT, "0 0.5 0.1 1.005 .10 0.9 -0.004\n", "0 0.5 0.1 1 .10 0.9 0\n"),
        ("S004: points far outside", SEGMENT, "0 0.5 0.1 1.05 0.1 0.9 0.6\n", None),
        ("S004: most of it outside", SEGMENT, "0 0.9 0.1 1.3 0.1 1.3 0.6\n", None),
        ("B004: a polygon in a detection set", DETECT, "0 0.5 0.1 1.005 .10 0.9 0.6\n", "0 0.5 0.1 1 .10 0.9 0.6\n"),
    ],
)  # fmt: skip
def test_safe_repairs(about: str, spec: TaskSpec, before: str, expected: str | None) -> None:
    assert after(before, spec=spec) == (before if expected is None else expected).encode()


@pytest.mark.parametrize(
    ("about", "before", "expected"),
    [
        ("B001: removed", f"{GOOD}\n0 0.5 0.5 0.9 0.01\n", f"{GOOD}\n"),
        ("B002: removed", f"0 0.5 0.5 0 0.3\n{GOOD}\n", f"{GOOD}\n"),
        ("B003: clipped where most is inside", f"{GOOD}\n0 0.5 0.5 1.3 0.4\n", f"{GOOD}\n0 0.5 0.5 1 0.4\n"),
        ("B003: removed where hardly anything is", f"{GOOD}\n0 1.2 0.5 0.1 0.1\n", f"{GOOD}\n"),
        ("B004: clipped where most is inside", "0 0.9 0.5 0.3 0.3\n", "0 0.875 0.5 0.25 0.3\n"),
        ("B004: left where most is outside", "0 1.005 0.5 0.2 0.3\n", None),
        ("C001: removed", f"3 0.5 0.5 0.4 0.4\n{GOOD}\n-1 .5 .5 .1 .1\n", f"{GOOD}\n"),
        ("C002: removed", f"1.5 0.5 0.5 0.4 0.4\n{GOOD}\n", f"{GOOD}\n"),
        ("L002: a column too many may be a confidence", f"0 0.2 0.2 0.1 0.1\n{GOOD} 0.87\n", None),
        ("L003: a class by its name may be meant", "0 0.2 0.2 0.1 0.1\nB 0.3 0.3 0.2 0.2\n", None),
        ("B010: what looks like corners", "0 0.1 0.1 0.9 0.9\n", None),
        ("B011: what looks like pixels", "0 320 240 256 144\n1 100 90 60 48\n", None),
        ("L002: removed", f"{GOOD}\n0.5 0.5 0.4 0.3\n", f"{GOOD}\n"),
        ("L003: a header line is removed", f"class x y w h\n{GOOD}\n", f"{GOOD}\n"),
        ("L004: removed", f"{GOOD}\n0 nan 0.5 0.4 0.3\n", f"{GOOD}\n"),
        ("never a file without rows", "3 0.5 0.5 0.4 0.4\n7 0.5 0.5 0.1 0.1\n", None),
        ("other repairs of such a file go on", "3 .5 .5 .4 .4\n3 .5 .5 .4 .4\n", "3 .5 .5 .4 .4\n"),
        ("tiny boxes are left to a person", f"{GOOD}\n0 0.5 0.5 0.001 0.001\n", None),
    ],
)  # fmt: skip
def test_unsafe_repairs_only_where_asked_for(about: str, before: str, expected: str | None) -> None:
    assert after(before, unsafe=True) == (before if expected is None else expected).encode()
    if not about.startswith("other repairs"):
        assert after(before) == before.encode()


@pytest.mark.parametrize(
    ("about", "spec", "before", "expected"),
    [
        ("L005: polygons among boxes", DETECT, f"{GOOD}\n 2 0.1 0.1 0.5 0.1 0.5 0.6 \n",
         f"{GOOD}\n 2 0.3 0.35 0.4 0.5\n"),
        ("L005: boxes among polygons", SEGMENT, "0 0.1 0.1 0.5 0.1 0.5 0.6\n1 .3 .3 .2 .2\n",
         "0 0.1 0.1 0.5 0.1 0.5 0.6\n1 0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4\n"),
        ("L005: boxes among oriented boxes", OBB, "0 .1 .1 .3 .1 .3 .3 .1 .3\n1 .3 .3 .2 .2\n",
         "0 .1 .1 .3 .1 .3 .3 .1 .3\n1 0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4\n"),
        ("L005: a polygon without area goes as a box of no size", DETECT,
         f"{GOOD}\n2 .1 .1 .5 .1 .5 .6\n2 0.1 0.1 0.1 0.5 0.1 0.3\n", f"{GOOD}\n2 0.3 0.35 0.4 0.5\n"),
        ("L006: a box in an oriented-box set", OBB, "1 .3 .3 .2 .2\n", "1 0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4\n"),
        ("L006: a box in a segmentation set may be the wrong task", SEGMENT, "1 .3 .3 .2 .2\n", None),
        ("L006: a polygon in a detection set is read as its box", DETECT, "0 .1 .1 .5 .1 .5 .6\n", None),
        ("L006: a box in a pose set", POSE, "1 .3 .3 .2 .2 .3 .3 2\n0 .5 .5 .4 .4\n",
         "1 .3 .3 .2 .2 .3 .3 2\n0 .5 .5 .4 .4 0 0 0\n"),
        ("L006: without visibility it cannot be said, so the row goes", FLAT_POSE,
         "1 .3 .3 .2 .2 .3 .3\n0 .5 .5 .4 .4\n", "1 .3 .3 .2 .2 .3 .3\n"),
        ("S004: cut at the border, inner points as they are", SEGMENT, "0 0.5 .10 1.1 .10 1.1 0.4 0.50 0.4\n",
         "0 0.5 .10 1 0.1 1 0.4 0.50 0.4\n"),
        ("S004: in the corner of the image", SEGMENT, "0 -.1 0.1 0.1 -0.1 .5 .5\n",
         "0 0 0.166667 0 0 0.166667 0 .5 .5\n"),
        ("S003: which order is meant nobody knows", SEGMENT, "0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5\n", None),
        ("B003: a polygon that training would drop the image for", DETECT,
         "0 .2 -0.1 .8 -0.1 .8 1 .2 1\n", "0 0.2 0 0.8 0 .8 1 .2 1\n"),
        ("O001, O002: left to training and to a person", OBB, "0 0.9 0.1 1.05 0.3 0.95 0.5 0.8 0.2333333\n", None),
        ("B011: a box in pixels gets no keypoints", POSE, "1 192 144 128 96\n", None),
        ("L002: centre, size and angle are no upright box", OBB, "0 .1 .1 .3 .1 .3 .3 .1 .3\n1 .3 .3 .2 .2 30\n", None),
    ],
)  # fmt: skip
def test_unsafe_repairs_of_each_task(about: str, spec: TaskSpec, before: str, expected: str | None) -> None:
    assert after(before, unsafe=True, spec=spec) == (before if expected is None else expected).encode()
    assert after(before, spec=spec) == before.encode()


CORNERS = Claim(("corners",), frozenset({"B010", "B004"}), frozenset({(1, "B010"), (2, "B010")}))
PIXELS = Claim(("pixels",), frozenset({"B011", "B003", "S004", "K003"}), frozenset({(1, "B011")}))


@pytest.mark.parametrize(
    ("about", "spec", "claim", "before", "expected"),
    [
        ("corners", DETECT, CORNERS, "0 0.1 0.1 0.9 0.9\n1 .2  .2 .4 .4\n",
         "0 0.5 0.5 0.8 0.8\n1 0.3  0.3 0.2 0.2\n"),
        ("pixels", DETECT, PIXELS, "0 320 240 256 144\n1 100 90 60 48\n",
         "0 0.5 0.5 0.4 0.3\n1 0.15625 0.1875 0.09375 0.1\n"),
        ("a polygon in pixels", SEGMENT, PIXELS, "0 64 48 320 48 320 288\n", "0 0.1 0.1 0.5 0.1 0.5 0.6\n"),
        ("oriented corners in pixels", OBB, PIXELS, "0 64 48 192 48 192 144 64 144\n",
         "0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n"),
        ("keypoints in pixels", POSE, PIXELS, "1 192 144 128 96 320 240 2\n", "1 0.3 0.3 0.2 0.2 0.5 0.5 2\n"),
        ("keypoints without visibility", FLAT_POSE, PIXELS, "1 192 144 128 96 320 240\n",
         "1 0.3 0.3 0.2 0.2 0.5 0.5\n"),
        ("an angle becomes four corners", OBB,
         Claim(("angle-degrees",), frozenset({"L002"}), frozenset({(1, "L002")})),
         "1 0.5 0.5 0.2 0.1 90\n", "1 0.5375 0.366667 0.5375 0.633333 0.4625 0.633333 0.4625 0.366667\n"),
        ("one row more, which is none in pixels", DETECT, PIXELS, "0 320 240 256 144\n0 320 240 900 144\n", None),
        ("one row that leaves the image by a third of its width", DETECT, PIXELS,
         "0 320 240 256 144\n0 600 300 200 100\n", None),
        ("a class that is no number is another matter", DETECT, PIXELS, "0 320 240 256 144\nx 320 240 256 144\n",
         "0 0.5 0.5 0.4 0.3\n"),
        ("a coordinate that is none", DETECT, PIXELS, "0 320 240 256 144\n1 320 x 256 144\n", None),
        ("then what is left to repair", DETECT, PIXELS, "0 320 240 256 144\n9 320 240 256 144\n",
         "0 0.5 0.5 0.4 0.3\n"),
        ("the user does not want it", DETECT, replace(PIXELS, refusal="no"), "0 320 240 256 144\n", None),
    ],
)  # fmt: skip
def test_all_rows_are_read_anew_under_a_cause_or_none(
    about: str, spec: TaskSpec, claim: Claim, before: str, expected: str | None
) -> None:
    result = plan(before, True, spec, claim=claim)
    assert result.after == (before if expected is None else expected).encode()
    assert (result.not_read is None) == bool(result.readings) == (expected is not None)


def test_a_claimed_file_keeps_its_rows() -> None:
    """What a cause explains is not repaired as if it were wrong by itself; copies and text are the same either way."""
    claim = Claim(claimed=frozenset({(1, "L002")}))
    text = f"\ufeff0 0.5 0.5 0.4 0.3 x\n0 0.9 0.5 0.21 0.3\n{GOOD}\n{GOOD}\n"
    assert after(text, True, claim=claim) == f"0 0.5 0.5 0.4 0.3 x\n0 0.9 0.5 0.21 0.3\n{GOOD}\n".encode()
    of_classes = Claim(claimed=frozenset({(1, "C001")}))
    text = "7 0.5 0.5 0.4 0.3\n0 0.9 0.5 0.21 0.3\n8 0.5 0.5 0.4 0.3\n"
    assert after(text, True, claim=of_classes) == b"7 0.5 0.5 0.4 0.3\n0 0.8975 0.5 0.205 0.3\n"


def test_a_row_that_others_hold_back_goes_once_they_are_good() -> None:
    """No file is emptied, but clipping makes a good row of the second."""
    text = "0 0.5 0.5 0 0\n0 0 0.5 0.2 0.2\n"
    assert after(text, unsafe=True) == b"0 0.05 0.5 0.1 0.2\n"


def test_pixels_need_an_image_size() -> None:
    assert after("0 320 240 256 144\n", True, size=None, claim=PIXELS) == b"0 320 240 256 144\n"


def test_a_repair_that_leads_to_another_finding_is_taken_back() -> None:
    """Clipping would bring this box just over 50:1."""
    row = "0 0.5 0.98925 0.9 0.0245\n"
    assert [f.rule for f in judge_all([row.encode()])[0]] == ["B004"]
    assert after(row) == row.encode()


def test_a_row_made_readable_shows_what_else_is_doubtful_about_it() -> None:
    """Its image was dropped for the commas; now the rule on shapes can speak, and --unsafe can act on it."""
    text = f"{GOOD}\n0,0.5,0.5,0.9,0.01\n"
    assert after(text) == text.replace(",", " ").encode()
    assert after(text, unsafe=True) == f"{GOOD}\n".encode()


def test_what_may_be_corners_is_not_clipped() -> None:
    """Read as centre and size, the first row leaves the image by half a percent."""
    text = (
        "0 0.4 0.45 0.605 0.91\n0 0.4 0.4 0.6 0.6\n0 0.5 0.4 0.7 0.6\n1 0.4 0.5 0.6 0.7\n1 0.3 0.3 0.5 0.5\n"
    )
    assert {f.rule for f in judge_all([text.encode()])[0]} >= {"B010"}
    assert after(text) == text.encode()


def test_untouched_rows_keep_every_byte() -> None:
    odd = b"  1\t.30 3e-1  0.20 +0.2 \r\n\r\n0 0.9 0.5 0.21 0.3\n\n2 0.10000000000000001 0.1 0.1 0.1"
    assert after(odd) == odd.replace(b"0.9 0.5 0.21", b"0.8975 0.5 0.205")


def test_only_selected_rules_repair() -> None:
    text = f"\ufeff{GOOD}\n{GOOD}\n"
    assert after(text, codes=["B007"]) == f"\ufeff{GOOD}\n".encode()
    assert after(text, codes=["L009"]) == f"{GOOD}\n{GOOD}\n".encode()


def test_what_the_baseline_knows_is_left_alone() -> None:
    text = f"{GOOD}\n{GOOD}\n0 0.9 0.5 0.21 0.3\n"
    copy = next(f for f in fingerprinted(judge_all([text.encode()])[0]) if f.rule == "B007")
    assert after(text, known=[copy.fingerprint]) == f"{GOOD}\n{GOOD}\n0 0.8975 0.5 0.205 0.3\n".encode()


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ({}, "3 .5 .5 .4 .4\n0 0.9 0.5 0.21 0.3\n"),
        ({"C001": "drop"}, "0 0.9 0.5 0.21 0.3\n"),
        ({"C001": "fix"}, "0 0.9 0.5 0.21 0.3\n"),
        ({"B004": "fix"}, "3 .5 .5 .4 .4\n0 0.8975 0.5 0.205 0.3\n"),
        ({"B004": "keep"}, "3 .5 .5 .4 .4\n0 0.9 0.5 0.21 0.3\n"),
        ({"B004": "drop", "C001": "drop"}, ""),
    ],
)
def test_decisions_are_carried_out_and_nothing_else(decisions: dict[str, Decision], expected: str) -> None:
    text = "3 .5 .5 .4 .4\n0 0.9 0.5 0.21 0.3\n"
    found = fingerprinted(judge_all([text.encode()])[0])
    by_fingerprint = {f.fingerprint: decisions[f.rule] for f in found if f.rule in decisions}
    assert after(text, decisions=by_fingerprint) == expected.encode()


def test_decisions_that_contradict_each_other_change_nothing() -> None:
    text = f"{GOOD}\n3 0.5 0.5 0.9 0.01\n"
    found = fingerprinted(judge_all([text.encode()])[0])
    chosen: dict[str, Decision] = {f.fingerprint: "drop" if f.rule == "B001" else "keep" for f in found}
    result = plan(text, decisions=chosen)
    assert (result.after, result.contradictory) == (text.encode(), [2])


def test_more_rows_than_are_listed_one_by_one() -> None:
    rows = "".join(f"0,0.5,0.5,0.4,{0.1 + i / 10000:.4f}\n" for i in range(2300))
    assert after(rows) == rows.replace(",", " ").encode()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe0\0", b"0 0.5\0", b"\xef\xbb\xbf", b"\r", b"x"])
def test_a_file_without_rows_or_text_is_left_alone_or_tidied(content: bytes) -> None:
    assert after(content, unsafe=True) in (content, b"", b"\n")


def least_level(code: str) -> str | None:
    """What `fix:` of a rule must say: whether some of its findings are repaired without --unsafe, or any at all."""
    if code == TEXT_RULE:
        return "safe"
    levels = {repair.level for repair in REPAIRS.get(code, ())}
    return "safe" if "safe" in levels else "unsafe" if levels else None


def test_rules_say_what_fix_does() -> None:
    """`fix:` of a rule is the least that its repair needs, and null where there is none."""
    assert {c: r.fix for c, r in load_rules().items()} == {c: least_level(c) for c in load_rules()}
    assert set(REPAIRS) <= set(load_rules())


@given(st.binary(max_size=200))
def test_a_document_is_put_together_again_byte_for_byte(content: bytes) -> None:
    assert Document.parse(content).content() == content


def test_tokens_are_replaced_and_blanks_kept() -> None:
    assert with_tokens(" 0\t0.5  0.6 ", {1: "x", 2: "yy"}) == " 0\tx  yy "


REREADING = {code for code, repairs in REPAIRS.items() if any(r.rereads for r in repairs)}


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(label_texts(), st.booleans(), st.sampled_from([DETECT, DETECT, SEGMENT, POSE, OBB]))
@example("0 320.00 476.36 320.00 7.27 0.50 0.50 2.00\n0 3.20 2.40 6.40 4.80\n", True, POSE)
def test_any_file(text: str, unsafe: bool, spec: TaskSpec) -> None:
    """After a fix none of what it settled is found, nothing new is, and a second fix finds nothing to do."""
    before = text.encode()
    result = plan(before, unsafe, spec)
    assert after(result.after, unsafe, spec) == result.after

    settled = Counter(step.rule for step in result.steps)
    assert (before == result.after) == (not settled)
    was, now = (judge_all([content], spec)[0] for content in (before, result.after))
    # A row that could not be read before may be doubtful now, but not wrong.
    rereads = bool(settled.keys() & REREADING)
    was_found, is_found = (
        Counter(f.rule for f in found if not rereads or f.severity == Severity.ERROR) for found in (was, now)
    )
    assert not is_found - was_found
    if not rereads:
        for code, n in settled.items():
            assert is_found[code] <= max(0, was_found[code] - n), code
    if "L005" in settled:
        was_n, is_n = (sum(f.rule == "L005" for f in found) for found in (was, now))
        assert is_n <= max(0, was_n - settled["L005"])
    if not unsafe:
        assert all(least_level(code) == "safe" for code in settled)
        assert not any(step.loses_box for step in result.steps)
    if any(line.split() for line in text.lstrip("\ufeff").splitlines()):
        assert result.after.split(), "no file is emptied"


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(label_texts(), st.booleans(), st.sampled_from([DETECT, SEGMENT]))
def test_what_was_not_repaired_keeps_every_byte(text: str, unsafe: bool, spec: TaskSpec) -> None:
    """Every line of the outcome that is no line of the file has a repair that accounts for it."""
    before = text.encode()
    result = plan(before, unsafe, spec, codes=[c for c in RULES.rules if c != "L009"])
    lines, new_lines = (
        Counter(re.findall(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)", c.removeprefix(b"\xef\xbb\xbf")))
        for c in (before, result.after)
    )
    assert (new_lines - lines).total() <= len(result.steps) - result.removed
    ends, new_ends = (Counter(re.findall(rb"\r\n|\r|\n", c)) for c in (before, result.after))
    assert not new_ends - ends
    assert before.startswith(b"\xef\xbb\xbf") == result.after.startswith(b"\xef\xbb\xbf")


@settings(max_examples=examples(100), deadline=None)
@given(label_texts())
def test_nothing_is_repaired_without_being_selected(text: str) -> None:
    assume(text)
    assert after(text, unsafe=True, codes=[]) == text.encode()
    assert after(text, unsafe=True, decisions={}) == text.encode()


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(label_texts(), st.data())
def test_only_decided_rows_change(text: str, data: st.DataObject) -> None:
    """A review changes the rows that were to be fixed or dropped, and none that was to be kept."""
    found = [f for f in fingerprinted(judge_all([text.encode()])[0]) if f.line]
    choices: dict[str, Decision] = {
        f.fingerprint: data.draw(st.sampled_from(["fix", "drop", "keep"]))
        for f in found
        if data.draw(st.booleans())
    }
    result = plan(text, decisions=choices)
    of_line: dict[int, set[str | None]] = {}
    for f in found:
        of_line.setdefault(f.line or 0, set()).add(choices.get(f.fingerprint))
    # What these two say of one line is about all of them.
    if {"L005", "L009"} & {step.rule for step in result.steps}:
        return
    lines = Document.parse(text.encode()).lines
    may_change = Counter(line.text for line in lines if of_line.get(line.origin, set()) & {"fix", "drop"})
    gone = Counter(line.text for line in lines) - Counter(
        line.text for line in Document.parse(result.after).lines
    )
    assert not gone - may_change
    must_stay = Counter(line.text for line in lines if "keep" in of_line.get(line.origin, set())
                        and "fix" not in of_line[line.origin])  # fmt: skip
    assert not must_stay - Counter(line.text for line in Document.parse(result.after).lines)
