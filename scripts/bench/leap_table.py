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
LEAP = 1.5
"""Factor from which the table counts a row as one that raises the loss or the gradient."""


def document(path: Path, commands: Sequence[str]) -> str:
    """The results file: one table a path."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
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
