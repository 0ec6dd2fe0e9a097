import sys

import numpy as np
import pytest
import torch

from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.stream import NOBODY, Batch
from voiceflow_model.errors import Diverged
from voiceflow_model.network.model import NetworkConfig
from voiceflow_model.training import schedule
from voiceflow_model.training.schedule import Cycle
from voiceflow_model.training.settings import TrainingConfig
from voiceflow_model.training.state import TrainState
from voiceflow_model.training.step import Stepper

SMALL = NetworkConfig(hidden_size=16, blocks=1, attention_blocks=1, mels=20, embedding_dim=16)
CONFIG = TrainingConfig(learning_rate=1e-2, warmup_share=0.0, gradient_shards=2)


def fresh() -> TrainState:
    return TrainState.fresh(SMALL, CONFIG, 4, seed=0, config_hash="h", device=torch.device("cpu"))


def batch(number: int, examples: int = 3) -> Batch:
    rng = keyed("batch", number)
    activity = np.zeros((examples, 50, 3), np.float32)
    activity[:, :30, 0] = activity[:, 25:45, 1] = 1
    waveform = 0.1 * rng.standard_normal((examples, 16_000), dtype=np.float32)
    waveform[:, : 16_000 * 3 // 5] += 0.2 * np.sin(np.arange(9_600) * 0.2).astype(np.float32)
    speakers = np.tile(np.array([[0, 1, NOBODY]]), (examples, 1))
    return Batch(waveform, activity, speakers)


def run(threads: int, steps: int) -> TrainState:
    state = fresh()
    with Stepper(state, CONFIG, [Cycle(0, steps)], threads=threads, dtype=torch.float32) as step:
        for n in range(steps):
            step([batch(2 * n), batch(2 * n + 1)])
    return state


def test_any_number_of_threads_gives_the_same_bits():
    assert run(threads=1, steps=4).to_bytes() == run(threads=2, steps=4).to_bytes()


@pytest.mark.parametrize("voice_stretches", [0, 3])
def test_training_learns(voice_stretches):
    state, losses = fresh(), []
    config = CONFIG.model_copy(update={"voice_stretches": voice_stretches})
    with Stepper(state, config, [Cycle(0, 30)], threads=2, dtype=torch.float32) as step:
        losses = [step([batch(n % 3), batch(n % 3)]).loss for n in range(30)]
    assert losses[-1] < losses[0] / 2


def test_averaged_weights_are_an_exponential_average_that_forgets_its_start():
    state = fresh()
    name, weight = next(iter(state.model.named_parameters()))
    expected = weight.detach().clone()
    with Stepper(state, CONFIG, [Cycle(0, 5)], threads=1, dtype=torch.float32) as step:
        for n in range(1, 6):
            step([batch(2 * n), batch(2 * n + 1)])
            decay = min(CONFIG.ema_decay, (1 + n) / (10 + n))
            expected = decay * expected + (1 - decay) * weight.detach()
    assert torch.allclose(state.ema[name], expected, atol=1e-6)


def test_a_loss_that_is_no_number_stops_with_advice():
    state = fresh()
    poisoned = batch(0)._replace(waveform=np.full((3, 16_000), np.nan, np.float32))
    with (
        Stepper(state, CONFIG, [Cycle(0, 10)], threads=1, dtype=torch.float32) as step,
        pytest.raises(Diverged, match="learning_rate"),
    ):
        step([poisoned, batch(1)])
    assert state.to_bytes() == fresh().to_bytes()


def test_schedules_warm_up_ramp_and_end_where_they_say():
    config = TrainingConfig(learning_rate=1.0, final_learning_rate_share=0.1, warmup_share=0.1, margin=0.2)
    once = [Cycle(0, 100)]
    rates = [schedule.learning_rate(config, s, once) for s in range(101)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert schedule.margin(config, 0, once) == 0
    assert schedule.margin(config, 99, once) == 0.2


def test_a_restart_warms_up_to_its_share_under_the_full_margin():
    config = TrainingConfig(learning_rate=1.0, final_learning_rate_share=0.1, warmup_share=0.1, margin=0.2)
    cycles = [Cycle(0, 100), Cycle(100, 150, 0.25)]
    rates = [schedule.learning_rate(config, s, cycles) for s in range(151)]
    assert rates[:100] == [schedule.learning_rate(config, s, cycles[:1]) for s in range(100)]
    assert rates[100] == pytest.approx(0.05)
    assert max(rates[100:]) == rates[104] == rates[105] == 0.25
    assert rates[150] == pytest.approx(0.025)
    assert {schedule.margin(config, s, cycles) for s in range(30, 150)} == {0.2}


def test_after_each_restart_model_and_averaged_weights_are_the_mean_of_all_ends(monkeypatch):
    plain = run(threads=1, steps=2)
    state, ends, average = fresh(), [], TrainState.average_cycles

    def noted(self: TrainState, before: int) -> None:
        ends.append({name: value.clone() for name, value in self.ema.items()})
        average(self, before)
        for name, value in self.model.state_dict().items():
            expected = sum(end[name] for end in ends) / len(ends)
            assert torch.allclose(value, expected, atol=1e-6)
            assert torch.equal(value, self.ema[name])

    monkeypatch.setattr(TrainState, "average_cycles", noted)
    with Stepper(state, CONFIG, [Cycle(0, 2), Cycle(2, 5), Cycle(5, 6)], threads=1, dtype=torch.float32) as step:
        for n in range(6):
            step([batch(2 * n), batch(2 * n + 1)])
    assert len(ends) == 3
    assert all(torch.equal(ends[0][name], value) for name, value in plain.ema.items())
    name = next(iter(dict(state.model.named_parameters())))
    assert not torch.equal(ends[1][name], ends[0][name])


@pytest.mark.parametrize("voice_stretches", [0, 3])
def test_a_voice_in_a_mixture_is_drawn_to_the_same_voice_alone(voice_stretches):
    config = CONFIG.model_copy(
        update={"distillation_weight": 5.0, "speaker_weight": 0.0, "voice_stretches": voice_stretches}
    )
    taught = batch(0)
    alone = np.zeros((3, 3, 16_000), np.float32)
    alone[:, 0, : 16_000 * 3 // 5] = 0.2 * np.sin(np.arange(9_600) * 0.2)
    alone[:, 1] = keyed("other voice").normal(0, 0.1, 16_000)
    taught = taught._replace(sources=alone)
    state = fresh()
    with Stepper(state, config, [Cycle(0, 30)], threads=2, dtype=torch.float32) as step:
        with_teacher = [step([taught, taught]).loss for _ in range(30)]
    state = fresh()
    with Stepper(state, config, [Cycle(0, 30)], threads=2, dtype=torch.float32) as step:
        without = [step([batch(0), batch(0)]).loss for _ in range(30)]
    assert with_teacher[0] > without[0] + 0.1
    assert with_teacher[-1] - without[-1] < (with_teacher[0] - without[0]) / 2


def test_it_is_known_where_the_time_of_a_step_goes():
    with Stepper(fresh(), CONFIG, [Cycle(0, 2)], threads=1, dtype=torch.float32) as step:
        step([batch(0), batch(1)])
        assert set(step.seconds) == {"forward", "backward", "update"}
        assert min(step.seconds.values()) > 0


def test_threads_hand_the_interpreter_over_sooner_while_steps_are_taken():
    before = sys.getswitchinterval()
    with Stepper(fresh(), CONFIG, [Cycle(0, 2)], threads=1, dtype=torch.float32):
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before
