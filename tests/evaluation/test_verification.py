import numpy as np
import pytest
from scipy.stats import norm

from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.verification import equal_error_rate


def test_two_normal_distributions_have_the_eer_that_theory_says():
    rng = np.random.default_rng(0)
    same, other = rng.normal(2, 1, 20_000), rng.normal(0, 1, 20_000)
    found = equal_error_rate(np.concatenate([same, other]), [1] * 20_000 + [0] * 20_000)
    assert found.rate == pytest.approx(norm.cdf(-1), abs=0.005)
    assert found.threshold == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("scores", "same", "rate"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 1.0),
        ([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0], 0.5),
        ([0.9, 0.7, 0.8, 0.1], [1, 1, 0, 0], 0.5),
        ([0.9, 0.9, 0.9, 0.1, 0.2, 0.0, 0.0, 0.95], [1, 1, 1, 1, 0, 0, 0, 0], 0.25),
    ],
)
def test_small_cases_by_hand(scores, same, rate):
    assert equal_error_rate(scores, same).rate == pytest.approx(rate)


def test_the_threshold_accepts_what_the_rate_promises():
    assert equal_error_rate([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]).threshold == 0.8


@pytest.mark.parametrize(("scores", "same"), [([], []), ([0.5, 0.6], [1, 1]), ([0.5], [0]), ([0.5, 0.6], [1])])
def test_trials_of_one_kind_are_refused(scores, same):
    with pytest.raises(ConfigError, match="both kinds"):
        equal_error_rate(scores, same)
