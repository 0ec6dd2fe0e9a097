import math
from itertools import permutations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.network.powerset import Powerset
from voiceflow_model.training.losses import SpeakerLoss, aligned_classes, likeness_loss, segmentation_loss


def example(seed: int, speakers: int = 3, frames: int = 40):
    generator = torch.Generator().manual_seed(seed)
    powerset = Powerset(speakers)
    logits = torch.randn(2, frames, len(powerset.classes), generator=generator)
    activity = powerset.decode(torch.randint(len(powerset.classes), (2, frames), generator=generator))
    return logits, activity, powerset


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_the_loss_is_the_least_cross_entropy_over_renamings(seed, speakers):
    logits, activity, powerset = example(seed, speakers)
    by_hand = [
        min(
            torch.nn.functional.cross_entropy(one, powerset.encode(reference[:, list(p)]))
            for p in permutations(range(speakers))
        )
        for one, reference in zip(logits, activity, strict=True)
    ]
    assert torch.allclose(segmentation_loss(logits, activity, powerset), torch.stack(by_hand).mean(), atol=1e-5)


@given(st.integers(0, 1000))
def test_the_order_of_reference_speakers_does_not_matter(seed):
    logits, activity, powerset = example(seed)
    assert torch.allclose(
        segmentation_loss(logits, activity, powerset), segmentation_loss(logits, activity[..., [2, 0, 1]], powerset)
    )


def test_alignment_renames_the_reference_to_fit_the_prediction():
    powerset = Powerset(3)
    activity = powerset.decode(torch.tensor([[0, 1, 1, 2, 4]]))  # {} {0} {0} {1} {0,1}
    said = powerset.encode(activity[..., [2, 0, 1]])  # the same with other names
    logits = torch.nn.functional.one_hot(said, 7).float() * 10
    assert torch.equal(aligned_classes(logits, activity, powerset), said)


def test_a_margin_makes_the_right_class_harder_and_no_margin_is_softmax():
    torch.manual_seed(0)
    loss = SpeakerLoss(dim=8, classes=5, scale=30.0)
    embeddings, speakers = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1), torch.tensor([0, 1, 2, 3])
    plain = torch.nn.functional.cross_entropy(30 * loss.cosines(embeddings), speakers)
    assert torch.allclose(loss(embeddings, speakers, 0.0), plain, atol=1e-3)
    assert loss(embeddings, speakers, 0.2) > plain


def test_the_margin_is_an_angle():
    loss = SpeakerLoss(dim=2, classes=2, scale=1.0)
    loss.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    angle, margin = 0.3, 0.2
    embedding = torch.tensor([[math.cos(angle), math.sin(angle)]])
    expected = torch.nn.functional.cross_entropy(
        torch.tensor([[math.cos(angle + margin), math.sin(angle)]]), torch.tensor([0])
    )
    assert torch.allclose(loss(embedding, torch.tensor([0]), margin), expected, atol=1e-5)


def test_no_speaker_in_a_batch_is_a_loss_of_zero_that_can_be_differentiated():
    loss = SpeakerLoss(dim=8, classes=5, scale=30.0)
    embeddings = torch.zeros(0, 8, requires_grad=True)
    value = loss(embeddings, torch.zeros(0, dtype=torch.long), 0.2)
    value.backward()
    assert value == 0


def test_attention_is_told_which_frames_share_a_voice_and_nothing_about_silence():
    activity = torch.zeros(1, 16, 2)
    activity[0, :4, 0] = activity[0, 4:8, 1] = activity[0, 8:12] = 1  # one, the other, both, nobody
    same = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    right = (20.0 * (2 * same - 1))[None, None].expand(1, 2, 4, 4)
    assert likeness_loss([right], activity) < 1e-6
    assert likeness_loss([-right], activity) > 10
    elsewhere = right.clone()
    elsewhere[..., 3, :] = elsewhere[..., :, 3] = 99.0
    assert likeness_loss([elsewhere, right], activity) < 1e-6
    assert likeness_loss([], activity) == likeness_loss([right], torch.zeros_like(activity)) == 0


def test_of_several_centres_of_a_speaker_the_nearest_counts():
    loss = SpeakerLoss(dim=2, classes=2, scale=1.0, centres=2)
    loss.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    cosines = loss.cosines(torch.tensor([[-1.0, 0.0], [0.6, 0.8]]))
    assert torch.allclose(cosines, torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    assert loss(torch.tensor([[-1.0, 0.0]]), torch.tensor([0]), 0.0) < math.log(2)
