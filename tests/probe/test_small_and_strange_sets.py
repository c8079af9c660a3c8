"""Sets that say little: few images, equal images, no rows, no objects, all rows wrong. Every number stays a number."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.archives.finding import find_dataset  # noqa: E402
from sanitizer.cli import main  # noqa: E402
from sanitizer.config import Config  # noqa: E402
from sanitizer.probe.doubt.alike import Alike  # noqa: E402
from sanitizer.probe.doubt.calibrate import calibrate  # noqa: E402
from sanitizer.probe.doubt.choose import chosen  # noqa: E402
from sanitizer.probe.doubt.features import FEATURES, RowFeatures, row_features  # noqa: E402
from sanitizer.probe.doubt.twins import make_candidates  # noqa: E402
from sanitizer.probe.evidence import weigh  # noqa: E402
from sanitizer.probe.gradients.measured import Measured  # noqa: E402
from sanitizer.probe.gradients.outputs import Assignment  # noqa: E402
from sanitizer.probe.gradients.signals import Letterbox, different_objects, image_signals  # noqa: E402
from sanitizer.probe.judging.judgement import Judgement  # noqa: E402
from sanitizer.probe.judging.limits import notes  # noqa: E402
from sanitizer.probe.judging.naming import findings  # noqa: E402
from sanitizer.probe.measuring_pass import MeasurerSettings  # noqa: E402
from sanitizer.rules.language.pack import load_rules  # noqa: E402
from sanitizer.rules.ruleset import RuleSet  # noqa: E402
from sanitizer.ultra.library import DEFAULT_CFG, get_cfg  # noqa: E402
from sanitizer.ultra.model import build_model  # noqa: E402
from sanitizer.ultra.samples import Sample, read_samples  # noqa: E402
from sanitizer.ultra.silence import silent_ultralytics  # noqa: E402
from sanitizer.ultra.versions import spec_of  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.finding import Finding

pytestmark = pytest.mark.probe

SIDE, N_CLASSES = 320, 80
CLASSES = np.array([2, 5])
RULES = load_rules(())


class MadeSet:
    """Images with labels and with what a model sees, 0 to 1 sure."""

    def __init__(self) -> None:
        self.measured: list[Measured] = []
        self.samples: list[Sample] = []

    def add(
        self, labels: Any, seen: Any, sure: float = 0.9, trained: Any = None, alike: bool = False
    ) -> None:
        """`labels` and `seen`: rows of class, x1, y1, x2, y2, pixels; `trained`: numbers of rows that the loss used."""
        rng, k = np.random.default_rng(0 if alike else len(self.samples)), len(self.samples)
        rows, objects = (np.array(r, np.float64).reshape(-1, 5) for r in (labels, seen))
        xywh = np.c_[(rows[:, 1:3] + rows[:, 3:]) / 2, rows[:, 3:] - rows[:, 1:3]] / SIDE
        self.samples.append(
            Sample(
                f"/set/images/train/{k}.png", f"/set/labels/train/{k}.txt", "train", SIDE, SIDE,
                np.arange(1, len(rows) + 1, dtype=np.int32), rows[:, :1].astype(np.float32),
                xywh.astype(np.float32), [], None,
            )
        )  # fmt: skip
        probabilities = torch.full((len(objects) + 50, N_CLASSES), 0.001)
        boxes = torch.cat(
            [torch.from_numpy(objects[:, 1:]).float(), torch.tensor([[0.0, 0.0, 8.0, 8.0]] * 50)]
        )
        for n, c in enumerate(objects[:, 0].astype(int)):
            probabilities[n, c] = sure * float(rng.uniform(0.9, 1))
        order = np.arange(len(rows)) if trained is None else np.array(trained, np.int64)
        used, classes = rows[order], rows[order, 0].astype(np.int64)
        gt_boxes = torch.from_numpy(used[:, 1:]).float()
        a = len(probabilities)
        assignment = Assignment(
            torch.zeros(1, a, dtype=torch.bool), torch.zeros(1, a, dtype=torch.long), torch.zeros(1, a, N_CLASSES),
            torch.zeros(a, 2), boxes[None], gt_boxes[None],
        )  # fmt: skip
        letterbox, found = Letterbox(0, 0, SIDE, SIDE), different_objects(probabilities, boxes)
        signals = image_signals(
            probabilities, boxes, found, assignment, 0, torch.from_numpy(classes), gt_boxes, letterbox
        )
        made = make_candidates(classes, used[:, 1:], CLASSES, letterbox.area, rng)
        values = row_features(probabilities, boxes, found, made)
        self.measured.append(
            Measured(
                k, 0, {"box": 1.0 + 0.1 * float(rng.uniform())}, 1.0, 1.0, 0.1, np.zeros(len(rows)), 0.1, (0.5, 0.5),
                signals.placed(order, len(rows)), RowFeatures(made.kind, order[made.row], made.class_id, values),
                rng.normal(0, 1, 4),
            )
        )  # fmt: skip

    def judged(self, **chosen_rules: Any) -> tuple[Judgement, list[Finding], list[str]]:
        evidence = weigh(self.measured, self.samples, N_CLASSES)
        dataset: Any = SimpleNamespace(
            names={2: "cat"}, relative=lambda path: path and path.removeprefix("/set/")
        )
        rules = RuleSet.build(RULES, Config(**chosen_rules))
        judgement = Judgement(dataset, rules, self.samples, self.measured, evidence, {}, {}, SIDE)
        for p in (evidence.row_p, evidence.object_p):
            assert ((p >= 0) & (p <= 1)).all()
        assert np.isfinite(evidence.score).all()
        assert np.isfinite(judgement.combined_score()).all()
        assert all(
            isinstance(reason, str) for n in range(len(self.measured)) for reason in judgement.reasons(n)
        )
        return judgement, findings(judgement), notes(judgement)


def scene(rng: np.random.Generator, n: int = 6) -> list[list[float]]:
    """Boxes of about 30 px that do not touch, in two classes."""
    places = rng.permutation(36)[:n]
    corner = np.c_[places % 6, places // 6] * 52.0 + rng.uniform(2, 18, (n, 2))
    return np.c_[rng.choice(CLASSES, n), corner, corner + rng.uniform(24, 34, (n, 2))].tolist()


def shifted(rows: list[list[float]]) -> list[list[float]]:
    return [[c, x + 20, y, u + 20, v] for c, x, y, u, v in rows]


def wrong(rows: list[list[float]]) -> list[list[float]]:
    """Two rows: the first with another class, the second half over its object."""
    (c, *box), other = rows
    return [[7 - c, *box], *shifted([other])]


@pytest.mark.parametrize("n", [0, 1, 2, 6])
def test_few_images_name_nothing_and_say_why(n: int) -> None:
    made = MadeSet()
    for k in range(n):
        rows = scene(np.random.default_rng(k))
        made.add(rows, rows)
    _, found, said = made.judged()
    assert [f.rule for f in found] == []
    assert any("too few to learn" in note for note in said)
    assert any(f"only {n} image" in note for note in said)


def test_images_without_rows_objects_and_signals_take_part() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        rows = scene(rng)
        made.add(rows, rows)
    made.add([], [])
    made.add([], scene(rng))
    made.add(scene(rng), [])
    made.add(scene(rng, 3), scene(rng), trained=[])
    made.add(rows, rows, trained=[0, 2])
    made.samples.append(made.samples[0])
    made.measured.append(Measured(len(made.samples) - 1, 0, {"box": float("nan")}, not_finite="loss"))
    judgement, found, _ = made.judged()
    assert judgement.evidence.doubt.usable
    assert np.isnan(judgement.evidence.doubt.image_log_ratio[40])
    untrained = judgement.evidence.row_image == 43
    assert untrained.sum() == 3
    assert not judgement.evidence.row_p[untrained].any()
    assert {f.image for f in found if f.rule == "G003"} == {"images/train/0.png"}


def test_an_image_counts_by_the_share_of_its_labels_that_are_missing() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        rows = scene(rng, 12)
        made.add(rows, rows)
    made.add(rows[:2], rows[:4])
    made.add(rows[:10], rows)
    made.add([], [])
    judgement, _, _ = made.judged()
    lacking = judgement.evidence.parts["lacking"]
    assert lacking[40] > lacking[41] > lacking[:40].max(), "two of four labels, two of twelve, none"
    assert lacking[42] < lacking[41], "an image without objects lacks nothing"


def test_the_likeliest_error_of_an_image_is_a_wrong_or_a_missing_label() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        rows = scene(rng)
        made.add(rows, rows)
    made.add([*rows[1:], *shifted(rows[:1])], rows)
    made.add(rows[1:], rows)
    judgement, _, _ = made.judged()
    likeliest = judgement.evidence.parts["likeliest"]
    assert likeliest[40:].min() > likeliest[:40].max()
    assert likeliest[40] > 8
    assert any(reason.endswith("(over 8 z)") for reason in judgement.doubts(40)), "how far over says no more"


def test_a_set_in_which_no_image_has_a_row_or_an_object_is_judged() -> None:
    made = MadeSet()
    for _ in range(30):
        made.add([], [])
    _, found, said = made.judged()
    assert found == []
    assert any("0 label lines in 30 images are too few" in note for note in said)


def test_equal_images_have_no_outlier() -> None:
    made, rows = MadeSet(), scene(np.random.default_rng(0))
    for _ in range(40):
        made.add(rows, rows, alike=True)
    judgement, found, _ = made.judged()
    assert found == []
    assert not judgement.evidence.score.any()
    assert not judgement.evidence.alone.any()


def test_where_all_rows_are_wrong_probabilities_stay_probabilities() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        rows = scene(rng)
        made.add(shifted(rows), rows)
    judgement, _, said = made.judged()
    assert 0 <= judgement.evidence.doubt.share < 1
    assert said


def test_twins_that_are_told_apart_though_no_row_looks_right() -> None:
    """A share of wrong rows of 1 has no right rows to compare with: r / (1 - r) must not become 0 / 0."""
    rng, features = np.random.default_rng(0), []
    for _ in range(60):
        values = rng.uniform(0.4, 0.6, (40, len(FEATURES)))
        values[:10] += rng.choice([-0.05, 0.3], (10, 1), p=[0.4, 0.6])
        kind, row = np.repeat([0, 2, 3, 5], 10), np.tile(np.arange(10), 4)
        features.append(RowFeatures(kind, row, np.zeros(40, np.int64), np.clip(values, 0, 1)))
    doubt = calibrate(features, Alike(np.zeros((60, 0))))
    assert ((doubt.p >= 0) & (doubt.p <= 1)).all()


@pytest.mark.parametrize(
    ("p", "said"), [(0.6, "3 objects in up to 5 of 20 images"), (0.99, "5 objects in 5 of 20 images")]
)
def test_it_is_said_how_many_labels_of_a_class_are_missing(p: float, said: str) -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(20):
        rows = scene(rng)
        made.add(rows, rows)
    judgement, _, _ = made.judged()
    evidence = judgement.evidence
    classes = np.concatenate([m.signals.object_class for m in judgement.measured if m.signals is not None])
    mine = np.flatnonzero(classes == classes[0])
    _, first = np.unique(evidence.object_image[mine], return_index=True)
    object_p = np.zeros(len(classes))
    object_p[mine[first[:5]]] = p
    found = notes(replace(judgement, evidence=replace(evidence, object_p=object_p)))
    missing = [note for note in found if "seem unlabelled" in note]
    assert len(missing) == 1
    assert missing[0].endswith(f" seem unlabelled: {said} (G005)")


def test_it_is_said_that_most_labels_look_like_errors() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        rows = scene(rng)
        made.add(rows, rows)
    judgement, _, _ = made.judged()
    doubt = replace(judgement.evidence.doubt, usable=False, share=0.98, auroc=0.61)
    (note,) = (
        n
        for n in notes(replace(judgement, evidence=replace(judgement.evidence, doubt=doubt)))
        if "label line" in n
    )
    assert note.startswith(
        "no label line is named: to this model, up to 98% of these labels look like errors put in on paper (told apart "
        "in 61% of pairs, where 50% is chance)"
    )


def test_a_model_that_sees_no_object_names_nothing() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(40):
        made.add(scene(rng), [])
    _, found, said = made.judged()
    assert [f.rule for f in found if f.rule != "G006"] == []
    assert any("hardly different" in note or "learnt too little" in note for note in said)


def test_wrong_rows_are_named_and_lists_tell_of_rules_in_force_only() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for k in range(60):
        rows = scene(rng)
        made.add(wrong(rows[:2]) + rows[2:] if k < 6 else rows, rows)
    judgement, found, said = made.judged()
    truth = {(f"images/train/{k}.png", line) for k in range(6) for line in (1, 2)}
    first = np.argsort(-judgement.evidence.doubt.log_ratio, kind="stable")[: len(truth)]
    assert (judgement.evidence.row_image[first] < 6).all()
    assert (judgement.evidence.row_number[first] < 2).all()
    lines = {(f.image, f.line) for f in found if f.rule in ("G002", "G007", "G008")}
    assert lines
    assert lines <= truth
    assert any("named (G002, G007, G008)" in note for note in said)
    _, found, said = made.judged(select=("G002",))
    assert {f.rule for f in found} == {"G002"}
    assert any("named (G002): " in note for note in said)
    _, found, said = made.judged(select=("S001",))
    assert found == []
    assert not any("named" in note or "G00" in note for note in said)


def test_where_few_of_all_lines_are_named_no_share_is_promised() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for k in range(100):
        rows = scene(rng)
        made.add(wrong(rows[:2]) + rows[2:] if k < 2 else rows, rows)
    _, found, said = made.judged()
    named = sum(f.rule in ("G002", "G007", "G008") for f in found)
    assert 0 < named < 6
    (note,) = (note for note in said if "named" in note)
    assert note.endswith(
        "under 1% of all: where so few stand out, more than one in five may be rare but right objects"
    )


def test_class_ids_far_apart_cost_no_memory() -> None:
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(20):
        rows = scene(rng)
        made.add(rows, rows)
    features = [m.features for m in made.measured if m.features is not None]
    for f in features:
        f.class_id[0] = 2**40
    doubt = calibrate(features, Alike(np.zeros((20, 0))))
    assert ((doubt.p >= 0) & (doubt.p <= 1)).all()


def test_an_image_without_a_look_is_not_compared() -> None:
    looks = np.random.default_rng(0).normal(0, 1, (60, 4))
    looks[3] = np.nan
    values = np.zeros(60)
    values[3] = 9.0
    assert Alike(looks).excess(values)[3] == 0


def test_outputs_that_overflow_are_no_features() -> None:
    box = np.array([[100.0, 100.0, 140.0, 140.0]])
    made = make_candidates(
        np.zeros(1, np.int64), box, np.zeros(1, np.int64), (0, 0, 320, 320), np.random.default_rng(0)
    )
    predicted = torch.tensor([[100.0, 100.0, 140.0, 140.0], [-torch.inf, 0.0, torch.inf, torch.nan]])
    values = row_features(torch.tensor([[0.9], [torch.nan]]), predicted, torch.arange(1), made)
    assert np.isfinite(values[:, :-1]).all()


def test_sure_rows_make_no_room_for_unlikely_ones() -> None:
    p = np.repeat([0.99, 0.3, 0.04], [12, 1, 100])
    assert chosen(p, 0.2).tolist() == [True] * 13 + [False] * 100


@pytest.mark.parametrize("fdr", [0.01, 0.2, 0.99])
def test_no_probability_names_no_row(fdr: float) -> None:
    assert not chosen(np.zeros(5), fdr).any()
    assert not chosen(np.zeros(0), fdr).any()


def test_a_code_of_the_scan_weighs_by_the_images_that_are_measured() -> None:
    """A rare code on train is no common one because every image of val has it."""
    made, rng = MadeSet(), np.random.default_rng(0)
    for _ in range(20):
        rows = scene(rng, 2)
        made.add(rows, rows)
    judgement, _, _ = made.judged()
    codes = {"images/train/0.png": ["I001"], "images/train/1.png": ["B002"]}
    rare = replace(judgement, by_image=codes).combined_score()
    common = replace(
        judgement, by_image=codes | {f"images/val/{k}.png": ["I001"] for k in range(90)}
    ).combined_score()
    assert rare[0] - judgement.evidence.score[0] == pytest.approx(4 * np.log(20))
    np.testing.assert_array_equal(rare, common)


@pytest.mark.parametrize("text", ["0", "1", "-1", "nan", "much", ""])
def test_a_share_that_is_none_is_refused_in_a_sentence(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "data.yaml", "--model", "yolov8n.yaml", f"--fdr={text}"]) == 2
    assert "give a number over 0 and under 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("yolov8n.yaml", "detect"),
        ("yolov10n.yaml", "detect"),
        ("yolo26n.yaml", "detect"),
        ("yolo26n-seg.yaml", "segment"),
        ("yolo26n-pose.yaml", "pose"),
        ("yolo11n-obb.yaml", "obb"),
    ],
)
def test_every_head_gives_features_and_is_the_same_afterwards(tmp_path: Path, model: str, task: str) -> None:
    dataset = find_dataset([str(tiny_set(tmp_path, task))])
    spec = spec_of(dataset, task)  # type: ignore[arg-type]
    samples, settings = read_samples(dataset, spec, "train"), {"imgsz": 64, "batch": 2}
    with silent_ultralytics():
        network = build_model(model, spec)
        network.args = get_cfg(DEFAULT_CFG, {**settings, "task": task})  # type: ignore[assignment]
        measurer = MeasurerSettings(samples, spec, settings).measurer(network, torch.device("cpu"))
        first, again = measurer.measure([0, 1]), measurer.measure([0, 1])
    for a, b in zip(first, again, strict=True):
        assert (a.grad_norm, a.loss) == (b.grad_norm, b.loss)
        assert a.features is not None
        assert b.features is not None
        assert (a.features.kind == 0).sum() == len(samples[a.index])
        np.testing.assert_array_equal(a.features.values, b.features.values)
        assert len(a.look) > 0
