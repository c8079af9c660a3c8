"""`sanitizer.attach`: a preflight before a plain Ultralytics run, its norms logged, and the run left as it is."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics import YOLO  # noqa: E402

import sanitizer  # noqa: E402
from sanitizer.preflight.attach import NoGoError  # noqa: E402
from sanitizer.train import ClippedTrainer  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

SHORT: dict[str, Any] = {"epochs": 2, "imgsz": 64, "batch": 4, "nbs": 4, "optimizer": "SGD", "lr0": 0.01}
SHORT |= {"device": "cpu", "workers": 0, "plots": False, "val": False, "verbose": False, "close_mosaic": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_set(tmp_path_factory.mktemp("attach") / "set", train=32)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def train(model: Any, data: Path, project: Path, **arguments: Any) -> Any:
    model.train(data=str(data), project=str(project), **(SHORT | arguments))
    return model.trainer


def test_norms_are_logged_and_training_is_as_without(data: Path, tmp_path: Path) -> None:
    plain = train(YOLO("yolov8n.yaml"), data, tmp_path, name="plain")
    shown: list[dict[str, float]] = []
    model = sanitizer.attach(YOLO("yolov8n.yaml"), preflight=False)
    model.add_callback("on_fit_epoch_end", lambda trainer: shown.append(dict(trainer.metrics)))
    watched = train(model, data, tmp_path, name="watched")
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name]), name
    clipped = YOLO("yolov8n.yaml")
    clipped.add_callback("on_fit_epoch_end", lambda trainer: shown.append(dict(trainer.metrics)))
    clipped.train(
        trainer=ClippedTrainer.configured(max_grad_norm=10.0), data=str(data), project=str(tmp_path), name="clipped",
        **SHORT,
    )  # fmt: skip
    seen, expected = (rows(t.save_dir / "grad_norms.csv") for t in (watched, clipped.trainer))
    assert len(seen) == 16
    means = [metrics["grad/norm_mean"] for metrics in shown if "grad/norm_mean" in metrics]
    n_epochs = 1 + max(int(row["epoch"]) for row in seen)
    assert means[:n_epochs] == pytest.approx(means[n_epochs:], rel=1e-4) and len(means) == 2 * n_epochs
    assert not any(key.startswith("grad/") for key in watched.metrics), (
        "neither in results.csv nor in checkpoints"
    )
    assert "grad/" not in (clipped.trainer.save_dir / "results.csv").read_text()
    for ours, theirs in zip(seen, expected, strict=True):
        assert float(ours["grad_norm"]) == pytest.approx(float(theirs["grad_norm"]), rel=1e-4)
        for column in ("step", "epoch", "loss", "max_grad_norm", "lr", "skipped", "box_loss"):
            assert ours[column] == theirs[column], column


def test_the_checklist_is_printed_before_training_starts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = sanitizer.attach(YOLO("yolov8n.yaml"), probing=False)
    trainer = train(model, data, tmp_path, name="run", lr0=0.5)
    out = capsys.readouterr().out
    assert out.index("NO-GO  ") < out.index("lr0=0.5 is over 0.02")
    assert "Corrected: sanitize train" in out
    assert (trainer.save_dir / "weights" / "last.pt").exists(), "and it goes on all the same"


def test_a_no_go_stops_where_that_was_asked_for(data: Path, tmp_path: Path) -> None:
    model = sanitizer.attach(YOLO("yolov8n.yaml"), stop=True, probing=False)
    with pytest.raises(NoGoError, match=r"lr0=0\.5 is over 0\.02"):
        train(model, data, tmp_path, name="run", lr0=0.5)
    assert not (tmp_path / "run").exists()
    assert train(model, data, tmp_path, name="run", epochs=4, nbs=16).epoch == 3


def test_a_preflight_that_is_not_possible_keeps_nobody_from_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = sanitizer.attach(YOLO("yolov8n.yaml"), stop=True, budget="soon")
    trainer = train(model, data, tmp_path, name="run", epochs=1)
    assert "preflight was not possible: 'soon' is no budget" in capsys.readouterr().out
    assert trainer.epoch == 0


def test_the_mode_of_the_module_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    model: Any = sanitizer.attach(YOLO("yolov8n.yaml"))
    model.model.train(False)
    assert not model.model.training
    assert "preflight" not in capsys.readouterr().out


def test_a_clipped_trainer_logs_by_itself(data: Path, tmp_path: Path) -> None:
    model = sanitizer.attach(YOLO("yolov8n.yaml"), preflight=False)
    trainer = train(model, data, tmp_path, name="run", epochs=1, trainer=ClippedTrainer)
    assert [r["step"] for r in rows(trainer.save_dir / "grad_norms.csv")] == [str(n) for n in range(8)]
