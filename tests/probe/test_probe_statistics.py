"""Robust statistics and evidence: what a few bad values cannot move, and what stands out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanitizer.probe.budget import Budget, BudgetError, ProbePlan, parse_budget, plan_probe
from sanitizer.util.robust import against_count, logistic_fit, logistic_weights, logit, robust_z

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_one_outlier_stands_out_and_moves_nothing() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(10, 2, 200), [1e9]])
    z = robust_z(values)
    assert z[-1] > 1e6
    assert abs(np.median(z)) < 1e-9
    assert 0.8 < np.std(z[:-1]) < 1.25


@pytest.mark.parametrize("n", [0, 1, 300])
def test_a_fit_by_group_is_one_with_a_column_for_each_group(n: int) -> None:
    rng = np.random.default_rng(0)
    x, group, truth = rng.normal(0, 2, (n, 2)), rng.choice([-5, 3, 10**12], n), rng.uniform(size=n)
    columns = np.concatenate([x, group[:, None] == np.unique(group)], axis=1)
    expected = 1 / (1 + np.exp(-columns @ logistic_weights(columns, truth)))
    np.testing.assert_allclose(logistic_fit(x, group, truth), expected, atol=1e-9)


def test_each_group_has_its_own_middle() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1], 100)
    values = rng.normal(0, 1, 200) + groups * 50
    z = robust_z(values, groups)
    assert np.abs(z).max() < 5
    assert np.abs(robust_z(values)).max() < 5  # 50 apart, and yet no outlier among two halves


def test_a_small_group_takes_most_of_its_spread_from_all() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0, 1, 500), [5.0, 5.0, 5.2]])
    groups = np.concatenate([np.zeros(500), np.ones(3)])
    assert np.abs(robust_z(values, groups)[-3:]).max() < 1


@given(NUMBERS)
def test_z_scores_keep_the_order_and_ignore_what_is_not_finite(numbers: list[float]) -> None:
    values = np.array([*numbers, np.nan, np.inf])
    z = robust_z(values)
    assert np.isnan(z[-2:]).all()
    assert not np.isnan(z[:-2]).any()
    np.testing.assert_array_equal(z[:-2], robust_z(np.array(numbers)))
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(z[:-2][order]) >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=1))
def test_logits_are_finite_and_ordered(probabilities: list[float]) -> None:
    values = logit(np.sort(probabilities))
    assert np.isfinite(values).all()
    assert (np.diff(values) >= 0).all()


def test_a_logistic_fit_finds_the_share_at_each_score() -> None:
    rng = np.random.default_rng(3)
    score = rng.uniform(0.05, 0.95, 4000)
    truth = rng.uniform(size=4000) > score
    fitted = logistic_fit(logit(score)[:, None], np.zeros(4000, np.int64), truth)
    assert np.abs(fitted - (1 - score)).max() < 0.06


def test_a_norm_is_judged_by_its_number_of_boxes() -> None:
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 60, 400)
    norms = 3.0 * (1 + counts) ** 0.8 * np.exp(rng.normal(0, 0.1, 400))
    norms[0] = 3.0 * (1 + counts[0]) ** 0.8 * 4
    rest = against_count(norms, counts)
    assert rest.argmax() == 0
    assert abs(np.corrcoef(rest[1:], np.log1p(counts[1:]))[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2m", Budget(seconds=120)),
        ("90s", Budget(seconds=90)),
        ("1.5h", Budget(seconds=5400)),
        ("200", Budget(steps=200)),
        ("200 steps", Budget(steps=200)),
        ("0.5", Budget(epochs=0.5)),
        ("4epochs", Budget(epochs=4)),
        ("1e", Budget(epochs=1)),
        ("0", Budget(steps=0)),
        ("0steps", Budget(steps=0)),
        ("0epochs", Budget(steps=0)),
    ],
)
def test_budgets_are_read_as_people_write_them(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "fast", "-2m", "0s", "0m", "2 weeks", "1.5steps", "2m 30s"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(BudgetError):
        parse_budget(text)


def test_a_budget_of_time_is_shared_out() -> None:
    roomy = plan_probe(Budget(seconds=600), n_images=160, batch=16, step_s=1, attribution_s=2)
    assert roomy == ProbePlan(epochs=4, batches=40, images=160)
    tight = plan_probe(Budget(seconds=60), n_images=16_000, batch=16, step_s=1, attribution_s=2)
    assert tight.images == 240
    assert tight.batches == 30
    steps = plan_probe(Budget(steps=25), n_images=160, batch=16, step_s=1, attribution_s=2)
    assert steps == ProbePlan(epochs=3, batches=25, images=160)


def test_an_epoch_is_one_of_the_training_images_also_if_others_are_measured() -> None:
    plan = plan_probe(Budget(epochs=2), n_images=32, batch=16, step_s=1, attribution_s=2, n_lessons=160)
    assert plan == ProbePlan(epochs=2, batches=20, images=32)
    timed = plan_probe(Budget(seconds=600), n_images=32, batch=16, step_s=1, attribution_s=2, n_lessons=160)
    assert timed == ProbePlan(epochs=4, batches=40, images=32)
