"""Try probe, preflight, train and attach with versions of Ultralytics and kinds of models: `ok`, or the exact sentence.

    python scripts/bench/models.py FOLDER [VERSION…] [--models NAME…] [--install] [--output FILE.md] [--keep FILE.jsonl]

FOLDER holds each version in a folder of its own name, as for versions.py; --install does this for versions that are not
there. Models are made from their yaml, for a tiny set that is made in code; a .pt may be named as well. Commands
run to their end: two steps and all images, or one epoch. --keep adds to a file what was found, and leaves out what
stands there already; --output is written anew after each command. The exit status is 1 where a command ended in a
defect, or in an error inside Ultralytics.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from measure import machine, table
from measure import versions as versions_of
from versions import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
CHILD = HERE / "models_child.py"

VERSIONS = ("8.3.200", "8.3.252", "8.4.0", "8.4.50", "8.4.90", "8.4.130", "8.4.190")
OLDER = "8.2.103"
"""A version that is not supported: tried with the first model alone."""
COMMANDS = ("probe", "preflight", "train", "attach")
ALL_COMMANDS_WITH = ("yolov8n.yaml", "yolov8n-rtdetr.yaml")
"""Other models are tried with probe and train: preflight does what probe does, and attach listens while training."""
MODELS = (
    *("yolov8n.yaml", "yolov8n-seg.yaml", "yolov8n-pose.yaml", "yolov8n-obb.yaml"),
    *("yolov3-tiny.yaml", "yolov5n.yaml", "yolov6n.yaml", "yolov9t.yaml", "yolov10n.yaml"),
    *("yolo11n.yaml", "yolo11n-seg.yaml", "yolo11n-pose.yaml", "yolo11n-obb.yaml", "yolo12n.yaml"),
    *("yolo26n.yaml", "yolo26n-seg.yaml", "yolo26n-pose.yaml", "yolo26n-obb.yaml"),
    *("yolov8n-p2.yaml", "yolov8n-p6.yaml", "yolov5n-p6.yaml", "yolo26n-p2.yaml"),
    *("yolov8n-rtdetr.yaml", "rtdetr-l.yaml"),
    *("yolov8s-world.yaml", "yoloe-v8s.yaml", "yoloe-11s-seg.yaml", "yolov8n-cls.yaml"),
    *("yolo26n-sem.yaml", "yolo26n-depth.yaml"),
)

UNEXPECTED = ("a defect in sanitize", "an error inside ")
"""What sentences say where nobody foresaw what happened."""

OF_8_4_0 = "8.4.0 ends the training of a segmentation model in the same error without sanitize."

Results = dict[tuple[str, str, str], str]
"""(version, model, command) to `ok` or a sentence."""


def main() -> int:
    """Try everything, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--install", action="store_true", help="install versions that FOLDER lacks")
    parser.add_argument("--keep", type=Path, help="file of what is known already, one JSON line each")
    parser.add_argument("--output", type=Path, help="write the table here")
    args = parser.parse_args()
    results = known(args.keep)
    if args.output:
        args.output.write_text(document(results, args.versions, args.models), "utf-8")
    for version in (OLDER, *args.versions):
        models = args.models[:1] if version == OLDER else args.models
        target = args.folder / version
        if args.install and not target.is_dir():
            install(version, target)
        for model, command, result, seconds in tried(version, target, models, results):
            results[version, model, command] = result
            print(f"{version} {model} {command}: {result} ({seconds} s)", flush=True)
            if args.keep:
                with open(args.keep, "a", encoding="utf-8") as file:
                    file.write(json.dumps([version, model, command, result]) + "\n")
            if args.output:
                args.output.write_text(document(results, args.versions, args.models), "utf-8")
    return int(any(words in result for result in results.values() for words in UNEXPECTED))


def known(path: Path | None) -> Results:
    """What an earlier run found."""
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(version, model, command): result for version, model, command, result in lines}


def task_of(model: str) -> str:
    """The task that a model is tried with, by its name."""
    endings = {"-seg": "segment", "-pose": "pose", "-obb": "obb"}
    return next((task for ending, task in endings.items() if ending in model), "detect")


def commands_for(model: str) -> Sequence[str]:
    """What a model is tried with."""
    return COMMANDS if model in ALL_COMMANDS_WITH else ("probe", "train")


def tried(
    version: str, target: Path, models: Sequence[str], results: Results
) -> Iterator[tuple[str, str, str, float]]:
    """(model, command, result, seconds) of all that is not known, in one process of its own."""
    asked = [
        (model, task_of(model), [c for c in commands_for(model) if (version, model, c) not in results])
        for model in models
    ]
    with tempfile.TemporaryDirectory() as settings:
        environment = {
            "YOLO_CONFIG_DIR": settings,
            "YOLO_VERBOSE": "False",
            "YOLO_AUTOINSTALL": "False",
            "YOLO_OFFLINE": "True",
            "SANITIZE_CACHE_DIR": settings,
            "SANITIZE_STATE_DIR": settings,
            "PYTHONPATH": os.pathsep.join((str(target), str(HERE.parents[1]))),
        }
        child = subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
            text=True,
        )
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps([a for a in asked if a[2]]))
        child.stdin.close()
        for line in child.stdout:
            if line.startswith("["):
                model, command, result, seconds = json.loads(line)
                yield model, command, result, seconds
        if child.wait():
            raise SystemExit(f"{target}: the process ended with status {child.returncode}")


def document(results: Results, versions: Sequence[str], models: Sequence[str]) -> str:
    """The results file: a table with a row for each model and a column for each version."""
    sentences: dict[str, int] = {}
    header = f"{datetime.date.today()}; {machine()}; {versions_of('torch')}; CPU"
    rows = [[model, *(cell(results, version, model, sentences) for version in versions)] for model in models]
    return "\n".join(
        [
            "# Commands, versions of Ultralytics, models",
            "",
            f"`python scripts/bench/models.py FOLDER {' '.join(versions)}`",
            "",
            header,
            "",
            "Each model was tried with probe and train, the first one and RT-DETR with preflight and attach, too. `ok`:"
            " these ran to their end. A number stands for a sentence below.",
            "",
            table(("model", *versions), rows),
            *(f"{number}. {sentence}" for sentence, number in sentences.items()),
            "",
            *([OF_8_4_0, ""] if "8.4.0" in versions else []),
            f"With Ultralytics {OLDER}, before anything starts:",
            "",
            *(
                f"- {command}: {results.get((OLDER, models[0], command), 'not tried')}"
                for command in COMMANDS
            ),
            "",
        ]
    )


def cell(results: Results, version: str, model: str, sentences: dict[str, int]) -> str:
    """`ok`, or which commands ended in which sentence; new sentences are added."""
    by_sentence: dict[str, list[str]] = {}
    for command in COMMANDS:
        result = results.get((version, model, command))
        if result is not None:
            sentence = result.replace(model, "MODEL").replace(f"Ultralytics {version}", "Ultralytics VERSION")
            by_sentence.setdefault(sentence, []).append(command)
    if not by_sentence:
        return "not tried"
    is_whole = len(by_sentence) == 1 and len(*by_sentence.values()) == len(commands_for(model))
    parts = []
    for sentence, commands in by_sentence.items():
        shown = "ok" if sentence == "ok" else str(sentences.setdefault(sentence, len(sentences) + 1))
        parts.append(shown if is_whole else f"{', '.join(commands)}: {shown}")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
