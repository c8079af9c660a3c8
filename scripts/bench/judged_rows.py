"""Blind sheets of the label rows that a probe doubts most, for a person to judge.

    python scripts/bench/judged_rows.py DATASET PROBE_OUT SHEETS          draw the sheets
    python scripts/bench/judged_rows.py DATASET PROBE_OUT SHEETS --wrong 7,22 --doubtful 31,105     count the verdicts

PROBE_OUT is the folder of `sanitize probe --out`. The hundred rows with the largest `p` of boxes.csv and forty random
others are drawn in a random order, without `p` and rank: the row in red with its class, the other rows of the image in
thin lines. Who judges writes down the numbers of rows that are wrong, or doubtful, before looking at key.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from sanitizer.archives.finding import find_dataset
from sanitizer.ultra.samples import read_samples

if TYPE_CHECKING:
    from sanitizer.ultra.samples import Sample

TOP, CONTROLS, SIDE_PX = 100, 40, 300
COLOURS = ("#ffd400", "#00e5ff", "#7cff00", "#ff8a00", "#c78aff", "#ffffff")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("probe", type=Path)
    parser.add_argument("sheets", type=Path)
    for verdict in ("wrong", "doubtful"):
        parser.add_argument(f"--{verdict}", help="numbers on the sheets, with commas")
    args = parser.parse_args()
    if args.wrong is None and args.doubtful is None:
        draw(args.dataset, args.probe, args.sheets)
    else:
        count(
            args.sheets,
            *({int(n) for n in (text or "").split(",") if n} for text in (args.wrong, args.doubtful)),
        )


def draw(dataset: Path, probe: Path, sheets: Path) -> None:
    """Write sheets of twenty rows, and key.json with what each number is."""
    with open(probe / "boxes.csv", newline="", encoding="utf-8-sig") as file:
        rows = sorted((r for r in csv.DictReader(file) if r["p"]), key=lambda r: -float(r["p"]))
    chance = random.Random(5)
    ranked = list(enumerate(rows, 1))
    items = ranked[:TOP] + chance.sample(ranked[TOP:], min(CONTROLS, len(rows[TOP:])))
    chance.shuffle(items)
    found = find_dataset([str(dataset / "data.yaml")])
    spec = found.task_spec("detect")
    samples = {
        found.relative(s.image): s for split in found.splits for s in read_samples(found, spec, split.name)
    }
    sheets.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(items), 20):
        sheet = Image.new("RGB", (5 * (SIDE_PX + 10), 4 * (SIDE_PX + 25)), "#222222")
        pen = ImageDraw.Draw(sheet)
        for place, (_, row) in enumerate(items[start : start + 20]):
            x, y = place % 5 * (SIDE_PX + 10), place // 5 * (SIDE_PX + 25)
            name = found.names.get(int(row["class_id"]), row["class_id"])
            sheet.paste(picture(samples[row["image"]], int(row["line"])), (x + 5, y + 22))
            pen.text((x + 6, y + 5), f"#{start + place}  red: {name}", "white")
        sheet.save(sheets / f"{start // 20}.png")
    key = [
        {"rank": rank, "image": r["image"], "line": int(r["line"]), "p": float(r["p"])} for rank, r in items
    ]
    (sheets / "key.json").write_text(json.dumps(key))


def picture(sample: Sample, line: int) -> Image.Image:
    """What is around the row on a line, with its box in red."""
    with Image.open(sample.image) as file:
        image = file.convert("RGB")
    centre, half = sample.xywh[:, :2] * image.size, sample.xywh[:, 2:] * image.size / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    mine = sample.lines.tolist().index(line)
    left, top, right, bottom = boxes[mine].tolist()
    side = min(max(2.2 * max(right - left, bottom - top), 60), max(image.size))
    x0, y0 = (
        max(0, min(middle - side / 2, length - side)) if length > side else (length - side) / 2
        for middle, length in (((left + right) / 2, image.width), ((top + bottom) / 2, image.height))
    )
    crop = image.transform(
        (SIDE_PX, SIDE_PX), Image.Transform.EXTENT, (x0, y0, x0 + side, y0 + side), Image.Resampling.BICUBIC
    )
    pen, scale = ImageDraw.Draw(crop), SIDE_PX / side
    for row in sorted(range(len(boxes)), key=lambda row: row == mine):
        place: Any = [(v - (x0, y0)[i % 2]) * scale for i, v in enumerate(boxes[row].tolist())]
        colour = COLOURS[int(sample.class_id[row, 0]) % 6]
        pen.rectangle(place, outline="red" if row == mine else colour, width=3 if row == mine else 1)
    return crop


def count(sheets: Path, wrong: set[int], doubtful: set[int]) -> None:
    """Print a table of the verdicts."""
    key = json.loads((sheets / "key.json").read_text())
    print("| rows | judged | wrong | doubtful |\n| --- | --- | --- | --- |")
    for name, low, high in [
        *((f"first {n}", 0, n) for n in (10, 20, 50, TOP)),
        ("random others", TOP, 10**9),
    ]:
        numbers = {n for n, item in enumerate(key) if low < item["rank"] <= high}
        print(f"| {name} | {len(numbers)} | {len(numbers & wrong)} | {len(numbers & doubtful)} |")


if __name__ == "__main__":
    main()
