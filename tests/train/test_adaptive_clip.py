"""The limit of adaptive clipping, and what counts as a spike: robust to NaN and to what warm-up does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanitizer.train.adaptive_clip import AdaptiveClip
from sanitizer.train.spikes import SpikeDetector

NORMS = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=20, max_size=60)
NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])


@given(NORMS, st.floats(min_value=0, max_value=100))
def test_the_limit_is_the_percentile_of_past_norms(norms: list[float], percentile: float) -> None:
    clip = AdaptiveClip(percentile)
    clip.learn(norms)
    assert clip.limit(default=1.0) == pytest.approx(np.percentile(norms, percentile))


@given(NORMS, st.lists(NOT_FINITE, max_size=100))
def test_norms_that_are_not_finite_change_nothing(norms: list[float], others: list[float]) -> None:
    clean, mixed = AdaptiveClip(50), AdaptiveClip(50)
    clean.learn(norms)
    mixed.learn([*others, *norms, *others])
    assert mixed.limit(1.0) == clean.limit(1.0)


def test_the_fixed_limit_holds_until_enough_norms_are_known() -> None:
    clip = AdaptiveClip(10, first=3)
    limits = []
    for norm in (500.0, math.nan, 400.0, 300.0, 200.0):
        limits.append(clip.limit(default=7.0))
        clip.learn([norm])
    assert limits == [7.0, 7.0, 7.0, 7.0, pytest.approx(np.percentile([500, 400, 300], 10))]


def test_norms_of_the_warm_up_fade() -> None:
    clip = AdaptiveClip(90, window=100)
    clip.learn([1e5] * 50)
    clip.learn([2.0] * 100)
    assert clip.limit(1.0) == 2.0


def test_a_spike_does_not_raise_its_own_limit() -> None:
    clip = AdaptiveClip(100)
    clip.learn([1.0] * 30)
    before = clip.limit(1.0)
    clip.learn([1e9])
    assert before == 1.0


@pytest.mark.parametrize(
    "settings", [{"percentile": 101}, {"percentile": -1}, {"first": 0}, {"first": 9, "window": 5}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="adaptive clipping"):
        AdaptiveClip(**settings)  # type: ignore[arg-type]


def test_a_spike_is_found_among_varying_norms() -> None:
    rng = np.random.default_rng(0)
    detector = SpikeDetector()
    spikes = [detector.judge(norm) for norm in np.exp(rng.normal(3, 0.3, 200))]
    assert not any(spikes)
    spike = detector.judge(math.exp(3) * 30)
    assert spike
    assert spike.typical == pytest.approx(math.exp(3), rel=0.2)
    assert spike.score == pytest.approx(math.log(30) / 0.3, rel=0.3)


def test_falling_norms_of_a_warm_up_are_no_spikes() -> None:
    detector = SpikeDetector()
    assert not any(detector.judge(1000 * 0.97**i) for i in range(300))


def test_one_hundred_nans_do_not_blind_the_detector() -> None:
    detector = SpikeDetector()
    for i in range(50):
        detector.judge(10 + i % 3)
        assert detector.judge(math.nan) is None
        assert detector.judge(math.inf) is None
    assert detector.judge(500.0)


def test_norms_that_hardly_vary_do_not_make_a_flutter_a_spike() -> None:
    detector = SpikeDetector()
    for _ in range(50):
        detector.judge(10.0)
    assert detector.judge(11.0) is None
    assert detector.judge(20.0)
