"""Shares and norms of images and label lines, against plain backward passes through the real models."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

from sanitizer.dataset.layout import find_dataset  # noqa: E402
from sanitizer.probe.attribution import attribute  # noqa: E402
from sanitizer.probe.data import ReadOnlyDataset  # noqa: E402
from sanitizer.probe.model import build_model  # noqa: E402
from sanitizer.probe.outputs import freeze_batchnorm, named_outputs  # noqa: E402
from sanitizer.probe.samples import read_samples  # noqa: E402

pytestmark = [pytest.mark.ultralytics, pytest.mark.slow]

CASES = [
    ("ultralytics_coco8", "detect", "yolov8n.yaml"),
    ("ultralytics_coco8", "detect", "yolo11n.yaml"),
    ("ultralytics_coco8", "detect", "yolo26n.yaml"),
    ("ultralytics_coco8-seg", "segment", "yolov8n-seg.yaml"),
    ("ultralytics_coco8-seg", "segment", "yolo26n-seg.yaml"),
    ("ultralytics_coco8-pose", "pose", "yolov8n-pose.yaml"),
    ("ultralytics_coco8-pose", "pose", "yolo26n-pose.yaml"),
    ("ultralytics_dota8", "obb", "yolov8n-obb.yaml"),
    ("ultralytics_dota8", "obb", "yolo26n-obb.yaml"),
]


def prepared(shared_data, name, task, cfg, imgsz=128):
    """(model, criterion, batch) of a published set's training images."""
    dataset = find_dataset([os.path.join(shared_data, name, "data.yaml")])
    spec = dataset.task_spec(task)
    samples = read_samples(dataset, spec, "train")
    settings = get_cfg(DEFAULT_CFG, {"imgsz": imgsz, "task": task})
    data = {
        "names": dict(dataset.names),
        "nc": dataset.nc,
        "channels": 3,
        "kpt_shape": list(dataset.kpt_shape),
    }
    items = ReadOnlyDataset(samples, data=data, task=task, imgsz=imgsz, augment=False, hyp=settings)
    batch = ReadOnlyDataset.collate_fn([items[i] for i in range(len(items))])
    batch["img"] = batch["img"].float() / 255
    torch.manual_seed(0)
    model = build_model(cfg, spec)
    model.args = settings
    freeze_batchnorm(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".dfl" not in name)
    return model, model.init_criterion(), batch


@pytest.mark.parametrize(("name", "task", "cfg"), CASES)
def test_shares_and_norms_equal_plain_backward_passes(shared_data, name, task, cfg):
    model, criterion, batch = prepared(shared_data, name, task, cfg)
    found = attribute(model, criterion, batch)

    preds = model(batch["img"])
    outputs = {k: out for k, out in named_outputs(preds).items() if out.requires_grad}
    weights = [p for p in model.parameters() if p.requires_grad]
    parts = [
        torch.autograd.grad(
            [out[i] for out in outputs.values()],
            weights,
            [found.loss.gradient[k][i] for k in outputs],
            retain_graph=True,
            allow_unused=True,
        )
        for i in range(len(batch["img"]))
    ]
    flat = torch.stack([torch.cat([g.flatten().double() for g in p if g is not None]) for p in parts])
    total = flat.sum(0)
    torch.testing.assert_close(found.image_norm, flat.norm(dim=1), rtol=1e-4, atol=0)
    assert found.grad_norm == pytest.approx(total.norm().item(), rel=1e-4)
    torch.testing.assert_close(found.image_share, flat @ total / (total @ total), rtol=1e-3, atol=1e-4)
    assert found.image_share.sum().item() == pytest.approx(1, abs=1e-3)
    by_part = found.row_share.sum(1) + found.background_share + found.other_share
    torch.testing.assert_close(by_part, found.image_share, rtol=0, atol=1e-3)


def test_the_loss_is_the_one_that_training_has(shared_data):
    model, criterion, batch = prepared(shared_data, "ultralytics_coco8", "detect", "yolov8n.yaml")
    found = attribute(model, criterion, batch)
    loss, items = criterion(model(batch["img"]), batch)
    loss.sum().backward()
    norm = sum((p.grad.double() ** 2).sum() for p in model.parameters() if p.grad is not None) ** 0.5
    assert found.loss.total == pytest.approx(loss.sum().item(), rel=1e-5)
    assert found.loss.items == pytest.approx({k: float(v) for k, v in items.items()}, rel=1e-5)
    assert found.grad_norm == pytest.approx(float(norm), rel=1e-4)
