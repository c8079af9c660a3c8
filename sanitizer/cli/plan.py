"""Prints what a scan will read, for `sanitize scan --plan`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sanitizer.cli import OK, UsageError

if TYPE_CHECKING:
    import argparse

    from sanitizer.scanner.plan import Plan

_MODES = {
    "header": "first and last bytes of every image",
    "decode": "every pixel of every image",
    "none": "no image",
}


def run_plan(args: argparse.Namespace) -> int:
    """Print the plan of the scan that these arguments ask for."""
    if args.format not in ("text", "json"):
        raise UsageError(f"--plan is printed as text or json, not as {args.format}")
    if args.output or args.write_baseline:
        raise UsageError(
            "--plan finds nothing that could be written: leave out --output and --write-baseline"
        )
    from sanitizer.cli.output import print_as_terminal, print_bytes
    from sanitizer.scanner.plan import plan_scan

    plan = plan_scan(args.paths, args.images, args.split, args.task)
    if args.format == "json":
        print_bytes(as_json(plan).encode())
    else:
        print_as_terminal(as_text(plan))
    return OK


def as_json(plan: Plan) -> str:
    """The plan as one JSON object."""
    return json.dumps(asdict(plan), indent=1) + "\n"


def as_text(plan: Plan) -> str:
    """The plan for people."""
    remote, _, kind = plan.kind.rpartition(" ")
    what = {"loose": "loose files", "tar": "tar shards", "ndjson": "NDJSON"}[kind]
    if plan.packed_files:
        what = f"{plan.packed_files:,} {what.removesuffix('s') if plan.packed_files == 1 else what}"
    requests = "requests" if remote else "files opened" if kind == "loose" else "reads"
    rows = (
        ("dataset", f"{plan.data}: {what}, {_bytes(plan.total_bytes)}"),
        ("images", f"{_number(plan.images, plan)} ({_MODES[plan.mode]})"),
        ("labels", _number(plan.labels, plan)),
        (
            "to read",
            f"{_at_least(plan)}{_bytes(plan.read_bytes)} in {_number(plan.requests, plan)} {requests}",
        ),
    )
    return "".join(f"{name:<8} {value}\n" for name, value in rows)


def _at_least(plan: Plan) -> str:
    if plan.read_bytes is None:
        return ""
    return "at least " if plan.exact else "about "


def _number(number: int | None, plan: Plan) -> str:
    if number is None:
        return "unknown"
    return f"{'' if plan.exact else 'about '}{number:,}"


def _bytes(number: int | None) -> str:
    if number is None:
        return "unknown bytes"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
