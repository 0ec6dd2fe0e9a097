import numpy as np
import pytest

from voiceflow_model.evaluation.intervals import bootstrap_interval


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        total = rng.uniform(50, 150, 60)
        low, high = bootstrap_interval(total * rng.beta(2, 8, 60), total, resamples=500)
        covered += low <= 0.2 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_more_recordings_narrow_it_and_longer_ones_weigh_more():
    errors, totals = [1.0, 9.0] * 5, [10.0, 30.0] * 5
    low, high = bootstrap_interval(errors, totals)
    assert low <= 10 / 40 <= high
    narrower = bootstrap_interval(errors * 16, totals * 16)
    assert narrower[1] - narrower[0] < (high - low) / 3


def test_the_same_seed_gives_the_same_interval():
    numbers = ([1.0, 2.0, 5.0], [10.0, 11.0, 12.0])
    assert bootstrap_interval(*numbers, seed=1) == bootstrap_interval(*numbers, seed=1)
    assert bootstrap_interval(*numbers, seed=1, resamples=50) != bootstrap_interval(*numbers, seed=2, resamples=50)


@pytest.mark.parametrize(("errors", "totals"), [([], []), ([1.0], [10.0]), ([0.0, 1.0], [0.0, 0.0])])
def test_no_interval_where_there_is_nothing_to_resample(errors, totals):
    assert bootstrap_interval(errors, totals) is None
