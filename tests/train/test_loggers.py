"""Gradient norms, clip coefficients and spikes of `train` and `attach` in the loggers that Ultralytics drives.

Ultralytics' loggers do nothing under pytest, so the runs are made by a script.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_sets import tiny_set

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = dict[str, dict[str, list[float]]]

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

RUNS = """
import sys
data, project, mlflow = sys.argv[1:]
import torch
torch.set_num_threads(1)
from ultralytics import YOLO, settings
settings.update({"tensorboard": True, "mlflow": mlflow == "mlflow"})
import sanitizer
from sanitizer.train import ClippedTrainer
short = dict(data=data, project=project, epochs=2, imgsz=32, batch=4, nbs=4, optimizer="SGD", lr0=0.01, device="cpu",
             workers=0, plots=False, val=False, verbose=False, close_mosaic=1)
model = sanitizer.attach(YOLO("yolov8n.yaml"), preflight=False)
model.train(name="attached", **short)
YOLO("yolov8n.yaml").train(trainer=ClippedTrainer.configured(max_grad_norm=10.0), name="clipped", **short)
"""
NUMBERS = {"norm_mean", "norm_max", "clip_coefficient_mean", "spikes", "skipped"}
EPOCHS = 2


def from_tensorboard(folder: Path) -> Logged:
    """Run to name of a number to its value after each epoch."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged: Logged = {}
    for run in ("attached", "clipped"):
        events = EventAccumulator(str(folder / "runs" / run), purge_orphaned_data=False)
        events.Reload()
        tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("grad/")]
        logged[run] = {tag: [e.value for e in events.Scalars(tag)] for tag in tags}
    return logged


def from_mlflow(folder: Path) -> Logged:
    """The same, of a store that is a folder: a file for each number, with lines of time, value and step."""
    logged: Logged = {}
    for metrics in (folder / "mlflow").glob("*/*/metrics"):
        run = (metrics.parent / "tags/mlflow.runName").read_text()
        logged[run] = {
            f"grad/{file.name}": [float(line.split()[1]) for line in file.read_text().splitlines()]
            for file in (metrics / "grad").iterdir()
        }
    return logged


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs and what was logged of them."""
    folder = tmp_path_factory.mktemp("loggers")
    data = tiny_set(folder / "set", train=8)
    has_mlflow = importlib.util.find_spec("mlflow") is not None
    (folder / "runs.py").write_text(RUNS)
    run = subprocess.run(
        (sys.executable, "runs.py", str(data), str(folder / "runs"), "mlflow" if has_mlflow else ""),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB"))}
        | {
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))),
            "YOLO_CONFIG_DIR": str(folder / "settings"),
            "MLFLOW_TRACKING_URI": f"file://{folder}/mlflow",
            "MLFLOW_ALLOW_FILE_STORE": "true",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize(
    ("package", "read"),
    [("tensorboard", from_tensorboard), ("mlflow", from_mlflow)],
    ids=lambda x: str(x)[:11],
)
def test_loggers_show_the_numbers_of_each_epoch(
    trained: Path, package: str, read: Callable[[Path], Logged]
) -> None:
    pytest.importorskip(package)
    logged = read(trained)
    assert logged.keys() == {"attached", "clipped"}
    for run, numbers in logged.items():
        assert {name.removeprefix("grad/") for name in numbers} == NUMBERS, run
        assert all(len(values) == EPOCHS for values in numbers.values()), json.dumps(numbers)
        assert all(value > 0 for value in numbers["grad/norm_mean"])
        assert all(0 < value <= 1 for value in numbers["grad/clip_coefficient_mean"])
        norms = norms_of(trained / "runs" / run)
        assert numbers["grad/norm_max"] == pytest.approx([max(of_epoch) for of_epoch in norms], rel=1e-4)


def norms_of(folder: Path) -> list[list[float]]:
    """The norms of each epoch, as the log of the steps has them."""
    import csv

    norms: list[list[float]] = [[] for _ in range(EPOCHS)]
    with open(folder / "grad_norms.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            norms[int(row["epoch"])].append(float(row["grad_norm"]))
    return norms
