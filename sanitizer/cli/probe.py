"""Name the images, and the label lines, behind loss spikes: a few training steps, then every image's gradient.

Needs PyTorch and Ultralytics: pip install 'sanitize-yolo[probe]'. The dataset is only read.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.cli import INTERRUPTED, UsageError
from sanitizer.cli.arguments import comma_list, one_of
from sanitizer.cli.options import (
    ENGINES,
    add_label_task,
    add_report_options,
    add_rule_options,
    check_outputs,
    config_folder,
    configured,
)
from sanitizer.cli.output import finish, wants_bar
from sanitizer.cli.preflight import need_torch
from sanitizer.config import load_config
from sanitizer.util.counting import in_thousands, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.probe.result import ProbeResult

USAGE = "sanitize probe data.yaml --model MODEL [k=v …] [options]"
EPILOG = """\
k=v are Ultralytics train arguments, as `yolo train` spells them: imgsz=640 batch=16 lr0=0.01 mosaic=1

exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage or nothing readable, 130 interrupted

examples:
  sanitize probe data.yaml --model yolov8n.pt
  sanitize probe data.yaml --model yolo11n.yaml --budget 4epochs imgsz=320 --out probe
  sanitize probe data.yaml --model yolov8n.pt --select G --output findings.csv
  sanitize probe data.yaml --model best.pt --split val,test --budget 0steps
"""
SHOWN = 10
SHOWN_LINES = 5
GIVEN_ELSEWHERE = {"model": "--model", "data": "the first argument", "device": "--device", "task": "--task"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize probe`."""
    parser.add_argument("data", metavar="data.yaml", help="a data.yaml or a dataset folder")
    parser.add_argument("overrides", metavar="k=v", nargs="*", help="Ultralytics train arguments")
    group = parser.add_argument_group("what to run")
    add = group.add_argument
    add("--model", metavar="MODEL", required=True, help="weights (.pt) to start from, or a model .yaml")
    add(
        "--budget",
        metavar="B",
        default="2m",
        help="2m, 90s, 200 (steps), 4epochs, 0steps for finished weights (default 2m)",
    )
    add("--split", metavar="NAMES", type=comma_list, action="extend",
        help="measure these splits: val,test (default train)")  # fmt: skip
    add("--fdr", type=_share, metavar="F", default=0.2,
        help="share of the named lines that may be fine; less gives a shorter list (default 0.2)")  # fmt: skip
    add("--device", metavar="D", default="auto", help="auto, cpu, 0 or 0,1 (default auto)")
    add("--engine", type=one_of(ENGINES), default="local", metavar="NAME",
        help="local, or ray: measure on the GPUs of a Ray cluster, as in scan; the warm-up stays here")  # fmt: skip
    add_label_task(add)
    add(
        "--out", metavar="DIR", help="keep steps.csv, images.csv, boxes.csv, grad_norms.png and events in DIR"
    )
    add("--resume", action="store_true", help="go on with what an earlier run kept in --out DIR")
    add(
        "--trust-weights",
        action="store_true",
        help="load weights that need more than tensors and known classes, which may run their maker's code",
    )
    add_rule_options(parser)
    add_report_options(parser)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give a number over 0 and under 1")
    return value


def run(args: argparse.Namespace) -> int:
    """Probe, report, and return the exit status."""
    check_outputs(args)
    if args.resume and not args.out:
        raise UsageError("--resume goes on with what is kept in a folder: name it with --out DIR")
    need_torch("a probe")
    args.imgsz = None
    config = configured(load_config(config_folder([args.data]), args.config), args)
    from sanitizer.probe.probing import probe
    from sanitizer.ultra.arguments import parse_arguments

    overrides = parse_arguments(args.overrides)
    for key in overrides.keys() & GIVEN_ELSEWHERE.keys():
        raise UsageError(f"{key}={overrides[key]}: {key} is given by {GIVEN_ELSEWHERE[key]}")

    result = probe(
        args.data,
        args.model,
        budget=args.budget,
        device=args.device,
        overrides=overrides,
        task=args.task,
        trust_weights=args.trust_weights,
        config=config,
        out=args.out,
        resume=args.resume,
        progress=wants_bar(args) or ("lines" if not args.quiet else False),
        engine=args.engine,
        fdr=args.fdr,
        splits=tuple(dict.fromkeys(args.split or ("train",))),
    )
    if args.format == "text" and not args.quiet:
        print(ranking(result) + "\n")
    status = finish(result.report, args, config.fail_on, result.judgement.dataset)
    if args.out:
        _keep(result, args)
    return INTERRUPTED if result.interrupted else status


def ranking(result: ProbeResult) -> str:
    """The images most worth a look, as text: what was measured, and why each stands where it does."""
    from sanitizer.probe.probing import measured_images
    from sanitizer.util.escape import legible

    steps = result.steps
    norms = sorted(s.grad_norm for s in steps)
    lines = [
        f"Probed {len(result.measured):,} of {len(result.samples):,} {measured_images(result.samples)} at "
        f"{result.imgsz} px"
        + (
            f" after {len(steps):,} training steps (median gradient norm {norms[len(norms) // 2]:.3g})"
            if steps
            else ""
        )
        + ".",
    ]
    rows = [(legible(image), why) for image, why in islice(_worth_a_look(result), SHOWN)]
    if rows:
        lines.append("Look at these first:")
        width = max(len(image) for image, _ in rows)
        lines += [f"  {image:{width}}  {why}" for image, why in rows]
    return "\n".join(lines)


def _worth_a_look(result: ProbeResult) -> Iterator[tuple[str, str]]:
    """Images that stand out, and why in one line: what is named in each, and else the strongest kinds of evidence."""
    from sanitizer.probe.judging.limits import LINE_CODES, PLACE_CODE

    judgement = result.judgement
    lines: dict[str | None, list[int]] = {}
    places: Counter[str | None] = Counter()
    for finding in result.report.findings:
        if finding.rule in LINE_CODES and finding.line is not None:
            lines.setdefault(finding.image, []).append(finding.line)
        places[finding.image] += finding.rule == PLACE_CODE
    for n in (-judgement.combined_score()).argsort(kind="stable").tolist():
        m = result.measured[n]
        image, codes, doubts = judgement.image(m), judgement.codes_of(m), judgement.doubts(n)
        named = []
        if image in lines:
            shown = listed([str(line) for line in sorted(lines[image])], SHOWN_LINES)
            named.append(f"line{'s' * (len(lines[image]) > 1)} {shown} probably wrong")
        if places[image]:
            named.append(f"{in_thousands(places[image], 'object')} without label")
        if codes or doubts:
            scan = [f"scan: {', '.join(codes)}"] if codes else []
            yield image, "; ".join(scan + (named or doubts[:2]))


def _keep(result: ProbeResult, args: argparse.Namespace) -> None:
    from sanitizer.probe.tables import write_tables

    names = write_tables(result, args.out)
    if not args.quiet:
        print(f"note: {args.out}: {', '.join(names)}", file=sys.stderr)
