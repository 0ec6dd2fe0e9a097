import pytest
import torch

from voiceflow_model.network.model import NetworkConfig, seeded_model
from voiceflow_model.training.losses import SpeakerLoss
from voiceflow_model.training.optimizer import Muon, optimizers, orthogonal
from voiceflow_model.training.settings import TrainingConfig


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_every_direction_becomes_about_equally_strong(shape):
    left, _, right = torch.linalg.svd(drawn(*shape), full_matrices=False)
    strength = torch.linalg.svdvals(orthogonal(left * torch.logspace(-1.5, 0, min(shape)) @ right))
    assert strength.min() > 0.6
    assert strength.max() < 1.25


def test_without_a_gradient_nothing_moves():
    assert not orthogonal(torch.zeros(4, 6)).any()


def test_it_steps_as_torchs_own_does_up_to_bfloat16():
    start = drawn(6, 8)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    muon = Muon([ours], lr=0.01, weight_decay=0.1)
    torchs = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for number in range(5):
        ours.grad = drawn(6, 8, 1 + number)[..., 0]
        theirs.grad = ours.grad.clone()
        muon.step()
        torchs.step()
    moved = (theirs - start).abs().max()
    assert moved > 0.01
    assert (ours - theirs).abs().max() < 0.05 * moved


def test_every_parameter_is_moved_by_exactly_one():
    model = seeded_model(NetworkConfig(hidden_size=16, blocks=1, attention_blocks=1, mels=20, embedding_dim=16), 0)
    speakers = SpeakerLoss(16, 4, 30.0)
    every = {*model.parameters(), *speakers.parameters()}
    for chosen in ("muon", "adamw"):
        moved = [
            {p for group in one.param_groups for p in group["params"]}
            for one in optimizers(model, speakers, TrainingConfig(optimizer=chosen))
        ]
        assert set.union(*moved) == every
        assert sum(map(len, moved)) == len(every)
        if chosen == "muon":
            assert {model.segmentation.classify.weight, speakers.weight} <= moved[0]
            assert model.encoder.blocks[0].expand.weight in moved[1]
