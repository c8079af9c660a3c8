"""Kinds of models: RT-DETR and models without BatchNorm are probed and trained, others are named in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_sets import tiny_rt_detr, tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.nn.modules import head as heads  # noqa: E402
from ultralytics.nn.tasks import ClassificationModel, WorldModel  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

from sanitizer.archives.finding import find_dataset  # noqa: E402
from sanitizer.cli import main as sanitize  # noqa: E402
from sanitizer.probe.gradients.measure import Measurer  # noqa: E402
from sanitizer.train import ClippedTrainer  # noqa: E402
from sanitizer.ultra.model import ModelError, build_model, check_model_file, head_of_file  # noqa: E402
from sanitizer.ultra.probe_dataset import ReadOnlyDataset  # noqa: E402
from sanitizer.ultra.samples import read_samples  # noqa: E402

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

RUN = {"epochs": 1, "imgsz": 128, "batch": 2, "workers": 0, "plots": False, "device": "cpu", "val": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("yolov8s-world.yaml", "a YOLO-World model, which takes its classes as text, is not supported"),
        (
            "yoloe-11s-seg.yaml",
            "a YOLOE model, which takes its classes as text or pictures, is not supported",
        ),
        ("yolov8n-cls.yaml", "a classification model is not supported"),
    ],
)
def test_unsupported_models_are_named(
    name: str, kind: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("probe", "preflight", "train"):
        assert sanitize([command, str(data), "--model", name]) == 2
        said = capsys.readouterr().err
        assert f"{name}: {kind}" in said
        assert len(said.splitlines()) == 1
    with pytest.raises(ModelError, match=kind):
        ClippedTrainer(overrides={"model": name, "task": "detect"})


@pytest.mark.parametrize(
    ("kind", "model", "cfg"),
    [
        ("a classification model", ClassificationModel, "yolov8n-cls.yaml"),
        ("a YOLO-World model", WorldModel, "yolov8s-world.yaml"),
    ],
)
def test_their_weights_are_named_too(kind: str, model: Any, cfg: str, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save({"model": model(cfg, verbose=False), "train_args": {}}, path)
    with pytest.raises(ModelError, match=f"best.pt: {kind}"):
        check_model_file(str(path))


def test_weights_of_a_newer_version_are_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = type("Detect99", (heads.Detect,), {"__module__": heads.__name__})
    monkeypatch.setattr(heads, "Detect99", newer, raising=False)
    path = tmp_path / "newer.pt"
    torch.save({"model": torch.nn.Sequential(newer(1, ch=(8,)))}, path)
    monkeypatch.undo()
    with pytest.raises(
        ModelError, match=r"needs ultralytics\.nn\.modules\.head\.Detect99, which Ultralytics"
    ) as said:
        check_model_file(str(path))
    assert "trust" not in str(said.value)


def without_batchnorm(model: Any) -> Any:
    """The model with GroupNorm in every layer, or without any normalisation in every second one."""
    for number, layer in enumerate(m for m in model.modules() if hasattr(m, "bn")):
        layer.bn = torch.nn.GroupNorm(1, layer.bn.num_features) if number % 2 else torch.nn.Identity()
    return model


def test_a_model_without_batchnorm_is_measured(data: Path) -> None:
    dataset = find_dataset([str(data)])
    spec = dataset.task_spec("detect")
    samples = read_samples(dataset, spec, "train")
    model: Any = without_batchnorm(build_model("yolov8n.yaml", spec))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    model.args = get_cfg(DEFAULT_CFG, {"imgsz": 64})
    names = {"names": dataset.names, "nc": 2, "channels": 3}
    items = ReadOnlyDataset(samples, data=names, task="detect", imgsz=64, augment=False, hyp=model.args)
    measured = Measurer(model, items, torch.device("cpu")).measure([0, 1])
    assert sum(m.share for m in measured) == pytest.approx(1, abs=1e-3)
    assert all(m.grad_norm > 0 for m in measured)


def test_a_model_without_batchnorm_is_trained(data: Path, tmp_path: Path) -> None:
    class Trainer(ClippedTrainer.for_task("detect")):  # type: ignore[misc]
        def get_model(self, *args: Any, **kwargs: Any) -> Any:
            return without_batchnorm(super().get_model(*args, **kwargs))

        def final_eval(self) -> None:
            """Ultralytics would fuse BatchNorm into the layers here, where there is none."""

        def validate(self) -> Any:
            return {}, 0.0

    chosen = {
        "model": "yolov8n.yaml",
        "data": str(data),
        "imgsz": 64,
        "project": str(tmp_path),
        "save": False,
    }
    trainer = Trainer(overrides=RUN | chosen)
    trainer.train()
    norms = (Path(trainer.save_dir) / "grad_norms.csv").read_text().splitlines()
    assert len(norms) > 1


def test_rt_detr_is_trained_and_probed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"{key}={value}" for key, value in RUN.items() if key != "device"]
    run = [f"project={tmp_path}", "name=one", "--device=cpu"]
    assert sanitize(["train", str(data), "--model", tiny_rt_detr(tmp_path), *arguments, *run]) == 0
    assert "0 were skipped as not finite" in capsys.readouterr().out
    header, *norms = (tmp_path / "one" / "grad_norms.csv").read_text().splitlines()
    assert "giou_loss" in header
    assert norms
    weights = str(tmp_path / "one" / "weights" / "last.pt")
    assert head_of_file(weights) == "RTDETRDecoder"
    out = tmp_path / "out"
    probe = ["probe", str(data), "--model", weights, "--budget=0steps", "imgsz=128", "--out", str(out)]
    assert sanitize([*probe, "--device=cpu"]) in (0, 1)
    lines = (out / "boxes.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) == 1 + 4, "each of the four label rows has a share"
