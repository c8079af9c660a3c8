"""The clipped step on a small model: its order, what it skips, and what it tells."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics.engine.trainer import BaseTrainer  # noqa: E402
from ultralytics.utils.torch_utils import ModelEMA  # noqa: E402

from sanitizer.train.adaptive_clip import AdaptiveClip  # noqa: E402
from sanitizer.train.clipped_step import ClippedStep, StepRecord  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.probe

LR = 0.1


class BareTrainer:
    """As much of Ultralytics' trainer as a step needs; its optimizer step is the real one."""

    optimizer_step = BaseTrainer.optimizer_step

    def __init__(self, scaler: Any = None, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.device = torch.device("cpu")
        self.model = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=0.9)
        self.scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
        self.ema = ModelEMA(self.model)
        self.epoch = 0
        self.loss = self.loss_items = None

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch

    def train_on(self, batch: dict[str, Any], step: bool = True, autocast: bool = False) -> None:
        """One turn of the trainer's loop."""
        batch = self.preprocess_batch(batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            error = (self.model(batch["img"]) ** 2).mean()
        self.loss, self.loss_items = error * len(batch["img"]), {"error": error.detach()}
        self.scaler.scale(self.loss).backward()
        if step:
            self.optimizer_step()


class ClippedBareTrainer(ClippedStep, BareTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.records: list[StepRecord] = []
        self.step_listeners.append(self.records.append)


def batch(seed: int = 0, value: float | None = None) -> dict[str, Any]:
    images = 10 * torch.randn(4, 6, generator=torch.Generator().manual_seed(seed))
    if value is not None:
        images[2] = value
    return {"img": images, "im_file": tuple(f"{seed}-{i}.jpg" for i in range(4))}


def cpu_scaler(scale: float = 1024.0) -> Any:
    return torch.amp.GradScaler("cpu", init_scale=scale)


def state(trainer: BareTrainer) -> dict[str, Any]:
    """Everything that a skipped step must leave alone."""
    momentum = [s["momentum_buffer"] for s in trainer.optimizer.state.values()]
    tensors = {
        **{f"model.{k}": v for k, v in trainer.model.state_dict().items() if v.is_floating_point()},
        **{f"ema.{k}": v for k, v in trainer.ema.ema.state_dict().items()},
        **{f"momentum.{i}": v for i, v in enumerate(momentum)},
    }
    return {name: tensor.clone() for name, tensor in tensors.items()} | {"updates": trainer.ema.updates}


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        same = torch.equal(one[name], other[name]) if torch.is_tensor(one[name]) else one[name] == other[name]
        assert same, name


def inject(trainer: BareTrainer, value: float) -> None:
    """Make one number of the next gradient not finite, behind the loss."""
    weight = next(iter(trainer.model.parameters()))

    def spoil(grad: Any) -> Any:
        handle.remove()
        grad = grad.clone()
        grad[0, 0] = value
        return grad

    handle = weight.register_hook(spoil)


@pytest.mark.parametrize("scaler", [None, cpu_scaler], ids=["float32", "grad-scaler"])
def test_with_the_limit_of_ultralytics_the_step_is_the_step_of_ultralytics(scaler: Any) -> None:
    plain, clipped = BareTrainer(scaler and scaler()), ClippedBareTrainer(scaler and scaler())
    clipped.max_grad_norm = 10.0
    for seed in range(6):
        for trainer in (plain, clipped):
            trainer.train_on(batch(seed))
    assert_equal(state(plain), state(clipped))
    assert {r.clip_coefficient < 1 for r in clipped.records} == {True, False}, "some steps clipped, some not"


def test_gradients_are_clipped_after_they_are_unscaled() -> None:
    """Clipped before, a gradient 1024 times too large would be cut to 1 / 1024 of the limit."""
    trainer = ClippedBareTrainer(cpu_scaler(1024.0))
    trainer.max_grad_norm = 0.5
    before = [p.detach().clone() for p in trainer.model.parameters()]
    unscaled = BareTrainer()
    unscaled.train_on(batch(), step=False)
    gradients = [p.grad.clone() for p in unscaled.model.parameters()]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert norm > 0.5

    trainer.train_on(batch())
    moved_to = [p.detach() for p in trainer.model.parameters()]
    moved = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(moved_to, before, strict=True)))
    assert moved == pytest.approx(LR * 0.5, rel=1e-4)
    for parameter, old, gradient in zip(trainer.model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - LR * gradient * 0.5 / norm, rtol=1e-4, atol=1e-6)
    (record,) = trainer.records
    assert record.grad_norm == pytest.approx(norm, rel=1e-4)
    assert record.clip_coefficient == pytest.approx(0.5 / norm, rel=1e-4)
    assert record.amp_scale == 1024.0


def test_the_order_is_unscale_clip_step_update(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    trainer = ClippedBareTrainer(cpu_scaler())

    def spy(owner: object, name: str, label: str) -> None:
        original = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            calls.append(label)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, called)

    spy(trainer.scaler, "unscale_", "unscale")
    spy(torch.nn.utils, "clip_grad_norm_", "clip")
    spy(trainer.scaler, "step", "step")
    spy(trainer.scaler, "update", "update")
    spy(trainer.optimizer, "zero_grad", "zero_grad")
    spy(trainer.ema, "update", "ema")
    trainer.train_on(batch())
    assert calls == ["unscale", "clip", "step", "update", "zero_grad", "ema"]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan], ids=str)
@pytest.mark.parametrize("precision", ["float32", "autocast"])
def test_a_gradient_that_is_not_finite_skips_the_step(precision: str, value: float) -> None:
    autocast = precision == "autocast"
    trainer = ClippedBareTrainer(cpu_scaler() if autocast else None)
    trainer.adaptive_clip = AdaptiveClip(50, first=1)
    trainer.train_on(batch(0), autocast=autocast)
    before, limit = state(trainer), trainer.adaptive_clip.limit(1.0)

    inject(trainer, value)
    trainer.train_on(batch(1), autocast=autocast)
    assert_equal(before, state(trainer))
    skipped = trainer.records[-1]
    assert skipped.skipped and not math.isfinite(skipped.grad_norm) and skipped.clip_coefficient == 0
    assert math.isfinite(skipped.loss)
    assert skipped.images == ("1-0.jpg", "1-1.jpg", "1-2.jpg", "1-3.jpg")
    assert trainer.adaptive_clip.limit(1.0) == limit
    assert trainer.scaler.get_scale() == (512.0 if autocast else 1.0)

    trainer.train_on(batch(2), autocast=autocast)
    assert not trainer.records[-1].skipped
    assert all(p.isfinite().all() for p in trainer.model.parameters())
    assert not torch.equal(before["model.0.weight"], trainer.model[0].weight)


@pytest.mark.parametrize("value", [math.inf, math.nan], ids=str)
def test_plain_ultralytics_does_not_survive_such_a_gradient_in_float32(value: float) -> None:
    trainer = BareTrainer()
    inject(trainer, value)
    trainer.train_on(batch())
    assert not all(p.isfinite().all() for p in trainer.model.parameters())


def test_finite_gradients_whose_norm_overflows_skip_the_step() -> None:
    trainer = ClippedBareTrainer()
    trainer.train_on(batch(0))
    before = state(trainer)
    for weight in trainer.model.parameters():
        weight.register_hook(lambda grad: torch.full_like(grad, 3e38))
    trainer.train_on(batch(1))
    assert trainer.records[-1].grad_norm == math.inf
    assert_equal(before, state(trainer))


def test_a_batch_that_is_not_finite_leaves_no_trace_in_running_statistics() -> None:
    trainer = ClippedBareTrainer()
    trainer.train_on(batch(0))
    before = state(trainer)
    trainer.train_on(batch(1), step=False)
    trainer.train_on(batch(2, value=math.nan))
    assert math.isnan(trainer.records[-1].loss)
    assert_equal(before, state(trainer))
    trainer.train_on(batch(3))
    assert not torch.equal(before["model.1.running_mean"], trainer.model[1].running_mean)


def test_a_record_tells_of_all_batches_gathered_into_its_step() -> None:
    trainer = ClippedBareTrainer()
    losses = []
    for seed in (0, 1, 2):
        trainer.train_on(batch(seed), step=seed == 2)
        losses.append(float(trainer.loss.detach()))
    trainer.train_on(batch(3))
    first, second = trainer.records
    assert first.loss == pytest.approx(sum(losses) / 3)
    assert first.loss_items == {"error": pytest.approx(sum(losses) / 12)}
    assert first.images == tuple(f"{seed}-{i}.jpg" for seed in (0, 1, 2) for i in range(4))
    assert second.images == tuple(f"3-{i}.jpg" for i in range(4))
    assert (first.step, second.step) == (0, 1)
    assert first.lr == LR


def test_adaptive_clipping_takes_its_limit_from_past_norms() -> None:
    trainer = ClippedBareTrainer()
    trainer.max_grad_norm, trainer.adaptive_clip = 3.0, AdaptiveClip(0, first=2)
    for seed in range(3):
        trainer.train_on(batch(seed))
    norms = [r.grad_norm for r in trainer.records]
    assert [r.max_grad_norm for r in trainer.records] == [3.0, 3.0, pytest.approx(min(norms[:2]))]


def test_the_tiles_of_a_mosaic_are_named() -> None:
    trainer = ClippedBareTrainer()
    tiles = batch(0) | {"sources": (("a.jpg", "b.jpg"), ("c.jpg",), ("a.jpg",), ("d.jpg",))}
    trainer.train_on(tiles)
    assert trainer.records[0].images == ("a.jpg", "b.jpg", "c.jpg", "a.jpg", "d.jpg")


def _one_of_two(rank: int, folder: str) -> None:
    """A process of two: the gradient of rank 1 alone is not finite in step 1."""
    import os

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    trainer = ClippedBareTrainer()
    trainer.max_grad_norm = 1.0
    trainer.model = torch.nn.parallel.DistributedDataParallel(trainer.model)
    for step in range(3):
        spoilt = math.nan if (rank, step) == (1, 1) else None
        trainer.train_on(batch(10 * rank + step, spoilt))
    weights = [p.detach() for p in trainer.model.parameters()]
    torch.save({"records": [vars_of(r) for r in trainer.records], "weights": weights}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def vars_of(record: StepRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in StepRecord.__dataclass_fields__}


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over a file store")
def test_two_processes_see_one_norm_and_skip_the_same_step(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for mine, theirs in zip(one["records"], other["records"], strict=True):
        assert str(mine["grad_norm"]) == str(theirs["grad_norm"])
        assert mine["clip_coefficient"] == theirs["clip_coefficient"]
    assert (
        [r["skipped"] for r in one["records"]]
        == [r["skipped"] for r in other["records"]]
        == [False, True, False]
    )
    assert set(one["records"][1]["images"]) == {f"{n}-{i}.jpg" for n in (1, 11) for i in range(4)}
    for mine, theirs in zip(one["weights"], other["weights"], strict=True):
        assert torch.equal(mine, theirs)
        assert mine.isfinite().all()
