"""Runs commands with the Ultralytics on PYTHONPATH: JSON in, a line of JSON for each command out. See models.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

import torch  # noqa: E402
from tiny_sets import tiny_set  # noqa: E402

from sanitizer.cli import main as sanitize  # noqa: E402

ARGUMENTS = {
    "probe": ["batch=2", "--budget", "2"],
    "preflight": ["batch=2", "--budget", "2"],
    "train": ["batch=2", "nbs=2", "epochs=1", "workers=0", "plots=False", "exist_ok=True"],
}


def imgsz_of(model: str) -> int:
    """Side of the images, pixels: at 128, RT-DETR finds the 300 places that it wants, and a P6 head has two cells."""
    return 128 if "rtdetr" in model or "p6" in model else 64


def result_of(command: str, model: str, task: str, data: Path, runs: str) -> str:
    """`ok`, or the sentence in which the command ended."""
    if command == "attach":
        return attached(model, data, runs)
    arguments = [
        command,
        str(data),
        "--model",
        model,
        "--task",
        task,
        "--device",
        "cpu",
        f"imgsz={imgsz_of(model)}",
    ]
    arguments += ARGUMENTS[command]
    if command == "train":
        arguments += [f"project={runs}", "name=train"]
    told, report = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(report):
        status = sanitize(arguments)
    if status in (0, 1):
        return "ok"
    told.seek(0)
    sentence = (told.read().strip().splitlines() or ["nothing was said"])[-1]
    return re.sub(r"^sanitize(: error| \w+: error| \w+)?: ", "", sentence)


def attached(model: str, data: Path, runs: str) -> str:
    """The same of a plain script with `sanitizer.attach`."""
    try:
        import sanitizer

        attach: Any = sanitizer.attach

        from sanitizer.ultra.model import model_to_train

        with contextlib.redirect_stdout(io.StringIO()):
            attach(model_to_train(model), preflight=False).train(
                data=str(data), imgsz=imgsz_of(model), batch=2, nbs=2, epochs=1, workers=0, plots=False, device="cpu",
                project=runs, name="attach", exist_ok=True,
            )  # fmt: skip
        lines = Path(runs, "attach", "grad_norms.csv").read_text("utf-8").splitlines()
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return "ok" if len(lines) > 1 else "no norm was logged"


def main() -> None:
    """Run every command of stdin: [model, task, commands]."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        data: dict[str, Path] = {}
        for model, task, commands in json.load(sys.stdin):
            if task not in data:
                data[task] = tiny_set(Path(work, task), task)
            for command in commands:
                started = time.perf_counter()
                result = result_of(command, model, task, data[task], str(Path(work, "runs", model)))
                result = result.replace(f"{work}{os.sep}", "")
                seconds = round(time.perf_counter() - started, 1)
                print(json.dumps([model, command, result, seconds]), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
