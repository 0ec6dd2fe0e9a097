import pytest
import torch

from voiceflow_model.data.keyed import keyed
from voiceflow_model.training.stretches import stretches


@pytest.mark.parametrize("seed", range(5))
def test_stretches_are_contiguous_speech_of_one_speaker_each(seed):
    activity = (torch.from_numpy(keyed(seed).random((4, 500, 3))) < torch.tensor([0.0, 0.1, 0.7])).float()
    found = stretches(activity, 5, keyed(seed, "stretches"))
    assert found.shape == (4, 500, 15)
    for number in range(15):
        said, part = activity[..., number % 3], found[..., number]
        assert (part <= said).all()
        spoken, length = said.sum(1), part.sum(1)
        assert (length >= spoken.clamp_max(25)).all()
        assert (length <= 250).all()
        for row in range(4):
            at = part[row].nonzero().ravel()
            assert not len(at) or torch.equal(part[row, at[0] : at[-1] + 1], said[row, at[0] : at[-1] + 1])


def test_stretches_differ_and_are_the_same_for_the_same_key():
    activity = torch.ones(1, 500, 2)
    first, again, other = (stretches(activity, 8, keyed("stretches", step)) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    lengths = {int(length) for length in first.sum((0, 1))}
    assert len(lengths) > 8
    assert min(lengths) < 60 < 120 < max(lengths)
