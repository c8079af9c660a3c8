"""Doubt: twins are wrong, rows that look like twins are named, and the stated share of false alarms holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from sanitizer.probe.doubt.alike import N_ALIKE, Alike  # noqa: E402
from sanitizer.probe.doubt.calibrate import _upper_limit, calibrate  # noqa: E402
from sanitizer.probe.doubt.choose import chosen, kind_of_error  # noqa: E402
from sanitizer.probe.doubt.features import FEATURES, RowFeatures, row_features  # noqa: E402
from sanitizer.probe.doubt.mirror import mirror_average  # noqa: E402
from sanitizer.probe.doubt.missing import (  # noqa: E402
    group_excess,
    missing_probability,
    unlabelled,
    unlabelled_share,
)
from sanitizer.probe.doubt.twins import (  # noqa: E402
    BACKGROUND,
    CLASS,
    LABEL,
    MERGE,
    SCALE,
    SHIFT,
    make_candidates,
)

pytestmark = pytest.mark.probe

AREA = (0.0, 0.0, 320.0, 320.0)
ONE_CLASS = np.zeros(1, np.int64)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    inter = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inter / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter))


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 4))
def test_every_twin_has_the_error_that_it_is_named_after(seed: int, n: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    centre, half = rng.uniform(30, 290, (n, 2)), rng.uniform(2, 30, (n, 2))
    boxes, classes = np.c_[centre - half, centre + half], rng.integers(0, n_classes, n)
    made = make_candidates(classes, boxes, np.arange(n_classes), AREA, rng)
    assert (made.kind[:n] == LABEL).all()
    assert (made.row[:n] == np.arange(n)).all()
    np.testing.assert_array_equal(made.boxes[:n], boxes)
    for kind, row, gone, class_id, box in zip(
        made.kind[n:], made.row[n:], made.without[n:], made.class_id[n:], made.boxes[n:], strict=True
    ):
        mine = boxes[row]
        assert (class_id == classes[row]) == (kind != CLASS)
        assert 0 <= class_id < n_classes
        assert (box[:2] >= 0).all()
        assert (box[2:] <= 320).all()
        if kind == SHIFT:
            assert iou(box, mine) < 0.8
        elif kind == SCALE:
            assert iou(box, mine) < 0.7
        elif kind == MERGE:
            pair = boxes[gone]
            assert box == pytest.approx(np.r_[pair[:, :2].min(0), pair[:, 2:].max(0)])
        elif kind == BACKGROUND:
            assert max(iou(box, other) for other in boxes) < 0.3
            assert (gone == -1).all()


def test_an_image_without_rows_has_no_candidates() -> None:
    made = make_candidates(
        np.zeros(0, np.int64), np.zeros((0, 4)), np.arange(3), AREA, np.random.default_rng(0)
    )
    assert made.boxes.shape == (0, 4)
    assert row_features(torch.zeros(4, 3), torch.zeros(4, 4), torch.zeros(0).long(), made).shape == (
        0,
        len(FEATURES),
    )


def test_a_twin_has_a_class_that_the_set_uses() -> None:
    rng, boxes = np.random.default_rng(0), np.array([[100.0, 100.0, 140.0, 140.0]] * 12)
    made = make_candidates(np.full(12, 7), boxes, np.array([3, 7, 60]), AREA, rng)
    assert set(made.class_id[made.kind == CLASS].tolist()) == {3, 60}


def test_oriented_rows_get_twins_too() -> None:
    rng = np.random.default_rng(0)
    boxes = np.c_[rng.uniform(60, 260, (8, 2)), rng.uniform(10, 40, (8, 2)), rng.uniform(0, 1.5, 8)]
    made = make_candidates(np.zeros(8, np.int64), boxes, np.arange(2), AREA, rng)
    assert {CLASS, SHIFT, SCALE, BACKGROUND} <= set(made.kind.tolist())
    assert MERGE not in made.kind
    predicted = torch.from_numpy(boxes).float()
    probabilities = torch.full((8, 2), 0.01)
    probabilities[:, 0] = 0.9
    values = row_features(probabilities, predicted, torch.arange(8), made)
    support = values[:, FEATURES.index("support")]
    assert support[made.kind == LABEL].min() > 0.85
    assert support[made.kind == CLASS].max() < 0.1


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, values.tolist(), strict=True))


def test_features_of_a_merged_box_and_of_a_part() -> None:
    """Worked by hand: two objects side by side, one box around both; and one object with a box on its left half."""
    left, right = [100.0, 100.0, 140.0, 140.0], [140.0, 100.0, 180.0, 140.0]
    both, part = [100.0, 100.0, 180.0, 140.0], [100.0, 100.0, 120.0, 140.0]
    predicted = torch.tensor([left, right])
    probabilities = torch.tensor([[0.9], [0.8]])
    merged = make_candidates(
        np.zeros(1, np.int64), np.array([both]), ONE_CLASS, AREA, np.random.default_rng(0)
    )
    values = named(row_features(probabilities, predicted, torch.arange(2), merged)[0])
    assert values["support"] == pytest.approx(0.45)
    assert values["second_inside"] == pytest.approx(0.8)
    assert values["covering"] == 0
    assert np.isnan(values["image_support"])
    cut = make_candidates(np.zeros(1, np.int64), np.array([part]), ONE_CLASS, AREA, np.random.default_rng(0))
    values = named(row_features(probabilities, predicted, torch.arange(2), cut)[0])
    assert values["covering"] == pytest.approx(0.9)
    assert values["free_product"] == pytest.approx(0.45)


def test_an_object_that_another_row_claims_is_not_free() -> None:
    box, beside = [100.0, 100.0, 140.0, 140.0], [110.0, 100.0, 150.0, 140.0]
    made = make_candidates(
        np.zeros(2, np.int64), np.array([box, beside]), ONE_CLASS, AREA, np.random.default_rng(0)
    )
    values = row_features(torch.tensor([[0.9]]), torch.tensor([box]), torch.arange(1), made)
    free = values[:2, FEATURES.index("free_product")]
    assert free.tolist() == pytest.approx(
        [0, 0]
    )  # each row's neighbour claims the object with an IoU over 0.4


@dataclass
class Made:
    """Features as a model would give them, and which rows are wrong."""

    features: list[RowFeatures]
    wrong: list[np.ndarray]


def make_features(
    seed: int, n_images: int = 150, rows: int = 8, share: float = 0.08, separation: float = 2.5
) -> Made:
    """Rows with the features of right ones, except for a share that has those of twins."""
    rng = np.random.default_rng(seed)

    def values(wrong: np.ndarray) -> np.ndarray:
        found = np.zeros((len(wrong), len(FEATURES)))
        for k in range(len(FEATURES)):
            strength = rng.normal(1.5 - separation * wrong, 1.0)
            found[:, k] = 1 / (1 + np.exp(-strength))
        found[:, FEATURES.index("size")] = rng.uniform(10, 60, len(wrong))
        return found

    made = Made([], [])
    for _ in range(n_images):
        wrong = rng.uniform(size=rows) < share
        kind = np.r_[np.zeros(rows, np.int64), np.tile([SHIFT, SCALE, BACKGROUND], rows)]
        row = np.r_[np.arange(rows), np.repeat(np.arange(rows), 3)]
        looks_wrong = np.r_[wrong, np.ones(3 * rows, np.bool_)]
        made.features.append(RowFeatures(kind, row, np.zeros(len(row), np.int64), values(looks_wrong)))
        made.wrong.append(wrong)
    return made


NO_GROUPS = Alike(np.zeros((0, 0)))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("separation", [1.0, 2.0])
def test_the_stated_share_of_false_alarms_holds(seed: int, separation: float) -> None:
    made = make_features(seed, separation=separation)
    doubt = calibrate([*made.features], Alike(np.full((len(made.features), 1), np.nan)))
    wrong = np.concatenate(made.wrong)
    assert doubt.usable
    list_ = chosen(doubt.p, 0.2)
    assert list_.sum() >= 0.5 * wrong.sum()
    assert wrong[list_].mean() >= 0.73
    assert doubt.p.mean() == pytest.approx(doubt.share, rel=0.05), (
        "the probabilities add up to the share of wrong rows"
    )


def test_errors_on_opposite_sides_of_right_rows_are_both_told() -> None:
    """One kind of error is high where the other is low, and right rows lie between: no plane tells all of them."""
    rng, rival, best_iou = np.random.default_rng(0), FEATURES.index("rival"), FEATURES.index("best_iou")
    features = []
    for _ in range(40):
        kind = np.repeat([LABEL, CLASS, SHIFT], 6)
        values = np.full((18, len(FEATURES)), 0.5)
        for column, means in ((rival, (1.0, -1.0, 3.0)), (best_iou, (1.0, 3.0, -1.0))):
            values[:, column] = 1 / (1 + np.exp(-rng.normal(np.repeat(means, 6), 0.7)))
        features.append(RowFeatures(kind, np.tile(np.arange(6), 3), np.zeros(18, np.int64), values))
    assert calibrate(features, Alike(np.full((40, 1), np.nan))).auroc > 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_a_wrong_class_does_not_drown_among_twins_of_wrong_places(seed: int) -> None:
    """Four kinds of twin have a wrong place and one the wrong class, the only error that rows of this set have."""
    rng = np.random.default_rng(seed)
    kind, features, wrong_rows = np.repeat([LABEL, CLASS, SHIFT, SCALE, MERGE, BACKGROUND], 6), [], []
    for _ in range(150):
        wrong = rng.uniform(size=6) < 0.05
        swapped, moved = np.r_[wrong, kind[6:] == CLASS], kind > CLASS
        values = np.full((len(kind), len(FEATURES)), 0.5)
        for name, means in (
            ("other", np.where(swapped, 2.0, -2.0)),
            ("best_iou", np.where(moved, -1.0, 1.0)),
            ("free_product", np.where(moved, -1.0, 1.0)),
        ):
            values[:, FEATURES.index(name)] = 1 / (1 + np.exp(-rng.normal(means, 1.0)))
        features.append(RowFeatures(kind, np.tile(np.arange(6), 6), np.zeros(36, np.int64), values))
        wrong_rows.append(wrong)
    named, is_wrong = chosen(calibrate(features, NO_GROUPS).p, 0.2), np.concatenate(wrong_rows)
    assert named[is_wrong].mean() >= 0.4
    assert is_wrong[named].mean() >= 0.5


@pytest.mark.parametrize("n", [20, 100, 3000])
def test_what_no_row_showed_may_still_be_there(n: int) -> None:
    limit = _upper_limit(0.0, n)
    assert 0.04 <= (1 - limit) ** n <= 0.1, "the chance to see none where the share is at the limit"
    assert _upper_limit(1.0, n) == pytest.approx(1.0)
    assert 0.2 < _upper_limit(0.2, n) < _upper_limit(0.3, n)


def test_a_set_without_errors_gets_a_short_list() -> None:
    made = make_features(5, share=0.0)
    doubt = calibrate([*made.features], Alike(np.full((len(made.features), 1), np.nan)))
    assert chosen(doubt.p, 0.2).sum() <= 0.01 * len(doubt.p)


def test_where_twins_look_like_rows_nothing_is_learnt() -> None:
    made = make_features(3, separation=0.0)
    doubt = calibrate([*made.features], Alike(np.full((len(made.features), 1), np.nan)))
    assert not doubt.usable
    assert not doubt.p.any()


def test_a_model_to_which_most_rows_may_be_wrong_names_none() -> None:
    doubt = calibrate([*make_features(3, n_images=80, separation=0.1).features], NO_GROUPS)
    assert doubt.auroc > 0.55, "better than chance"
    assert doubt.share > 0.5
    assert not doubt.usable
    assert not doubt.p.any()


def test_too_few_rows_teach_nothing() -> None:
    made = make_features(3, n_images=4)
    doubt = calibrate([*made.features, None], Alike(np.full((5, 1), np.nan)))
    assert not doubt.usable
    assert len(doubt.image) == 32
    assert len(doubt.image_log_ratio) == 5


def test_one_class_does_not_make_the_own_probability_count_twice() -> None:
    """Two images, one of which the model knows badly: with one class, there is no other class to prefer."""
    from sanitizer.probe.doubt.calibrate import _columns

    values = np.random.default_rng(0).uniform(0.1, 0.9, (60, len(FEATURES)))
    label = np.arange(60) < 30
    two = _columns(values, np.zeros(60, np.int64), label).shape[1]
    values[:, FEATURES.index("other")] = 0
    assert _columns(values, np.zeros(60, np.int64), label).shape[1] == two - 2


@given(st.lists(st.floats(0, 1), max_size=60), st.floats(0.01, 0.99))
def test_a_list_holds_its_share_and_is_the_longest_that_does(p: list[float], fdr: float) -> None:
    values = np.array(p, np.float64)
    list_ = chosen(values, fdr)
    if list_.any():
        highest_left_out = values[~list_].max(initial=0.0)
        assert values[list_].min() > highest_left_out or highest_left_out == 0
        strictly = values > values[list_].min()
        assert not strictly.any() or (1 - values[strictly]).mean() <= fdr + 1e-9
    elif len(values):
        assert values.max() == 0 or 1 - values.max() > fdr


def test_images_are_compared_with_those_that_look_alike() -> None:
    rng = np.random.default_rng(0)
    looks = np.r_[rng.normal(0, 0.1, (100, 6)), rng.normal(5, 0.1, (30, 6))]
    alike = Alike(looks)
    assert alike.nearest is not None
    assert alike.nearest.shape == (130, N_ALIKE)
    assert (alike.nearest[:100] < 100).all()
    assert (alike.nearest[100:] >= 100).all()
    values = np.r_[np.zeros(100), np.full(30, 4.0)]
    values[7] = 4.0
    excess = alike.excess(values)
    assert excess[7] == 0  # its like are all at 0, so all of its 4 is its own
    assert (excess[100:] == 4).all()  # as all their like have it
    assert not Alike(looks[:20]).excess(values[:20]).any()


def test_an_image_that_looks_like_no_other_is_told() -> None:
    rng = np.random.default_rng(0)
    looks = np.r_[rng.normal(0, 0.1, (100, 6)), np.full((1, 6), 9.0)]
    assert np.flatnonzero(Alike(looks).alone).tolist() == [100]


def test_images_without_a_look_are_left_out() -> None:
    looks = np.random.default_rng(0).normal(0, 1, (60, 4))
    looks[3] = np.nan
    alike = Alike(looks)
    assert alike.nearest is not None
    assert 3 not in np.delete(alike.nearest, 3, axis=0)
    assert not alike.alone[3]


def test_a_mirrored_prediction_comes_back_to_its_place() -> None:
    levels = [(4, 8.0), (2, 16.0)]
    anchors = torch.cat(
        [
            torch.tensor([[(x + 0.5) * s, (y + 0.5) * s] for y in range(n) for x in range(n)])
            for n, s in levels
        ]
    )
    rng = torch.Generator().manual_seed(0)
    probabilities = torch.rand(1, len(anchors), 2, generator=rng)
    boxes = torch.cat([anchors - 3, anchors + torch.tensor([5.0, 2.0])], 1)[None]
    # What a network without any noise sees in the mirror image.
    flipped = {(round(32 - float(x), 3), float(y), s): k for k, ((x, y), s) in enumerate(
        zip(anchors.tolist(), [s for n, s in levels for _ in range(n * n)], strict=True)
    )}  # fmt: skip
    order = [flipped[round(float(x), 3), float(y), s] for (x, y), s in zip(
        anchors.tolist(), [s for n, s in levels for _ in range(n * n)], strict=True
    )]  # fmt: skip
    seen = boxes[:, order]
    mirrored = torch.stack([32 - seen[..., 2], seen[..., 1], 32 - seen[..., 0], seen[..., 3]], -1)
    mean, back = mirror_average(probabilities, boxes, probabilities[:, order], mirrored, anchors, 32)
    torch.testing.assert_close(mean, probabilities)
    torch.testing.assert_close(back, boxes)


def make_objects(
    seed: int, n: int = 120, per_image: int = 12, lacking: float = 0.15, missing: float = 0.5
) -> tuple[np.ndarray, ...]:
    """Objects as a model would see them: (image, score, on a label, lacks a label)."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(n), per_image)
    score = rng.uniform(0.05, 0.95, len(image))
    real = rng.uniform(size=len(image)) < 1 / (1 + np.exp(-(4 * score - 1) * 1.5))
    bad = (rng.uniform(size=n) < lacking)[image]
    lacks = real & bad & (rng.uniform(size=len(image)) < missing)
    return image, score, real & ~lacks, lacks


def missing(image: np.ndarray, score: np.ndarray, on_label: np.ndarray) -> np.ndarray:
    """The probability that each object lacks a label, where there is one class and no group of images."""
    class_id = np.zeros(len(image), np.int64)
    share = unlabelled_share(score, class_id, on_label, ~on_label)
    return missing_probability(image, score, class_id, on_label, ~on_label, share)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_missing_labels_are_named_and_the_stated_share_holds(seed: int) -> None:
    image, score, on_label, lacks = make_objects(seed)
    p = missing(image, score, on_label)
    list_ = chosen(p, 0.2)
    assert lacks[list_].mean() >= 0.73
    assert list_.sum() >= 0.4 * lacks.sum()
    assert p.sum() == pytest.approx(lacks.sum(), rel=0.35)


@pytest.mark.parametrize("seed", [0, 1])
def test_labels_that_all_images_lack_are_named_where_the_model_is_sure(seed: int) -> None:
    """No image differs from the others, but a model that was taught that nothing is there sees an object."""
    image, score, on_label, lacks = make_objects(seed, lacking=1.0, missing=0.25)
    score = 1 / (1 + np.exp(-(4 * score - 1) * 1.5))  # as often as objects are real
    p = missing(image, score, on_label)
    list_ = chosen(p, 0.2)
    assert lacks[list_].mean() >= 0.73
    assert list_.sum() >= 0.4 * lacks.sum()


def test_where_no_label_is_missing_nearly_none_is_named() -> None:
    image, score, on_label, _ = make_objects(4, lacking=0.0)
    p = missing(image, score, on_label)
    assert chosen(p, 0.2).sum() <= 3


def test_a_nearly_unlabelled_image_comes_first() -> None:
    image, score, on_label, _ = make_objects(6, lacking=0.0)
    bare = image == 17
    on_label = on_label & ~bare
    p = missing(image, score, on_label)
    assert np.bincount(image, p).argmax() == 17
    assert p[bare & (score > 0.7)].min() > 0.8


def test_an_object_that_touches_a_label_says_nothing() -> None:
    on_label, on_none = unlabelled(np.array([0.6, 0.3, 0.0, 0.1]), np.array([0.9, 0.8, 0.0, 0.2]))
    assert on_label.tolist() == [True, False, False, False]
    assert on_none.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"second_inside": 0.7, "support": 0.4}, "G007"),
        ({"covering": 0.6, "support": 0.2, "best_iou": 0.4}, "G008"),
        ({"support": 0.1}, "G002"),
        ({"support": 0.9, "second_inside": 0.3, "covering": 0.3, "best_iou": 0.9}, "G002"),
    ],
)
def test_the_kind_of_error_is_what_the_model_sees_best(values: dict[str, float], code: str) -> None:
    row = np.array([[values.get(name, 0.0) for name in FEATURES]])
    one = np.zeros(1, np.int64)
    assert kind_of_error(RowFeatures(one, one, one, row), 0)[0] == code


def test_a_kind_of_picture_that_the_model_knows_badly_lacks_no_labels() -> None:
    """In 40 alike images the model sees twice as many objects as there are; elsewhere one image lacks its labels."""
    rng = np.random.default_rng(0)
    image, score, on_label, _ = make_objects(8, n=160, lacking=0.0)
    odd = image >= 120
    on_label = on_label & ~(odd & (rng.uniform(size=len(image)) < 0.5)) & (image != 17)
    looks = np.r_[rng.normal(0, 0.1, (120, 6)), rng.normal(5, 0.1, (40, 6))]
    class_id = np.zeros(len(image), np.int64)
    share = unlabelled_share(score, class_id, on_label, ~on_label)
    group = group_excess(image, ~on_label, share, Alike(looks), 160)
    alone = missing_probability(image, score, class_id, on_label, ~on_label, share)
    share = unlabelled_share(score, class_id, on_label, ~on_label, group)
    p = missing_probability(image, score, class_id, on_label, ~on_label, share, group)
    assert chosen(alone, 0.2)[odd].sum() > 40  # without groups
    assert chosen(p, 0.2)[odd].sum() < 10
    assert np.bincount(image, p).argmax() == 17
