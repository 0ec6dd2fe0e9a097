import numpy as np
from scipy.special import softmax

from voiceflow_model.diarization.pooling import attentive_statistics, clean_masks

RNG = np.random.default_rng(0)
FEATURES, ATTENTION = RNG.normal(size=(50, 8)).astype(np.float32), RNG.normal(size=50).astype(np.float32) * 5
WEIGHT, BIAS = RNG.normal(size=(4, 16)).astype(np.float32), RNG.normal(size=4).astype(np.float32)


def test_is_the_formula_of_the_model_card():
    masks = RNG.random((3, 50)) < 0.4
    pooled = attentive_statistics(FEATURES, ATTENTION, masks, WEIGHT, BIAS)
    for mask, found in zip(masks, pooled, strict=True):
        w, x = softmax(ATTENTION[mask].astype(float)), FEATURES[mask].astype(float)
        mean = w @ x
        sigma = np.sqrt(np.maximum(w @ x**2 - mean**2, 1e-4))
        expected = WEIGHT @ np.concatenate([mean, sigma]) + BIAS
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_frames_outside_a_mask_do_not_matter():
    mask = np.arange(50)[None] < 20
    changed, louder = FEATURES.copy(), ATTENTION.copy()
    changed[20:], louder[20:] = 1e3, 1e3
    same = attentive_statistics(changed, louder, mask, WEIGHT, BIAS)
    np.testing.assert_array_equal(same, attentive_statistics(FEATURES, ATTENTION, mask, WEIGHT, BIAS))


def test_an_empty_mask_has_no_embedding():
    masks = np.stack([np.zeros(50, bool), np.ones(50, bool)])
    pooled = attentive_statistics(FEATURES, ATTENTION, masks, WEIGHT, BIAS)
    assert not pooled[0].any()
    np.testing.assert_allclose(np.linalg.norm(pooled[1]), 1, atol=1e-6)


def test_overlap_is_left_out_unless_too_little_would_remain():
    masks = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 1, 1]], bool)
    solo = np.array([1, 1, 1, 0, 1], bool)
    assert clean_masks(masks, solo, 2).astype(int).tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
