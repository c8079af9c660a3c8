"""Spikes of a training run are attributed to images and lines, and training does not notice."""

from __future__ import annotations

import csv
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from tiny_sets import tiny_rt_detr, tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics import YOLO  # noqa: E402

from sanitizer.probe.spike_attribution import SpikeAttribution  # noqa: E402
from sanitizer.train import ClippedTrainer, unexplained  # noqa: E402
from sanitizer.train.spikes import Spike, SpikeDetector  # noqa: E402
from sanitizer.ultra.model import model_to_train  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

MODELS = {"detect": "yolov8n.yaml", "segment": "yolov8n-seg.yaml", "pose": "yolov8n-pose.yaml"}
MODELS["obb"] = "yolov8n-obb.yaml"


class EveryThird(SpikeDetector):
    """Calls every third norm a spike."""

    def judge(self, norm: float) -> Spike | None:
        self.count = getattr(self, "count", 0) + 1
        return Spike(norm / 2, 7.0) if self.count % 3 == 0 else None


class Never(SpikeDetector):
    def judge(self, norm: float) -> Spike | None:
        return None


def train(data: Path, detector: type, name: str, task: str = "detect", **arguments: Any) -> Any:
    torch.set_num_threads(1)

    class Judged(ClippedTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.spikes = detector()

    model = model_to_train(MODELS[task])
    settings = {
        "epochs": 2,
        "imgsz": 64,
        "batch": 4,
        "nbs": 4,
        "optimizer": "SGD",
        "lr0": 0.01,
        "device": "cpu",
    }
    settings |= {"workers": 0, "plots": False, "val": False, "verbose": False, "name": name}
    model.train(
        trainer=Judged, data=str(data), project=str(data.parents[1] / "runs"), **(settings | arguments)
    )
    return model.trainer


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of twelve images; the label of the second has its object on line 3."""
    path = tiny_set(tmp_path_factory.mktemp("spikes") / "set", train=12)
    label = path.parent / "labels" / "train" / "1.txt"
    label.write_text(f"\n\n{label.read_text()}")
    (path.parent / "labels" / "train" / "2.txt").unlink()
    return path


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer over a spike than a run of seconds allows."""
    monkeypatch.setattr(unexplained, "LEAST_EXPLAINING_S", 600.0)


def test_a_spike_names_images_and_lines_and_training_goes_on_as_without(data: Path) -> None:
    spiking, calm = train(data, EveryThird, "spiking"), train(data, Never, "calm")
    for name, tensor in calm.model.state_dict().items():
        assert torch.equal(tensor, spiking.model.state_dict()[name]), name
    kept = rows(spiking.save_dir / "spikes.csv")
    assert [r["step"] for r in rows(spiking.save_dir / "grad_norms.csv") if r["spike"] == "1"] == ["2", "5"]
    for step in ("2", "5"):
        of_step = [r for r in kept if r["step"] == step]
        shares = [float(r["share"]) for r in of_step]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert shares == sorted(shares, reverse=True)
        for row in of_step:
            expected = {"1.jpg": "3", "2.jpg": ""}.get(row["image"].rpartition("/")[2], "1")
            assert row["line"] == expected
            assert bool(row["line_share"]) == bool(expected)
            assert not expected or math.isfinite(float(row["line_share"]))
    assert not (calm.save_dir / "spikes.csv").exists()


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_other_tasks_are_attributed_too(task: str, tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", task, train=8)
    trainer = train(data, EveryThird, "run", task, epochs=2, mosaic=0.0)
    kept = rows(trainer.save_dir / "spikes.csv")
    assert kept and all(r["line"] == "1" and 0 < float(r["share"]) <= 1 for r in kept)


def test_one_class_for_all_is_attributed_as_it_is_trained(data: Path) -> None:
    kept = rows(train(data, EveryThird, "single", single_cls=True).save_dir / "spikes.csv")
    assert all(r["share"] for r in kept)


def test_time_bounds_the_attribution(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unexplained, "EXPLAINING_SHARE", 0.0)
    monkeypatch.setattr(unexplained, "LEAST_EXPLAINING_S", 0.0)
    trainer = train(data, EveryThird, "hurried")
    kept = rows(trainer.save_dir / "spikes.csv")
    assert kept and not any(r["share"] or r["line"] for r in kept)
    started = time.perf_counter()
    images = {0: [label["im_file"] for label in trainer.train_loader.dataset.labels]}
    attribution = SpikeAttribution()
    assert attribution.measure(trainer, images, 0.0) == {}
    assert len(attribution.measure(trainer, images, 60.0)[0]) == 12
    assert attribution.measure(trainer, images, 60.0) == {}
    assert time.perf_counter() - started < 60


def test_images_that_an_epoch_has_no_time_for_are_measured_later(data: Path) -> None:
    """The time of a call is over after some images. The next call measures the others, and the shares are of all."""
    trainer = train(data, Never, "later", epochs=1)
    files = [label["im_file"] for label in trainer.train_loader.dataset.labels]
    attribution = SpikeAttribution()
    first = attribution.measure(trainer, {7: files[:5]}, 60.0)[7]
    both = attribution.measure(trainer, {7: files[:8], 9: files[:2]}, 60.0)
    assert (len(first), len(both[7]), len(both[9])) == (5, 8, 2)
    for shares in (first, *both.values()):
        assert sum(s.share or 0 for s in shares) == pytest.approx(1)
    assert sorted(s.image for s in both[7]) == sorted(files[:8])


def test_the_first_image_is_timed_though_training_leaves_out_one_before_it(data: Path) -> None:
    trainer = train(data, Never, "timed", epochs=1)
    files = [label["im_file"] for label in trainer.train_loader.dataset.labels]
    attribution = SpikeAttribution()
    assert len(attribution.measure(trainer, {0: [f"{files[0]}.gone.jpg", files[0]]}, 60.0)[0]) == 1
    assert attribution._first_image_s is not None


def test_more_images_than_are_read_together_are_measured_with_rt_detr(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every measurer puts hooks on the head of its model, as it does with YOLO in old versions of Ultralytics."""
    monkeypatch.setattr("sanitizer.probe.spike_attribution._AT_ONCE", 2)
    monkeypatch.setitem(MODELS, "detect", tiny_rt_detr(tmp_path))
    trainer = train(data, Never, "rt-detr", epochs=1, imgsz=128)
    files = [label["im_file"] for label in trainer.train_loader.dataset.labels]
    assert len(SpikeAttribution().measure(trainer, {0: files[:5]}, 600.0)[0]) == 5


def test_an_epoch_gives_a_small_part_of_its_time_and_the_end_the_rest(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[bool, float]] = []

    def note(self: Any, trainer: Any, _steps: Any, seconds: float) -> Any:
        epoch_s = trainer.unexplained.epoch_s
        given.append((epoch_s > 0, seconds / epoch_s))
        return {}

    monkeypatch.setattr(SpikeAttribution, "measure", note)
    monkeypatch.setattr(unexplained, "LEAST_EXPLAINING_S", 0.0)
    train(data, EveryThird, "bounded", epochs=3)
    *of_epochs, of_end = given
    assert [share for _, share in of_epochs] == pytest.approx([unexplained.EXPLAINING_SHARE] * 3)
    assert of_end[1] > unexplained.EXPLAINING_SHARE
    assert unexplained.EXPLAINING_SHARE < 0.05


def test_an_attribution_that_fails_costs_the_run_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_args: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SpikeAttribution, "measure", out_of_memory)
    trainer = train(data, EveryThird, "failing")
    assert trainer.epoch == 1
    assert rows(trainer.save_dir / "spikes.csv")


def test_images_are_named_by_what_their_links_lead_to(data: Path, tmp_path: Path) -> None:
    import os
    import shutil

    view = tmp_path / "view"
    shutil.copytree(data.parent, view, ignore=shutil.ignore_patterns("images", "*.cache"))
    for split in ("train", "val"):
        (view / "images" / split).mkdir(parents=True)
        for image in (data.parent / "images" / split).iterdir():
            os.symlink(image, view / "images" / split / image.name)
    text = (view / "data.yaml").read_text().replace(str(data.parent), str(view))
    (view / "data.yaml").write_text(text)

    class Following(EveryThird):
        pass

    torch.set_num_threads(1)

    class Judged(ClippedTrainer):
        follow_links = True

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.spikes = Following()

    model = YOLO("yolov8n.yaml")
    settings = {"epochs": 1, "imgsz": 64, "batch": 4, "nbs": 4, "device": "cpu", "workers": 0, "plots": False}
    model.train(
        trainer=Judged, data=str(view / "data.yaml"), val=False, project=str(tmp_path), name="run", **settings
    )
    kept = rows(model.trainer.save_dir / "spikes.csv")
    assert kept and all(r["image"].startswith(str(data.parent / "images")) and r["share"] for r in kept)
