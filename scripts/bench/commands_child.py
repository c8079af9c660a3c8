"""A child of commands.py: `sanitize train`, or Ultralytics' own trainer, up to a point where the process ends.

python scripts/bench/commands_child.py model MODEL, or view|batch|theirs data.yaml MODEL RUN
"""

from __future__ import annotations

import os
import sys

SMALL = {"imgsz": 32, "batch": 16, "workers": 0, "device": "cpu", "epochs": 1, "plots": False}


def main(until: str, data: str = "", model: str = "", folder: str = "") -> None:
    """Run until the point that the first argument names."""
    if until == "view":  # PyTorch is loaded by the command itself
        from sanitizer.train import running

        running.train = end  # type: ignore[assignment]
        train(data, model, folder)
        return
    from ultralytics.models.yolo.detect import DetectionTrainer

    from sanitizer.ultra.library import YOLO

    if until == "model":
        from sanitizer.dataset.tables import TaskSpec
        from sanitizer.ultra.model import build_model

        build_model(data, TaskSpec("detect", nc=80))
        return
    DetectionTrainer.preprocess_batch = end  # type: ignore[method-assign, assignment]
    if until == "theirs":
        YOLO(model).train(data=data, save_dir=folder, **SMALL)
    else:
        train(data, model, folder)


def train(data: str, model: str, folder: str) -> None:
    """`sanitize train`."""
    from sanitizer.cli import main as sanitize

    arguments = [f"{name}={value}" for name, value in SMALL.items()]
    sanitize(["train", data, f"model={model}", f"save_dir={folder}", *arguments, "--quiet"])


def end(*_: object) -> None:
    """End the process, whatever else it would do."""
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
