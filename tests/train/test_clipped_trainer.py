"""The clipped trainer on real Ultralytics models: nothing changes unasked, and a run survives what would end it."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from spoilt_trainers import AllBad, OneBadImage  # noqa: E402
from ultralytics import YOLO  # noqa: E402
from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402

from sanitizer.train import ClippedTrainer  # noqa: E402
from sanitizer.train.snapshot import is_finite  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics, pytest.mark.slow]

MODELS = {
    "detect": "yolov8n.yaml",
    "segment": "yolov8n-seg.yaml",
    "pose": "yolov8n-pose.yaml",
    "obb": "yolov8n-obb.yaml",
}


@pytest.fixture(autouse=True)
def few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures gain nothing from more, and the sums keep their order."""
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    torch.set_num_threads(1)


def train(data: Path, trainer: type | None, name: str, **arguments: Any) -> Any:
    """Train a fresh n-size model; returns the trainer after its run."""
    task = arguments.pop("task", "detect")
    model = YOLO(MODELS[task])
    defaults: dict[str, Any] = {
        "epochs": 2,
        "imgsz": 64,
        "batch": 2,
        "nbs": 2,
        "optimizer": "SGD",
        "lr0": 0.01,
        "device": "cpu",
        "workers": 0,
        "plots": False,
        "val": False,
        "verbose": False,
        "project": str(data.parents[1] / "runs"),
        "name": name,
    }
    model.train(trainer=trainer, data=str(data), **(defaults | arguments))
    return model.trainer


def weights(trainer: Any) -> Mapping[str, Any]:
    return {f"{part}.{name}": tensor for part, module in (("model", trainer.model), ("ema", trainer.ema.ema))
            for name, tensor in module.state_dict().items()}  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ultralytics"]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the run logged so far."""
    import logging

    monkeypatch.setattr(logging.getLogger("ultralytics"), "propagate", True)
    return lambda: said(caplog)


@pytest.mark.parametrize("task", MODELS)
def test_with_the_limit_of_ultralytics_the_weights_are_those_of_ultralytics(
    task: str, tmp_path: Path
) -> None:
    data = tiny_set(tmp_path / "set", task)
    options = {"task": task, "nbs": 4, "warmup_epochs": 0.0}
    plain = train(data, None, "plain", **options)
    clipped = train(data, ClippedTrainer.configured(max_grad_norm=10.0), "clipped", **options)
    assert isinstance(clipped, ClippedTrainer) and isinstance(clipped, type(plain))
    expected, actual = weights(plain), weights(clipped)
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, actual[name]), name
    log = rows(clipped.save_dir / "grad_norms.csv")
    assert [row["epoch"] for row in log] == ["0", "1"]
    assert all(float(row["grad_norm"]) > 10 and float(row["clip_coefficient"]) < 1 for row in log)


def test_a_limit_of_one_changes_the_weights(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set")
    ten, one = (
        train(
            data, ClippedTrainer.configured(max_grad_norm=limit), f"at-{limit:g}", epochs=1, warmup_epochs=0.0
        )
        for limit in (10.0, 1.0)
    )
    assert any(not torch.equal(tensor, weights(one)[name]) for name, tensor in weights(ten).items())


class NaNAtStep(ClippedTrainer):
    """The second image of the batch that leads to step 2 is NaN."""

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        if self.optimizer is not None and self.steps_done == 2:
            batch["img"][1] = math.nan
            self.spoilt = batch["im_file"][1]
        return batch


def test_a_nan_in_one_step_is_survived_and_named(tmp_path: Path, heard: Callable[[], list[str]]) -> None:
    trainer = train(tiny_set(tmp_path / "set"), NaNAtStep, "run", epochs=3, mosaic=0.0, val=True)
    log = rows(trainer.save_dir / "grad_norms.csv")
    assert [row["skipped"] for row in log] == ["0", "0", "1", "0", "0", "0"]
    assert log[2]["grad_norm"] == "nan"
    named = {row["image"]: row["kind"] for row in rows(trainer.save_dir / "spikes.csv") if row["step"] == "2"}
    assert len(named) == 2
    assert [image for image, kind in named.items() if kind == "not-finite-alone"] == [trainer.spoilt]
    assert any("step 2: the loss is not finite" in line and trainer.spoilt in line for line in heard())
    assert trainer.rollbacks == 0
    assert is_finite(trainer)
    assert all(
        math.isfinite(float(row["train/box_loss"])) for row in rows_stripped(trainer.save_dir / "results.csv")
    )


def rows_stripped(path: Path) -> list[dict[str, str]]:
    return [{k.strip(): v.strip() for k, v in row.items()} for row in rows(path)]


def test_an_image_that_ruins_every_step_is_left_out(tmp_path: Path, heard: Callable[[], list[str]]) -> None:
    data = tiny_set(tmp_path / "set")
    options = {"epochs": 6, "batch": 4, "nbs": 4, "mosaic": 0.0, "lr0": 0.02}
    trainer = train(data, OneBadImage.configured(max_grad_norm=10.0), "run", **options)
    log = rows(trainer.save_dir / "grad_norms.csv")
    assert [row["skipped"] for row in log] == ["1", "1", "1", "0", "0", "0"]
    bad = str(data.parent / "images" / "train" / "3.jpg")
    assert (trainer.save_dir / "left_out.txt").read_text().splitlines() == [bad]
    assert trainer.train_loader.dataset.left_out == {bad}
    assert trainer.args.lr0 == pytest.approx(0.01)
    (line,) = [line for line in heard() if "went back" in line]
    assert "lowered lr0 to 0.01" in line and line.endswith(f"leave out {bad}")
    assert is_finite(trainer)
    assert (data.parent / "images" / "train" / "3.jpg").exists()


class FarTooFast(ClippedTrainer):
    """Ultralytics refuses an lr0 over 1; here a slip makes it 1e15 times as large."""

    def run_callbacks(self, event: str) -> None:
        super().run_callbacks(event)
        if event == "on_train_start":
            self.scheduler.base_lrs = [1e15 * lr for lr in self.scheduler.base_lrs]
            for group in self.optimizer.param_groups:
                group["initial_lr"] *= 1e15


def test_weights_that_explode_bring_the_learning_rate_down(
    tmp_path: Path, heard: Callable[[], list[str]]
) -> None:
    trainer = train(
        tiny_set(tmp_path / "set"),
        FarTooFast.configured(max_grad_norm=1e30, lr_factor=1e-9, bad_steps=2),
        "run",
        epochs=6,
        warmup_epochs=0.0,
    )
    assert 1 <= trainer.rollbacks <= 4
    assert trainer.args.lr0 == pytest.approx(0.01 * 1e-9**trainer.rollbacks)
    assert trainer.optimizer.param_groups[0]["initial_lr"] == pytest.approx(1e15 * trainer.args.lr0)
    assert any("found no single image at fault" in line for line in heard())
    assert is_finite(trainer)
    assert not (trainer.save_dir / "left_out.txt").exists()
    log = rows(trainer.save_dir / "grad_norms.csv")
    assert log[-1]["skipped"] == "0"


def test_a_run_that_cannot_be_saved_stops_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"Training stopped in epoch \d+: 2 steps in a row .* after 1 rollbacks"
    ):
        train(tiny_set(tmp_path / "set"), AllBad.configured(bad_steps=2, max_rollbacks=1), "run", epochs=3)


class ScaleTooLarge(ClippedTrainer):
    """AMP's loss scale starts so high that the first gradients overflow, as it does on a GPU."""

    def run_callbacks(self, event: str) -> None:
        super().run_callbacks(event)
        if event == "on_train_start":
            self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)


def test_amp_that_looks_for_its_scale_is_no_failure(tmp_path: Path) -> None:
    trainer = train(tiny_set(tmp_path / "set"), ScaleTooLarge.configured(bad_steps=2), "run", epochs=10)
    log = rows(trainer.save_dir / "grad_norms.csv")
    skipped = [row["skipped"] == "1" for row in log]
    assert 3 <= sum(skipped) < len(skipped)
    assert skipped[:3] == [True] * 3, "more in a row than bad_steps"
    scales = [float(row["amp_scale"]) for row in log]
    halved = [s / 2 if bad else s for s, bad in zip(scales, skipped, strict=True)]
    assert scales[1:] == pytest.approx(halved[:-1], rel=1e-4)
    assert trainer.rollbacks == 0
    assert is_finite(trainer)


def test_all_images_of_a_mosaic_are_named(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Listening(ClippedTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.step_listeners.append(seen.append)

    train(tiny_set(tmp_path / "set", train=8), Listening, "run", epochs=1, mosaic=1.0, close_mosaic=0)
    assert [len(record.images) for record in seen] != [2, 2, 2, 2]
    assert all(2 <= len(record.images) <= 8 for record in seen)
    names = {Path(image).name for record in seen for image in record.images}
    assert names == {f"{i}.jpg" for i in range(8)}


def test_workers_forget_an_image_that_is_left_out_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", train=8)
    trainer = ClippedTrainer(overrides=_overrides(data))
    assert isinstance(trainer, DetectionTrainer)
    trainer._setup_train()
    trainer.args.workers = 2
    trainer.train_loader = trainer.get_dataloader(trainer.data["train"], batch_size=2, rank=-1, mode="train")
    bad = str(data.parent / "images" / "train" / "5.jpg")
    before: list[str] = []
    after: list[str] = []
    for _ in range(3):
        for i, batch in enumerate(trainer.train_loader):
            (after if trainer.train_loader.dataset.left_out else before).extend(
                f for s in batch["sources"] for f in s
            )
            if i == 2 and not trainer.train_loader.dataset.left_out:
                assert trainer._leave_out([bad]) == (bad,)
    trainer.train_loader.close()
    assert len(after) >= 2 * (1 + 4 + 4)
    assert bad not in after
    assert set(after) | {bad} == {str(data.parent / "images" / "train" / f"{i}.jpg") for i in range(8)}


def _overrides(data: Path) -> dict[str, Any]:
    return {
        "task": "detect",
        "model": MODELS["detect"],
        "data": str(data),
        "imgsz": 64,
        "batch": 2,
        "device": "cpu",
        "plots": False,
        "project": str(data.parents[1] / "runs"),
        "name": "loader",
    }


SCRIPT = """
import sys
from ultralytics import YOLO
from sanitizer.train import ClippedTrainer
model, options = sys.argv[1], eval(sys.argv[2])
YOLO(model).train(trainer=ClippedTrainer.configured(max_grad_norm=5.0, adaptive_percentile=50), **options)
"""


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", train=8)
    options = {
        "data": str(data),
        "epochs": 4,
        "imgsz": 64,
        "batch": 2,
        "nbs": 2,
        "device": "cpu",
        "plots": False,
    }
    options |= {
        "workers": 0,
        "project": str(tmp_path),
        "name": "run",
        "optimizer": "SGD",
        "lr0": 0.01,
        "epochs": 60,
    }
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, MODELS["detect"], repr(options)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: (run / "results.csv").exists() and len(rows(run / "results.csv")) >= 3, process)
        epoch = len(rows(run / "results.csv"))
        wait_for(lambda: any(int(r["epoch"]) > epoch for r in rows(run / "grad_norms.csv")), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    before = rows(run / "grad_norms.csv")
    saved = torch.load(run / "weights" / "last.pt", weights_only=False)["epoch"]
    stop_at = saved + 3
    stop = {"n": 0}

    class Resumed(ClippedTrainer):
        def run_callbacks(self, event: str) -> None:
            super().run_callbacks(event)
            if event == "on_train_start":
                assert self.adaptive_clip is not None
                stop["limit"] = self.adaptive_clip.limit(-1.0)
            if event == "on_train_epoch_start" and self.epoch >= stop_at:
                self.stop = True

    model = YOLO(run / "weights" / "last.pt")
    model.train(resume=True, trainer=Resumed.configured(max_grad_norm=5.0, adaptive_percentile=50))
    assert model.trainer.start_epoch == saved + 1
    after = rows(run / "grad_norms.csv")
    assert [int(row["step"]) for row in after] == list(range(len(after))), "no step twice, none missing"
    kept = [row for row in before if int(row["epoch"]) <= saved]
    assert after[: len(kept)] == kept
    assert [int(row["epoch"]) for row in after[len(kept) :]][:4] == [saved + 1] * 4
    if len(kept) >= 20:
        norms = sorted(float(row["grad_norm"]) for row in kept)
        assert norms[0] <= stop["limit"] <= norms[-1]
    assert is_finite(model.trainer)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not get far enough to be killed"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0"),
        ({"max_grad_norm": math.nan}, "max_grad_norm is nan"),
        ({"adaptive_percentile": 200.0}, "percentile of adaptive clipping is 200"),
        ({"lr_factor": 2.0}, "lr_factor over 0"),
        ({"bad_steps": 0}, "bad_steps must be 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ClippedTrainer.configured(**settings)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1.0, -2.0], True), ([math.nan, 1.0], False), ([math.inf, -math.inf], False), ([3e38, 3e38], True)],
)
def test_weights_are_finite_if_all_numbers_are(weights: list[float], expected: bool) -> None:
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(weights)
    assert is_finite(types.SimpleNamespace(model=layer, ema=None)) == expected  # type: ignore[arg-type]


def test_a_task_without_clipped_trainer_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no clipped trainer for the task 'classify': use detect, segment, pose, obb"
    ):
        ClippedTrainer(overrides={"task": "classify"})
