"""The probe from end to end: what it names, what it keeps, what it survives, and that it only reads."""

from __future__ import annotations

import csv
import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

from sanitizer.archives.finding import find_dataset  # noqa: E402
from sanitizer.cli import main  # noqa: E402
from sanitizer.dataset.tables import TaskSpec  # noqa: E402
from sanitizer.probe import probing  # noqa: E402
from sanitizer.probe.gradients.measure import Measurer  # noqa: E402
from sanitizer.probe.probing import probe  # noqa: E402
from sanitizer.reports.formats import render  # noqa: E402
from sanitizer.reports.saved import parse_report  # noqa: E402
from sanitizer.ultra.model import ModelError, build_model  # noqa: E402
from sanitizer.ultra.probe_dataset import ReadOnlyDataset  # noqa: E402
from sanitizer.ultra.samples import read_samples  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.ultralytics, pytest.mark.probe]

N_IMAGES = 20
SMALL = {"imgsz": 64, "batch": 8}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of pictures with two or three squares each, red or blue, and their labels."""
    folder = tmp_path_factory.mktemp("probe") / "squares"
    rng = np.random.default_rng(0)
    for split, count in (("train", N_IMAGES), ("val", 2)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for n in range(count):
            picture = Image.fromarray(rng.integers(90, 130, (96, 128, 3), np.uint8))
            rows = []
            for k in range(2 + n % 2):
                x, y, side, red = (
                    30 * k + 20,
                    int(rng.integers(20, 70)),
                    int(rng.integers(16, 28)),
                    int(k % 2),
                )
                colour = (230, 30, 30) if red else (30, 30, 230)
                box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
                ImageDraw.Draw(picture).rectangle(box, fill=colour)
                rows.append(f"{red} {x / 128:.5f} {y / 96:.5f} {side / 128:.5f} {side / 96:.5f}\n")
            picture.save(folder / "images" / split / f"{n:02}.png")
            (folder / "labels" / split / f"{n:02}.txt").write_text("".join(rows))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [blue, red]\n")
    return folder


def files_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(p): (p.stat().st_mtime_ns, p.stat().st_mode, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder: Path) -> list[float]:
    """The gradient norms in a folder's TensorBoard events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        f"probe/{t}" for t in ("loss", "grad_norm", "clip_coefficient", "lr")
    }
    return [e.value for e in events.Scalars("probe/grad_norm")]


@pytest.fixture(scope="module")
def probed(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, bool]:
    """(result, folder of its output, whether the dataset stayed as it was)."""
    out = tmp_path_factory.mktemp("out") / "kept"
    before = files_of(squares)
    result = probe(
        squares / "data.yaml", "yolov8n.yaml", budget="1epochs", device="cpu", overrides=SMALL, out=str(out)
    )
    return result, out, files_of(squares) == before


def test_every_image_is_measured_and_nothing_is_written_into_the_dataset(probed: Any) -> None:
    result, _, untouched = probed
    assert untouched
    assert [m.index for m in result.measured] == list(range(N_IMAGES))
    assert len(result.steps) == 3
    for step in result.steps:
        assert step.grad_norm > 0
        assert 0 < step.clip_coefficient <= 1
        assert len(step.images) in (8, 4)
    assert {m.batch for m in result.measured} == {0, 1, 2}
    for batch in range(3):
        assert sum(m.share for m in result.measured if m.batch == batch) == pytest.approx(1, abs=1e-3)
    for m in result.measured:
        assert m.row_share.sum() + m.background_share == pytest.approx(m.share, abs=1e-3)
        assert set(m.loss) == {"box_loss", "cls_loss", "dfl_loss"}


def test_a_report_with_the_probe_survives_being_saved(probed: Any) -> None:
    report = probed[0].report
    assert json.loads(render(report, "json"))["schema"] == 1
    assert parse_report(render(report, "json")).findings == report.findings


def test_a_second_run_gives_the_same(squares: Path, probed: Any) -> None:
    again = probe(squares / "data.yaml", "yolov8n.yaml", budget="1epochs", device="cpu", overrides=SMALL)
    for a, b in zip(probed[0].measured, again.measured, strict=True):
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-4)
    np.testing.assert_allclose(probed[0].evidence.score, again.evidence.score, rtol=1e-3, atol=1e-3)


def test_an_interrupted_measuring_is_resumed(
    squares: Path, tmp_path: Path, probed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Measurer.measure, []

    def stop_at_third(self: Measurer, indices: Any, *number: int) -> Any:
        calls.append(len(indices))
        if len(calls) == 4:  # two go to timing a batch
            raise KeyboardInterrupt
        return real(self, indices, *number)

    run = {"budget": "1epochs", "device": "cpu", "overrides": SMALL, "out": str(tmp_path / "kept")}
    monkeypatch.setattr(Measurer, "measure", stop_at_third)
    part = probe(squares / "data.yaml", "yolov8n.yaml", **run)
    assert part.interrupted
    assert len(part.measured) == 8
    assert any("8 of 20" in note for note in part.report.notes)
    calls.clear()
    monkeypatch.setattr(Measurer, "measure", lambda self, i, *n: calls.append(len(i)) or real(self, i, *n))
    whole = probe(squares / "data.yaml", "yolov8n.yaml", resume=True, **run)
    assert calls == [8, 4]
    assert [s.images for s in whole.steps] == [s.images for s in part.steps]
    for a, b in zip(probed[0].measured, whole.measured, strict=True):
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)
    # A label that has changed since makes the state worthless.
    changed = tmp_path / "changed"
    import shutil

    shutil.copytree(squares, changed)
    (changed / "labels/train/00.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    fresh = probe(changed / "data.yaml", "yolov8n.yaml", resume=True, **run)
    assert fresh.report.notes == [n for n in fresh.report.notes if "taken up again" not in n]
    assert any("made with other images or labels" in note for note in fresh.report.notes)


def test_only_the_same_weights_and_settings_are_resumed(squares: Path, tmp_path: Path) -> None:
    """They are judged by what they are, not by the name of their file."""
    weights = tmp_path / "weights.pt"

    def save_weights(seed: int) -> None:
        torch.manual_seed(seed)
        torch.save({"model": build_model("yolov8n.yaml", TaskSpec("detect", 2))}, weights)

    def notes(**arguments: Any) -> list[str]:
        run = {
            "budget": "1steps",
            "device": "cpu",
            "overrides": SMALL | arguments,
            "out": str(tmp_path / "out"),
        }
        return probe(squares / "data.yaml", str(weights), resume=True, **run).report.notes

    def outcome(notes: list[str]) -> list[str]:
        return [note.rpartition(" with other ")[2] for note in notes if "earlier" in note]

    again = "weights of the earlier warm-up taken up again"
    save_weights(1)
    assert outcome(notes()) == []
    assert outcome(notes(workers=1)) == [again]
    for changed in ({"imgsz": 96}, {"lr0": 0.002}, {"max_grad_norm": 3.0}):
        assert outcome(notes(**changed)) == ["settings"]
    assert outcome(notes(**changed)) == [again]
    save_weights(2)
    assert outcome(notes(**changed)) == ["weights"]


@pytest.mark.parametrize(
    ("model", "arguments", "is_gentle"),
    [
        ("trained.pt", {}, True),
        ("trained.pt", {"optimizer": "auto"}, False),
        ("trained.pt", {"lr0": 1e-3}, False),
        ("yolov8n.yaml", {}, False),
    ],
)
def test_trained_weights_learn_at_a_gentle_rate_unless_the_user_says_otherwise(
    squares: Path, tmp_path: Path, model: str, arguments: dict[str, Any], is_gentle: bool
) -> None:
    if model.endswith(".pt"):
        model = str(tmp_path / model)
        torch.save({"model": build_model("yolov8n.yaml", TaskSpec("detect", 2))}, model)
    found = probe(squares / "data.yaml", model, budget="2epochs", device="cpu", overrides=SMALL | arguments)
    fastest = max(step.lr for step in found.steps)
    assert (fastest <= 2e-4) == is_gentle, fastest


def measurer_of(squares: Path, **kwargs: Any) -> Measurer:
    dataset = find_dataset([str(squares / "data.yaml")])
    spec = dataset.task_spec("detect")
    samples = read_samples(dataset, spec, "train")
    hyp = get_cfg(DEFAULT_CFG, {"imgsz": 64, "task": "detect"})
    torch.manual_seed(0)
    model = build_model("yolov8n.yaml", spec)
    model.args = hyp
    data = {"names": dict(spec.names), "nc": spec.nc, "channels": 3}
    items = ReadOnlyDataset(samples, data=data, task="detect", imgsz=64, augment=False, hyp=hyp)
    return Measurer(model, items, torch.device("cpu"), **kwargs)


def test_an_image_that_is_not_finite_is_named_and_the_others_are_measured(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurer = measurer_of(squares)
    expected = {m.index: m.grad_norm for m in measurer.measure([0, 2])}
    real = measurer._collate

    def with_nan(indices: Any) -> Any:
        batch = real(indices)
        batch["img"][[k for k, i in enumerate(indices) if i == 1]] = float("nan")
        return batch

    monkeypatch.setattr(measurer, "_collate", with_nan)
    first, bad, third = measurer.measure([0, 1, 2])
    assert bad.not_finite == "loss"
    assert bad.bad_row is None
    assert (first.not_finite, third.not_finite) == ("", "")
    assert first.grad_norm == pytest.approx(expected[0], rel=1e-4)
    assert third.grad_norm == pytest.approx(expected[2], rel=1e-4)


def test_several_devices_measure_what_one_does(
    squares: Path, probed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(probing, "pick_devices", lambda _text: [cpu, cpu])
    both = probe(squares / "data.yaml", "yolov8n.yaml", budget="1epochs", overrides=SMALL)
    for a, b in zip(probed[0].measured, both.measured, strict=True):
        assert (a.index, a.batch) == (b.index, b.batch)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)


class _WideBoxesAreNaN:
    """A criterion that a box over half of the image's width makes NaN."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, preds: Any, batch: Any) -> Any:
        loss, items = self._inner(preds, batch)
        if (batch["bboxes"][:, 2] > 0.5).any():
            return loss * float("nan"), {k: v * float("nan") for k, v in items.items()}
        return loss, items


def test_the_row_behind_a_loss_that_is_not_finite_is_named(squares: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "set"
    shutil.copytree(squares, folder)
    label = folder / "labels/train/01.txt"
    label.write_text(label.read_text() + "1 0.5 0.5 0.8 0.2\n0 0.5 0.5 0.1 0.1\n")
    measurer = measurer_of(folder)
    measurer.criterion = _WideBoxesAreNaN(measurer.criterion)
    good, bad = measurer.measure([0, 1])
    assert np.isfinite(good.grad_norm)
    assert bad.not_finite == "loss"
    assert measurer.dataset.samples[1].lines[bad.bad_row] == 4


def test_what_is_not_finite_under_amp_alone_is_told_apart(squares: Path) -> None:
    measurer = measurer_of(squares, amp_type=torch.float16)
    assert not any(m.amp_only for m in measurer.measure([0, 1]))
    first, second = measurer.model.model[0], measurer.model.model[1]
    with (
        torch.no_grad()
    ):  # the same function, but 3e38 lies between the two layers, and half precision ends at 65504
        first.bn.weight *= 1e8
        first.bn.bias *= 1e8
        second.conv.weight *= 1e-8
    measured = measurer.measure([0, 1])
    assert [m.amp_only for m in measured] == [True, True]
    assert [m.not_finite for m in measured] == ["", ""]


def test_gradients_are_the_same_where_outputs_are_not_compared(squares: Path) -> None:
    full, short = (measurer_of(squares, compares=compares).measure([0, 1]) for compares in (True, False))
    assert [m.grad_norm for m in full] == pytest.approx([m.grad_norm for m in short])
    for one, other in zip(full, short, strict=True):
        assert one.row_share == pytest.approx(other.row_share)
        assert one.signals is not None and other.signals is None and other.features is None


def test_findings_name_lines_and_say_what_the_scan_found_there(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a well-trained model: it sees every square as it is, and labels that are wrong stand out."""
    import shutil

    folder = tmp_path / "set"
    shutil.copytree(squares, folder)
    label = folder / "labels/train/03.txt"
    rows = label.read_text().splitlines()
    wrong = f"{1 - int(rows[1][0])}{rows[1][1:]}"
    label.write_text("\n".join([rows[0], wrong, *rows[2:], "0 0.5 0.5 1 1"]) + "\n")
    missing = folder / "labels/train/05.txt"
    gone = missing.read_text().splitlines()[0]
    missing.write_text("\n".join(missing.read_text().splitlines()[1:]) + "\n")
    truth = find_dataset([str(squares / "data.yaml")])
    samples = read_samples(truth, truth.task_spec("detect"), "train")
    monkeypatch.setattr("sanitizer.probe.gradients.measure.Measurer._outputs", _sees_the_truth(samples))
    result = probe(folder / "data.yaml", "yolov8n.yaml", budget="1", device="cpu", overrides=SMALL)
    found = {
        (f.rule, f.label, f.line): f for f in result.report.findings if f.rule in ("G002", "G005", "G007")
    }
    line = found["G002", "labels/train/03.txt", 2]
    assert "takes this" in line.message
    assert all(f.p is not None and f.p >= 0.5 for f in found.values())
    assert (line.class_id, line.x_center) == (int(wrong[0]), pytest.approx(float(wrong.split()[1])))
    whole = found["G007", "labels/train/03.txt", len(rows) + 1]
    assert "fires here too" in whole.message
    place = found["G005", "labels/train/05.txt", None]
    assert [place.x_center, place.y_center] == pytest.approx([float(v) for v in gone.split()[1:3]], abs=0.02)
    assert place.class_name == ("red" if gone[0] == "1" else "blue")
    assert {key[1] for key in found} == {"labels/train/03.txt", "labels/train/05.txt"}
    top = max(zip(result.judgement.combined_score(), result.measured, strict=True), key=lambda pair: pair[0])[
        1
    ]
    assert top.index == 3
    assert any("line" in reason for reason in result.judgement.reasons(3))


def test_finished_weights_judge_other_splits_without_training(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_training(*_args: object, **_settings: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("sanitizer.probe.probing.warm_up", no_training)
    before = files_of(squares)
    result = probe(
        squares / "data.yaml",
        "yolov8n.yaml",
        budget="0steps",
        device="cpu",
        overrides=SMALL,
        splits=("val", "train"),
    )
    n_val = len(list((squares / "images/val").iterdir()))
    assert not result.steps
    assert [s.split for s in result.samples] == ["val"] * n_val + ["train"] * N_IMAGES
    assert len(result.measured) == n_val + N_IMAGES
    assert files_of(squares) == before
    with pytest.raises(probing.ProbeError, match="no image of the test split"):
        probe(squares / "data.yaml", "yolov8n.yaml", budget="0", overrides=SMALL, splits=("test",))


def test_measuring_with_finished_weights_is_resumed(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"budget": "0steps", "device": "cpu", "overrides": SMALL, "out": str(tmp_path), "splits": ("val",)}
    first = probe(squares / "data.yaml", "yolov8n.yaml", **run)

    def measured_again(*_args: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(Measurer, "measure", measured_again)
    again = probe(squares / "data.yaml", "yolov8n.yaml", resume=True, **run)
    assert [m.grad_norm for m in again.measured] == [m.grad_norm for m in first.measured]


def test_other_splits_are_measured_after_training_on_train(squares: Path) -> None:
    result = probe(
        squares / "data.yaml", "yolov8n.yaml", budget="1", device="cpu", overrides=SMALL, splits=("val",)
    )
    assert len(result.steps) == 1
    assert all("/train/" in image for image in result.steps[0].images)
    assert {s.split for s in result.samples} == {"val"}


def _sees_the_truth(samples: Any) -> Callable[..., Any]:
    """Outputs in which one anchor sees each true square: probability 75 to 95 %, overlap about 90 %."""
    from sanitizer.probe.gradients.signals import Letterbox

    true_of = {Path(s.image).name: s for s in samples}

    def outputs(measurer: Any, scores: Any, assignment: Any, batch: Any) -> Any:
        probabilities = torch.full_like(scores.transpose(1, 2), 0.002)
        boxes = assignment.predicted_boxes.float().clone()
        for k, image in enumerate(batch["im_file"]):
            true = true_of[Path(image).name]
            rng = np.random.default_rng(len(image) + sum(map(ord, Path(image).name)))
            letterbox = Letterbox.of(true.width, true.height, measurer.dataset.imgsz)
            size = np.array([letterbox.width, letterbox.height])
            centre, half = true.xywh[:, :2] * size, true.xywh[:, 2:] * size / 2
            centre = centre + [letterbox.left, letterbox.top] + rng.normal(0, 0.05, centre.shape) * half
            for a, (c, h) in enumerate(zip(centre, half, strict=True)):
                boxes[k, a] = torch.from_numpy(np.r_[c - h, c + h])
                probabilities[k, a, int(true.class_id[a, 0])] = rng.uniform(0.75, 0.95)
        return probabilities, boxes, np.zeros((len(scores), 0))

    return outputs


def test_tables_and_plot_are_written(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = main(
        ["probe", str(squares / "data.yaml"), "--model", "yolov8n.yaml", "--budget", "2", "imgsz=64", "batch=8",
         "--device", "cpu", "--out", str(out), "--fail-on", "never", "--output", str(tmp_path / "f.json")]
    )  # fmt: skip
    assert status == 0
    said = capsys.readouterr()
    assert "Probed 20 of 20 training images at 64 px after 2 training steps" in said.out
    steps, images, boxes = (table(out / f"{name}.csv") for name in ("steps", "images", "boxes"))
    assert [row["step"] for row in steps] == ["0", "1"]
    assert all(float(row["grad_norm"]) > 0 and row["images"].count("images/train/") == 8 for row in steps)
    assert len(images) == N_IMAGES
    combined = [float(row["score_combined"]) for row in images]
    assert combined == sorted(combined, reverse=True)
    lines = sum(len(p.read_text().splitlines()) for p in (squares / "labels/train").iterdir())
    assert len(boxes) == lines
    assert Image.open(out / "grad_norms.png").size[0] > 800
    assert scalars(out) == pytest.approx([float(row["grad_norm"]) for row in steps], rel=1e-4)
    assert parse_report((tmp_path / "f.json").read_bytes()).task == "detect"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "none.pt"], "none.pt: there is no such file, and nothing is downloaded"),
        (["--model", "model.onnx"], "model.onnx: a model is a .pt file or a .yaml"),
        (["--model", "yolov8n.yaml", "imgs=64"], "there is no train argument 'imgs' (did you mean 'imgsz'?)"),
        (["--model", "yolov8n.yaml", "lr0=fast"], "'lr0=fast' is of invalid type"),
        (["--model", "yolov8n.yaml", "data=x"], "data is given by the first argument"),
        (["--model", "yolov8n.yaml", "--budget", "soon"], "'soon' is no budget"),
        (["--model", "yolov8n.yaml", "--device", "7"], "there is no device '7'"),
        (["--model", "yolov8n.yaml", "--resume"], "name it with --out DIR"),
        (
            ["--model", "yolov8n-seg.yaml"],
            "yolov8n-seg.yaml was made for segment, and the dataset is for detect",
        ),
        ([], "--model"),
    ],
)
def test_wrong_usage_is_one_sentence(
    squares: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", str(squares / "data.yaml"), *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch HARM",)


def test_weights_that_would_run_code_are_refused_unless_trusted(
    tmp_path: Path, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = find_dataset([str(squares / "data.yaml")]).task_spec("detect")
    torch.save({"model": _Harmful()}, "bad.pt")
    with pytest.raises(
        ModelError, match=r"bad\.pt: loading it would run code that it carries; --trust-weights"
    ):
        build_model("bad.pt", spec)
    assert not Path("HARM").exists()
    with pytest.raises(ModelError, match="holds no Ultralytics model"):
        build_model("bad.pt", spec, trust_weights=True)
    assert Path("HARM").exists()
    Path("broken.pt").write_bytes(pickle.dumps(3)[:-1])
    with pytest.raises(ModelError, match=r"broken\.pt: no checkpoint that can be read"):
        build_model("broken.pt", spec)


def test_published_weights_are_loaded_without_trust(shared_data: Path, squares: Path) -> None:
    spec = find_dataset([str(squares / "data.yaml")]).task_spec("detect")
    weights = str(shared_data / "weights" / "yolov8n.pt")
    model, fresh = build_model(weights, spec), build_model("yolov8n.yaml", spec)
    assert model.model[-1].nc == 2
    published = torch.load(weights, weights_only=False)["model"].float().state_dict()["model.0.conv.weight"]
    assert torch.equal(model.state_dict()["model.0.conv.weight"], published)
    assert not torch.equal(fresh.state_dict()["model.0.conv.weight"], published)
    with pytest.raises(ModelError, match="was made for segment, and the dataset is for detect"):
        build_model(str(shared_data / "weights" / "yolov8n-seg.pt"), spec)


@pytest.mark.parametrize("rows", ["0 0.5 0.5 0.4 0.4", "0 0.5 0.5 0.4 0.4\n1 0.4 0.4 0.2 0.2"])
def test_boxes_where_the_task_wants_polygons_are_refused(tmp_path: Path, rows: str) -> None:
    data = tiny_set(tmp_path, "segment")
    (tmp_path / "labels/train/0.txt").write_text(rows)
    with pytest.raises(probing.ProbeError, match=r"some label rows are boxes.*\(L006\)"):
        probe(data, "yolov8n-seg.yaml", task="segment", device="cpu")


def test_a_set_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "images/train/a.png")
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("7 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [a]\n")
    with pytest.raises(probing.ProbeError, match="training would keep no image of the train split"):
        probe(tmp_path / "data.yaml", "yolov8n.yaml", device="cpu")
