"""The results file of `leaps.py`: one table for each path."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import machine, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATHS = ("mosaic", "closed", "val")
TASKS = ("detect", "segment", "pose", "obb")
LEAP = 1.5
"""Factor from which the table counts a row as one that raises the loss or the gradient."""


def document(path: Path, commands: Sequence[str]) -> str:
    """The results file: one table a path."""
    lines_of = [json.loads(line) for line in path.read_text().splitlines()]
    worst = {_key(r): r for r in sorted(lines_of, key=_factor)}  # of a row that two runs tried, the worse one
    order = {kind: i for i, kind in enumerate(dict.fromkeys(r["kind"] for r in lines_of))}
    records = sorted(
        worst.values(), key=lambda r: (TASKS.index(r["task"]), r["head"], r["weights"], order[r["kind"]])
    )
    lines = ["# Which label rows make the loss leap", "", *commands]
    lines += [
        "",
        f"{datetime.date.today()}; {machine()}; {versions('torch', 'ultralytics')}; 1 thread, CPU",
        "",
    ]
    for name in PATHS:
        of_path = [r for r in records if r["path"] == name]
        if of_path:
            lines += [f"## {name}", "", *table_of(of_path, name), ""]
    return "\n".join(lines)


def _factor(record: dict[str, Any]) -> float:
    factor = float(record["float32"].get("loss" if record["path"] == "val" else "norm", 0))
    return factor if np.isfinite(factor) else np.inf


def _key(record: dict[str, Any]) -> tuple[str, ...]:
    which = record["words"] if record["kind"] == "found" else record["kind"]
    return (record["task"], record["head"], record["weights"], record["path"], which)


def table_of(records: list[dict[str, Any]], path: str) -> Iterator[str]:
    """One line for each head and weights: factors of loss and gradient, of each precision."""
    yield "| task | head | weights | row | over 1.5 at places | loss × | gradient × | part × | bf16 | fp16 |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    key = "loss" if path == "val" else "norm"
    for r in records:
        plain = r["float32"]
        row = r["words"] if r["kind"] == "found" else f"{r['kind']} ({r['words']})"
        if not plain["reached"]:
            yield f"| {r['task']} | {r['head']} | {r['weights']} | {row} | removed | – | – | – | – | – |"
            continue
        yield (
            f"| {r['task']} | {r['head']} | {r['weights']} | {row} | {r['often']:.0%} | {number(plain['loss'])} "
            f"| {'–' if path == 'val' else number(plain['norm'])} "
            f"| {plain['part'].removesuffix('_loss')} {number(plain['part_factor'])} "
            f"| {' | '.join(number(r[p][key]) if p in r else '' for p in ('bfloat16', 'float16'))} |"
        )


def number(value: float) -> str:
    """Two decimals, none from a hundred on."""
    if not np.isfinite(value):
        return "not finite"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"
