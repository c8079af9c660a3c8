"""Reports made by hand, for the tests of formats and of the command line."""

from __future__ import annotations

from typing import Any

from sanitizer.findings.cause import Cause
from sanitizer.findings.finding import Finding, Severity, fingerprinted
from sanitizer.findings.report import Report, SplitCounts, Summary
from sanitizer.rules.language.pack import Rule

ROOT = "/data/ships"
NAMES = {0: "ship", 1: "=buoy", 2: "quay"}


def rule(code: str, name: str, severity: Severity, training: str, **more: Any) -> Rule:
    return Rule(
        code=code,
        name=name,
        scope="row" if code[0] in "BC" else "file",
        severity=severity,
        message="m",
        when="w > 0",
        suggestion=f"Look at the {name} rows",
        why=f"Why {code} matters. In two sentences.",
        training=training,
        training_note=f"Training {training} on {code}.",
        fix="unsafe",
        **more,
    )


RULES = {
    r.code: r
    for r in (
        rule("B001", "extreme-aspect-ratio", Severity.WARNING, "trains"),
        rule("B007", "duplicate-row", Severity.WARNING, "drops-row"),
        rule("C001", "class-out-of-range", Severity.ERROR, "drops-image"),
        rule("C003", "rare-class", Severity.INFO, "trains"),
        rule("D006", "image-without-label", Severity.WARNING, "trains", about="dataset", kind="background"),
        rule("I006", "rewritten-image", Severity.WARNING, "rewrites-file", about="image"),
    )
}


def finding(
    code: str, message: str, label: str | None = None, line: int | None = None, **more: Any
) -> Finding:
    known = RULES.get(code)
    fields: dict[str, Any] = {
        "name": known.name if known else "own-rule",
        "severity": known.severity if known else Severity.WARNING,
        "about": known.about if known else "row",
        "kind": known.kind if known else None,
        "label": label,
        "line": line,
        "column": 1 if line else None,
        "file": label or more.get("image") or "data.yaml",
    }
    return Finding(**({"rule": code, "message": message} | fields | more))


def report(findings: list[Finding], **more: Any) -> Report:
    fields: dict[str, Any] = {
        "data": "data.yaml",
        "root": ROOT,
        "task": "detect",
        "summary": CLEAN,
        "names": NAMES,
        "class_counts": {0: 30, 1: 9},
    }
    return Report(findings=fingerprinted(findings), **(fields | more))


CLEAN = Summary(364, 364, 4888, 0, 0, 0, (SplitCounts("train", 364, 364, 4888, 0, 0, 0),), 0.214)
FLAWED = Summary(
    images=567,
    labels=479,
    boxes=3021,
    images_dropped_by_training=120,
    images_background=88,
    images_rewritten=1,
    splits=(
        SplitCounts("train", 400, 320, 2000, 100, 80, 1),
        SplitCounts("val", 167, 159, 1021, 20, 8, 0),
    ),
    elapsed_s=2.306,
)


def flawed() -> Report:
    """One finding of each sort: with and without line, label, numbers; names that every format has to escape."""
    train = {"split": "train"}
    row = {
        "class_id": 1,
        "class_name": "=buoy",
        "x_center": 0.5,
        "y_center": -0.25,
        "width": 0.9,
        "height": 0.001,
    }
    findings = [
        finding("C001", 'class 7 is not among 0 … 2, "ship" to "quay"', "labels/train/a,b.txt", 3,
                image="images/train/a,b.jpg", class_id=7, **train),
        finding("C001", "class 9 is not among 0 … 2", "labels/train/a,b.txt", 4, image="images/train/a,b.jpg", **train),
        finding("B001", "box is 900:1 (900 × 1 px), over the limit of 50:1", "labels/train/c d.txt", 12,
                image="images/train/c d.jpg", value=900.0, threshold=50.0, suggestion="look at it", fix="unsafe",
                **row, **train),
        finding("B007", "same row as line 2 & <again>", "labels/val/ü%.txt", 5, image="images/val/ü%.png", split="val"),
        finding("D006", "no label file", image="images/train/e.jpg", **train),
        finding("I006", "training would rewrite this file", image="images/train/f\udcff.jpg", **train),
        finding("C003", "class 2 is never used\nnot once"),
        finding("X1", "own rule of a user: x > 3", "labels/train/g.txt", 1, **train),
    ]  # fmt: skip
    return report(
        findings,
        summary=FLAWED,
        suppressed=2,
        notes=("only image headers were read",),
        dropped=frozenset({"images/train/a,b.jpg"}),
    )


PERCENT = Cause(
    id="percent-coordinates",
    name="Coordinates are percent",
    sentence="All 3 rows of 2 files are written in percent, 0 to 100.",
    evidence=(
        "3 of 3 rows hold a number over 1, and none holds one over 100.",
        "Divided by 100, every box lies inside its image.",
        "Read as pixels, 2 of 3 boxes would be under 20 px wide.",
    ),
    training="It drops these 2 images: coordinates over 1.01.",
    way_out="`sanitize fix --unsafe data.yaml` divides them by 100.",
    fix="unsafe",
    reading="percent",
    images=2,
    explains=3,
    files=2,
)
LEAK = Cause(
    id="copies-in-two-splits",
    name="Copies in two splits",
    sentence="1 of 167 images of val is a copy of an image of train <again>, and so measures memory.",
    training="It trains, and its mAP is too high.",
    way_out="Move images/val/ü.png to train",
    explains=1,
    files=1,
)


def caused() -> Report:
    """Two causes, and two findings that none explains: one of a file of a cause, one of another."""
    rows = (("a", 1, 50.0), ("a", 2, 61.5), ("b", 1, 12.0))
    findings = [
        finding("C001", f"x is {x:g}, written in percent", f"labels/train/{name}.txt", line, column=3, x_center=x,
                image=f"images/train/{name}.jpg", split="train", cause=PERCENT.id, suggestion="divide by 100")
        for name, line, x in rows
    ]  # fmt: skip
    findings += [
        finding("I006", "byte for byte the same image", image="images/val/ü.png", split="val", cause=LEAK.id,
                twin="images/train/a.jpg"),
        finding("B001", "box is 900:1", "labels/train/a.txt", 3, image="images/train/a.jpg", split="train"),
        finding("D006", "no label file", image="images/train/e.jpg", split="train"),
    ]  # fmt: skip
    return report(findings, summary=FLAWED, causes=(PERCENT, LEAK))


def clean() -> Report:
    return report([])
