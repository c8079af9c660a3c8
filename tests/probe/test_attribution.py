"""Shares and norms of images and label lines, against plain backward passes through the real models."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from tiny_sets import tiny_rt_detr  # noqa: E402
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

from sanitizer.archives.finding import find_dataset  # noqa: E402
from sanitizer.probe.gradients.attribution import attribute  # noqa: E402
from sanitizer.probe.gradients.folding import FoldedConv2d, fold  # noqa: E402
from sanitizer.probe.gradients.outputs import freeze_batchnorm, named_outputs  # noqa: E402
from sanitizer.ultra.adapter.criteria import named_criterion  # noqa: E402
from sanitizer.ultra.model import build_model, is_detr  # noqa: E402
from sanitizer.ultra.probe_dataset import ReadOnlyDataset, read_only_dataset  # noqa: E402
from sanitizer.ultra.samples import read_samples  # noqa: E402

pytestmark = [pytest.mark.ultralytics, pytest.mark.slow]

CASES = [
    ("ultralytics_coco8", "detect", "yolov8n.yaml"),
    ("ultralytics_coco8", "detect", "yolo11n.yaml"),
    ("ultralytics_coco8", "detect", "yolov10n.yaml"),
    ("ultralytics_coco8", "detect", "yolo26n.yaml"),
    ("ultralytics_coco8", "detect", "tiny RT-DETR"),
    ("ultralytics_coco8-seg", "segment", "yolov8n-seg.yaml"),
    ("ultralytics_coco8-seg", "segment", "yolo11n-seg.yaml"),
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
    torch.manual_seed(0)
    model = build_model(cfg, spec)
    model.args = settings
    items = read_only_dataset(
        is_detr(model), samples, data=data, task=task, imgsz=imgsz, augment=False, hyp=settings
    )
    batch = ReadOnlyDataset.collate_fn([items[i] for i in range(len(items))])
    batch["img"] = batch["img"].float() / 255
    freeze_batchnorm(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".dfl" not in name)
    return model, named_criterion(model), batch


@pytest.mark.parametrize(("name", "task", "cfg"), CASES)
def test_shares_and_norms_equal_plain_backward_passes(shared_data, tmp_path, name, task, cfg):
    cfg = tiny_rt_detr(tmp_path) if cfg == "tiny RT-DETR" else cfg
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
    folded = attribute(fold(model), criterion, batch)
    torch.testing.assert_close(folded.image_norm, found.image_norm, rtol=1e-3, atol=0)
    torch.testing.assert_close(folded.image_share, found.image_share, rtol=0, atol=1e-3)
    torch.testing.assert_close(folded.row_share, found.row_share, rtol=0, atol=1e-3)
    if cfg in ("yolov8n-seg.yaml", "yolo11n-seg.yaml"):  # all that flows through the prototypes has its line
        torch.testing.assert_close(found.other_share, torch.zeros_like(found.other_share), rtol=0, atol=1e-4)


def test_the_loss_is_the_one_that_training_has(shared_data):
    model, criterion, batch = prepared(shared_data, "ultralytics_coco8", "detect", "yolov8n.yaml")
    found = attribute(model, criterion, batch)
    loss, items = criterion(model(batch["img"]), batch)
    loss.sum().backward()
    norm = sum((p.grad.double() ** 2).sum() for p in model.parameters() if p.grad is not None) ** 0.5
    assert found.loss.total == pytest.approx(loss.sum().item(), rel=1e-5)
    assert found.loss.items == pytest.approx({k: float(v) for k, v in items.items()}, rel=1e-5)
    assert found.grad_norm == pytest.approx(float(norm), rel=1e-4)


def test_a_lines_share_is_what_its_own_loss_puts_into_the_gradient(shared_data):
    """Masks: the prototypes' part of a line is found again by a loss in which its anchors alone count."""
    model, criterion, batch = prepared(shared_data, "ultralytics_coco8-seg", "segment", "yolov8n-seg.yaml")
    found = attribute(model, criterion, batch)
    assignment = found.loss.assignments[""]
    real, image = criterion.wrapped.single_mask_loss, int(assignment.foreground.sum(1).argmax())
    row = int(assignment.target[image][assignment.foreground[image]].mode().values)
    visited = assignment.foreground.any(1).nonzero()[:, 0].tolist()
    chosen = assignment.target[image][assignment.foreground[image]] == row
    calls = []

    def others_only(gt_mask, pred, proto, xyxy, area):
        keep = ~chosen if visited[len(calls)] == image else torch.ones(len(pred), dtype=torch.bool)
        calls.append(1)
        return real(gt_mask[keep], pred[keep], proto, xyxy[keep], area[keep])

    def gradient(mask_loss):
        criterion.wrapped.single_mask_loss = mask_loss
        preds = model(batch["img"])
        outputs = {k: o.detach().requires_grad_() for k, o in named_outputs(preds).items()}
        from sanitizer.probe.gradients.outputs import with_outputs

        loss, _ = criterion(with_outputs(preds, outputs), batch)
        d = torch.autograd.grad(loss.sum(), outputs["proto"])[0]
        grads = torch.autograd.grad(
            preds["proto"], [p for p in model.parameters() if p.requires_grad], d, allow_unused=True
        )
        return {
            n: g
            for (n, _), g in zip(
                ((n, p) for n, p in model.named_parameters() if p.requires_grad), grads, strict=True
            )
            if g is not None
        }

    with_row, without_row = gradient(real), gradient(others_only)
    whole = _total_gradient(model, criterion, real, batch)
    through_prototypes = sum(((with_row[n] - without_row[n]) * whole[n]).sum() for n in with_row)
    anchors = assignment.foreground[image] & (assignment.target[image] == row)
    from sanitizer.probe.gradients import attribution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "prototype_shares", lambda *_: {})
        plain = attribution.attribute(model, criterion, batch)
    difference = (found.anchor_share[""] - plain.anchor_share[""])[image, anchors].sum()
    expected = through_prototypes / found.grad_norm**2
    torch.testing.assert_close(difference.float(), expected.float(), rtol=1e-3, atol=1e-5)
    assert abs(difference) > 1e-4


def _total_gradient(model, criterion, mask_loss, batch):
    criterion.wrapped.single_mask_loss = mask_loss
    model.zero_grad()
    criterion(model(batch["img"]), batch)[0].sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("cfg", ["yolov8n.yaml", "yolo11n.yaml"])
def test_a_folded_model_is_the_same_function_with_the_same_gradient(shared_data, cfg):
    """Statistics and scales far from their starting values, so that a slip in any of them shows."""
    model, criterion, batch = prepared(shared_data, "ultralytics_coco8", "detect", cfg)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    model.model[2].cv1.bn.weight.requires_grad_(False)
    folded = fold(model)
    layers = [m for m in folded.modules() if isinstance(m, FoldedConv2d)]
    assert len(layers) > 50
    with torch.no_grad():
        for name, out in named_outputs(model(batch["img"])).items():
            torch.testing.assert_close(
                named_outputs(folded(batch["img"]))[name], out, rtol=1e-3, atol=1e-3 * float(out.abs().max())
            )
    plain, quick = attribute(model, criterion, batch), attribute(folded, criterion, batch)
    assert quick.grad_norm == pytest.approx(plain.grad_norm, rel=1e-3)
    torch.testing.assert_close(quick.image_norm, plain.image_norm, rtol=1e-3, atol=0)
    torch.testing.assert_close(quick.image_share, plain.image_share, rtol=0, atol=1e-3)
    torch.testing.assert_close(quick.row_share, plain.row_share, rtol=0, atol=1e-3)
    assert quick.image_share.sum().item() == pytest.approx(1, abs=1e-3)
