import pickle

import pytest
import torch

from voiceflow_model.errors import CheckpointCorrupt, RunConflict
from voiceflow_model.network.model import NetworkConfig
from voiceflow_model.training.settings import TrainingConfig
from voiceflow_model.training.state import TrainState

SMALL = NetworkConfig(hidden_size=16, blocks=1, attention_blocks=0, mels=20, embedding_dim=16)


def fresh(seed: int = 0, config_hash: str = "hash", classes: int = 4) -> TrainState:
    return TrainState.fresh(
        SMALL, TrainingConfig(), classes, seed=seed, config_hash=config_hash, device=torch.device("cpu")
    )


def trained(steps: int = 3) -> TrainState:
    state = fresh()
    for i in range(steps):
        for j, parameter in enumerate(state.parameters):
            parameter.grad = torch.full_like(parameter, (i + 1) * (j + 1) * 1e-3)
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        state.smooth({"loss": float(i)})
    state.stream = {"0": [3, [0, 1, 2], 8, [["empty", 1]]]}
    state.history = [{"step": 1, "loss": 2.0}]
    return state


def test_a_loaded_state_is_the_saved_one_bit_for_bit_and_goes_on_alike():
    saved, loaded = trained(), fresh(seed=5)
    loaded.load_bytes(saved.to_bytes())
    assert loaded.to_bytes() == saved.to_bytes()
    for state in (saved, loaded):
        for parameter in state.parameters:
            parameter.grad = torch.ones_like(parameter)
        for optimizer in state.optimizers:
            optimizer.step()
    assert loaded.to_bytes() == saved.to_bytes()


def test_a_state_before_its_first_step_can_be_saved():
    loaded = fresh(seed=5)
    loaded.load_bytes(fresh().to_bytes())
    assert loaded.to_bytes() == fresh().to_bytes()


def test_another_configuration_is_refused():
    with pytest.raises(RunConflict, match="another --run-id"):
        fresh(config_hash="other").load_bytes(trained().to_bytes())


class _Bomb:
    def __reduce__(self):
        return (open, ("/tmp/voiceflow-pickle-was-executed", "w"))


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", pickle.dumps(_Bomb()), trained().to_bytes()[:500]])
def test_anything_but_a_checkpoint_is_refused_and_never_executed(data, tmp_path):
    with pytest.raises(CheckpointCorrupt, match="voiceflow fsck"):
        fresh().load_bytes(data)
    import os

    assert not os.path.exists("/tmp/voiceflow-pickle-was-executed")


def test_another_phase_starts_from_averaged_weights_and_known_speakers():
    earlier = trained()
    for value in earlier.ema.values():
        value.add_(1)
    same, others = fresh(seed=9), fresh(seed=9, classes=7)
    same.start_from(earlier.to_bytes(), same_speakers=True)
    others.start_from(earlier.to_bytes(), same_speakers=False)
    for state in (same, others):
        assert all(torch.equal(p, earlier.ema[n]) for n, p in state.model.named_parameters())
        assert state.step == 0
    assert torch.equal(same.speakers.weight, earlier.speakers.weight)


def test_the_averaged_model_is_a_copy():
    state = trained()
    averaged = state.averaged_model()
    with torch.no_grad():
        next(averaged.parameters()).add_(1)
    assert torch.equal(next(iter(state.ema.values())), trained().ema[next(iter(state.ema))])
