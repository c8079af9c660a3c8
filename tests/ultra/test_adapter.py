"""Old shapes of Ultralytics, made here, and one old version itself where one is given.

SANITIZE_OLD_ULTRALYTICS names a folder as `pip install --no-deps --target FOLDER ultralytics==8.3.200` leaves it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.probe.gradients.one_of_batch import one_image  # noqa: E402
from sanitizer.train.clipped_step import ClippedStep, StepRecord  # noqa: E402
from sanitizer.train.failures import Failures  # noqa: E402
from sanitizer.train.trainer import ClippedTrainer  # noqa: E402
from sanitizer.ultra.adapter import requirement  # noqa: E402
from sanitizer.ultra.adapter.detr import DetrLoss, sampled  # noqa: E402
from sanitizer.ultra.adapter.families import task_of  # noqa: E402
from sanitizer.ultra.adapter.heads import name_outputs  # noqa: E402
from sanitizer.ultra.adapter.losses import NamedLoss, items_of, named_items  # noqa: E402
from sanitizer.ultra.adapter.requirement import OLDEST, RequirementError, check_installed  # noqa: E402
from sanitizer.ultra.library import BaseTrainer  # noqa: E402
from sanitizer.ultra.model import ModelError  # noqa: E402

pytestmark = pytest.mark.probe

REPOSITORY = Path(__file__).parents[2]

# Loss parts


def test_loss_parts_of_a_tensor_get_the_trainers_names() -> None:
    assert named_items(torch.tensor([1.0, 2.0]), ("box_loss", "cls_loss", "dfl_loss")) == {
        "box_loss": torch.tensor(1.0),
        "cls_loss": torch.tensor(2.0),
    }
    assert list(named_items(torch.tensor([1.0, 2.0]), ("box_loss",))) == ["box_loss", "loss_2"]
    assert list(named_items(torch.tensor(3.0), ())) == ["loss_1"], "a loss of one part is no list"


def test_loss_parts_of_a_dictionary_stay() -> None:
    parts = {"box_loss": torch.tensor(1.0)}
    assert named_items(parts, ("other",)) is parts


class V8DetectionLoss:
    """The loss of 8.3: it takes lists, and its parts have no names."""

    assigner = "its own"

    def __call__(self, maps: list[Any], batch: dict[str, Any]) -> tuple[Any, Any]:
        self.maps = maps
        return torch.ones(3), torch.tensor([1.0, 2.0, 3.0])


V8DetectionLoss.__name__ = "v8DetectionLoss"


def test_a_criterion_of_an_old_version_has_names_and_is_otherwise_itself() -> None:
    named = NamedLoss(V8DetectionLoss(), lambda outputs: list(outputs.values()))
    _, items = named({"boxes": 5}, {})
    assert items == {"box_loss": 1, "cls_loss": 2, "dfl_loss": 3}
    assert named.maps == [5]
    assert named.assigner == "its own"


# Heads


class Detect(torch.nn.Module):
    """A head of 8.3: it puts its maps into the list that it gets, and returns this list."""

    nc, reg_max = 2, 1

    def __init__(self, is_end2end: bool = False) -> None:
        super().__init__()
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(3, 6, 1) for _ in range(2))
        self.end2end = is_end2end

    def forward(self, x: list[Any]) -> Any:
        one2one = [conv(m.detach()) for conv, m in zip(self.convs, x, strict=True)]
        for i, conv in enumerate(self.convs):
            x[i] = conv(x[i])
        return {"one2many": x, "one2one": one2one} if self.end2end else x


class Segment(Detect):
    """What the task adds stands behind the maps."""

    def forward(self, x: list[Any]) -> Any:
        coefficients = torch.ones(len(x[0]), 4, sum(m[0, 0].numel() for m in x))
        return super().forward(x), coefficients, torch.zeros(len(x[0]), 4, 9, 9)


def maps() -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, side, side + 1, generator=generator) for side in (4, 2)]


@pytest.mark.parametrize("head", [Detect(), Detect(is_end2end=True), Segment()])
def test_outputs_get_names_and_go_back_into_lists(head: Any) -> None:
    plain = head(maps())
    restore = name_outputs(head)
    named = head(maps())
    for outputs in named.values() if head.end2end else [named]:
        assert outputs["boxes"].shape == (2, 4, 4 * 5 + 2 * 3)
        assert outputs["scores"].shape == (2, 2, 26)
        assert all(map(torch.equal, outputs["feats"], maps())), "the maps that the head got, not its own"
    torch.testing.assert_close(restore(named), plain)
    if isinstance(head, Segment):
        assert named["proto"].shape == (2, 4, 9, 9)


# One image of a batch


def test_one_image_keeps_the_size_that_losses_of_8_4_0_ask_for() -> None:
    batch = {
        "img": torch.zeros(2, 3, 8, 8), "batch_idx": torch.tensor([0.0, 1, 1]), "cls": torch.zeros(3, 1),
        "bboxes": torch.zeros(3, 5), "resized_shape": ((8, 8), (8, 8)),
    }  # fmt: skip
    part = one_image(batch, 1, overlap=True)
    assert len(part["cls"]) == 2 and part["resized_shape"] == ((8, 8),)


# The trainer


class OldTrainer:
    """A trainer without the hooks that later ones have, whose loss parts are a tensor."""

    loss_names = ("box_loss", "cls_loss")

    def __init__(self) -> None:
        self.device, self.model, self.ema, self.epoch = torch.device("cpu"), torch.nn.Linear(2, 1), None, 0
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch


class ClippedOldTrainer(ClippedStep, OldTrainer):
    pass


def test_a_step_of_an_old_trainer_is_recorded_with_named_parts() -> None:
    trainer: Any = ClippedOldTrainer()
    records: list[StepRecord] = []
    trainer.step_listeners.append(records.append)
    batch = trainer.preprocess_batch({"img": torch.ones(1, 2), "im_file": ("a.jpg",)})
    trainer.loss, trainer.loss_items = trainer.model(batch["img"]).sum(), torch.tensor([1.5, 0.5])
    trainer.loss.backward()
    trainer.optimizer_step()
    assert records[0].loss_items == {"box_loss": 1.5, "cls_loss": 0.5}
    assert items_of(trainer) == {"box_loss": 1.5, "cls_loss": 0.5}
    assert not hasattr(OldTrainer, "_handle_nan_recovery"), "or this is no old trainer"


class ForgetfulTrainer(OldTrainer):
    """Its arguments lose `save_dir` before those of a resumed run are taken up."""

    def __init__(self, overrides: dict[str, Any], _callbacks: Any = None) -> None:
        super().__init__()
        overrides.pop("save_dir")
        self.args = SimpleNamespace(save_dir="that of another machine")
        self.check_resume(overrides)

    def check_resume(self, _overrides: dict[str, Any]) -> None:
        pass


def test_a_run_lies_where_it_was_asked_for() -> None:
    class Trainer(ClippedTrainer, ForgetfulTrainer, BaseTrainer):  # type: ignore[misc]
        pass

    assert Trainer(overrides={"save_dir": "here"}).args.save_dir == "here"


def test_the_mean_of_loss_parts_may_be_a_tensor() -> None:
    failures = Failures()
    failures.step_was_good(torch.tensor([1.0, 2.0]))
    assert failures.good_tloss is not None


# RT-DETR


def test_sampling_is_that_of_pytorch_and_has_a_forward_mode() -> None:
    import torch.autograd.forward_ad as fwad

    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    grid = torch.randn(2, 4, 6, 2, generator=generator, dtype=torch.float64)
    real = torch.nn.functional.grid_sample(values, grid, align_corners=False)
    torch.testing.assert_close(sampled(values, grid), real)
    with fwad.dual_level():
        step = torch.ones_like(grid)
        moved = sampled(values, fwad.make_dual(grid, step))
        tangent = fwad.unpack_dual(moved).tangent
    near = (sampled(values, grid + 1e-7 * step) - real) / 1e-7
    torch.testing.assert_close(tangent, near, rtol=1e-4, atol=1e-4)


class Matcher(torch.nn.Module):
    """Query 2 of the first image is row 0; of the second image query 0 is row 2, and query 1 is row 1."""

    def forward(self, *_: Any) -> list[Any]:
        one, two = torch.tensor, torch.tensor
        return [(one([2]), one([0])), (two([0, 1]), two([2, 1]))]


class MatchedLoss:
    def __init__(self) -> None:
        self.matcher = Matcher()

    def __call__(self, preds: tuple[Any, Any], targets: dict[str, Any]) -> dict[str, Any]:
        boxes, _scores = preds
        assert targets["gt_groups"] == [1, 2]
        for _ in boxes:
            self.matcher()
        return {"loss_giou": boxes.sum(), "loss_class": boxes.sum() * 0, "loss_bbox": boxes.sum() * 0}


def test_the_matching_is_told_as_yolos_assigner_tells_it() -> None:
    loss = DetrLoss(MatchedLoss())
    told: list[Any] = []
    loss.last.assigner.register_forward_hook(lambda _m, inputs, found: told.append((inputs, found)))
    loss.earlier.assigner.register_forward_hook(lambda _m, inputs, found: told.append((inputs, found)))
    boxes = torch.full((2, 4, 3), 0.5)
    preds = {
        "last": {"boxes": boxes, "scores": torch.zeros(2, 2, 3)},
        "earlier": {"boxes": torch.cat([boxes, boxes], 2), "scores": torch.zeros(2, 2, 6)},
    }
    batch = {
        "img": torch.zeros(2, 3, 10, 20), "batch_idx": torch.tensor([0.0, 1, 1]),
        "cls": torch.tensor([[0.0], [1], [0]]), "bboxes": torch.full((3, 4), 0.5),
    }  # fmt: skip
    total, items = loss(preds, batch)
    assert list(items) == ["giou_loss", "cls_loss", "l1_loss"]
    assert float(total) == 2 * 36, "times the batch size"
    (inputs, (*_, weights, foreground, target)), (_, (*_, earlier, _)) = told
    assert foreground.tolist() == [[False, False, True], [True, True, False]]
    assert target[1].tolist()[:2] == [1, 0], "rows are numbered in their image"
    assert weights.sum() == 3
    assert inputs[1][0, 0].tolist() == [5.0, 2.5, 15.0, 7.5], "xyxy in input pixels"
    assert earlier.sum() == 6


# Sentences


@pytest.mark.parametrize("version", ["8.3.199", "8.2.103", "8.0.239"])
def test_older_versions_are_refused_in_one_sentence(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirement, "installed_version", lambda: version)
    with pytest.raises(RequirementError) as refused:
        check_installed("a probe")
    assert str(refused.value) == (
        f"Ultralytics {version} is installed, and 8.3.200 or newer is needed for a probe: pip install -U ultralytics"
    )


def test_the_extra_and_the_guide_name_the_oldest_version() -> None:
    assert f"ultralytics>={OLDEST}" in (REPOSITORY / "pyproject.toml").read_text("utf-8")
    for page in ("README.md", "scripts/docs/pages/guides/models.md"):
        assert f"{OLDEST} or newer" in (REPOSITORY / page).read_text("utf-8")


@pytest.mark.parametrize("version", [OLDEST, "8.4.0", "8.4.190", "9.0.0", None])
def test_others_are_taken(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirement, "installed_version", lambda: version)
    check_installed()


@pytest.mark.parametrize("command", ["probe", "preflight", "train"])
def test_commands_say_so_before_anything_starts(command: str, tmp_path: Path) -> None:
    (tmp_path / "ultralytics").mkdir()
    (tmp_path / "ultralytics" / "__init__.py").write_text(
        '__version__ = "8.2.103"\nraise SystemExit("imported")\n'
    )
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    done = subprocess.run(
        [sys.executable, "-m", "sanitizer", command, "none.yaml", "--model", "yolov8n.yaml"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Ultralytics 8.2.103 is installed, and 8.3.200 or newer is needed for" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("WorldDetect", "a YOLO-World model"),
        ("YOLOESegment26", "a YOLOE model"),
        ("Classify", "a classification model is not supported"),
        ("Conv", "a model that ends in the layer Conv"),
    ],
)
def test_other_kinds_of_models_are_named(head: str, kind: str) -> None:
    with pytest.raises(ModelError, match=f"^m.pt: {kind}") as refused:
        task_of(head, "m.pt")
    assert "None" not in str(refused.value)


# An old version itself


def old_version() -> Path:
    """Folder of an old version; skips where there is none."""
    given = os.environ.get("SANITIZE_OLD_ULTRALYTICS")
    found = Path(given) if given else Path("/nowhere")
    if not (found / "ultralytics" / "__init__.py").is_file():
        pytest.skip("no old Ultralytics: SANITIZE_OLD_ULTRALYTICS names the folder of one (8.3.200 or later)")
    return found


@pytest.mark.ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_an_old_version_is_probed_and_trained(task: str, tmp_path: Path) -> None:
    folder, data = old_version(), tiny_set(tmp_path / "set", task)
    model = {"detect": "yolov8n.yaml", "segment": "yolov8n-seg.yaml"}[task]
    path = os.pathsep.join((str(folder), str(REPOSITORY)))
    environment = {**os.environ, "PYTHONPATH": path, "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "True"}

    def sanitize(*arguments: str) -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "sanitizer",
                *arguments,
                f"--model={model}",
                f"--task={task}",
                "imgsz=64",
                "batch=2",
                "--device=cpu",
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), done.stderr[-2000:]
        return done.stdout

    assert "Probed 4 of 4 training images" in sanitize("probe", str(data), "--budget=2")
    run = f"project={tmp_path / 'runs'}"
    assert "0 were skipped" in sanitize(
        "train", str(data), "epochs=1", "workers=0", "plots=False", run, "name=one"
    )
    weights = tmp_path / "runs" / "one" / "weights" / "last.pt"
    model = str(weights)
    assert "Probed 4 of 4" in sanitize("probe", str(data), "--budget=0steps"), "its own weights are loaded"
