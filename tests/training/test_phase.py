"""A phase survives being stopped anywhere, moved anywhere, and started twice."""

import pytest
import torch

from voiceflow_model.config import RunConfig, parse_config
from voiceflow_model.errors import ConfigError, GateMissed, RunConflict, Yielded
from voiceflow_model.runs.checkpoints import best, newest
from voiceflow_model.runs.run import Run
from voiceflow_model.stages import open_run, run_phase
from voiceflow_model.store import open_store
from voiceflow_model.training.preemption import StopRequest
from voiceflow_model.training.state import read_checkpoint
from voiceflow_model.training.validation import Accuracy

TINY = {
    "corpus": {"kind": "espeak", "voices_train": 4, "utterances_per_voice": 12, "heldout_utterances_per_voice": 4},
    "stream": {"lanes": 2, "pool_blocks": 2, "block_rows": 4, "draws_per_block": 4},
    "conversation": {"window_s": 2.0},
    "network": {"hidden_size": 16, "blocks": 1, "attention_blocks": 0, "mels": 20, "embedding_dim": 16},
    "training": {"batch_size": 4, "learning_rate": 3e-3},
    "phases": {
        "validate": {
            "epochs": 3,
            "windows_per_epoch": 16,
            "crops": {"steps": 3, "batch_size": 8, "window_s": 1.0},
        },
        "train": {"epochs": 2, "windows_per_epoch": 16, "continue_from_validate": True},
    },
    "evaluation": {"validation_conversations": 16, "validation_utterances": 8},
    "gates": {"accuracy": 0.0},
}


class StopsAt:
    """A listener that asks for a stop after a number of steps, and remembers what it was told."""

    def __init__(self, steps: int | None = None) -> None:
        self.stop, self.left, self.said, self.steps = StopRequest(), steps, [], []

    def tick(self, tick):
        self.steps.append(tick.step)
        if self.left is not None and len(self.steps) == self.left:
            self.stop.request("the test asked for it")

    def validated(self, phase, epoch, accuracy):
        self.said.append(f"validated {epoch}")

    def say(self, message):
        self.said.append(message)

    def close(self):
        pass


def go(
    url: str, stop_after: int | None = None, phase="validate", run_id="r", config: RunConfig | None = None, **session
):
    listener = StopsAt(stop_after)
    config = config or parse_config(TINY | {"session": session})
    result = run_phase(config, phase, open_store(url), run_id, stop=listener.stop, listener=listener)
    return result, listener


def final(url: str, phase="validate") -> bytes:
    run = Run.load(open_store(url), "r")
    found = newest(run.store, run.record, phase)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    go("memory://undisturbed")
    return final("memory://undisturbed")


@pytest.fixture(params=["memory", "file", "gs"])
def url(request, tmp_path) -> str:
    if request.param == "gs":
        return request.getfixturevalue("gcs_url") + "/prefix"
    return f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}"


def test_stopped_and_resumed_with_other_threads_ends_with_the_same_bits(url, undisturbed):
    position = 0  # crops end at 3
    for stop_after, threads in ((1, 1), (2, 2), (4, 2), (2, 2)):
        with pytest.raises(Yielded, match="the same command continues"):
            go(url, stop_after, threads=threads, save_every_steps=3)
        position += stop_after
        assert Run.load(open_store(url), "r").record.state == "yielded"
    result, listener = go(url, threads=1)
    assert listener.steps[0] == position + 1  # nothing is repeated, nothing is lost
    assert result.steps == 15
    assert result.windows == 3 * 8 + 12 * 4
    assert [message for message in listener.said if message.startswith("validated")] == ["validated 2", "validated 3"]
    assert final(url) == undisturbed


def test_stopped_within_restarts_and_resumed_ends_with_the_same_bits():
    config = parse_config(TINY, ["phases.validate.restarts={count = 2, epochs = 1, sounds_share = 1}"])
    result, listener = go("memory://restarts-calm", config=config)
    assert (result.steps, result.windows) == (15 + 2 * 4, 3 * 8 + 20 * 4)
    assert [message for message in listener.said if message.startswith("validated")][-3:] == [
        "validated 3", "validated 4", "validated 5",
    ]  # fmt: skip
    for stop_after in (17, 4):  # within each restart
        with pytest.raises(Yielded):
            go("memory://restarts", stop_after, config=config)
    go("memory://restarts", config=config)
    assert final("memory://restarts") == final("memory://restarts-calm")


@pytest.mark.parametrize(("restarts", "kept"), [([], 7), (["phases.validate.restarts={epochs = 1}"], 19)])
def test_the_mean_of_restarts_is_kept_whatever_validation_says_of_it(restarts, kept, monkeypatch):
    falling = iter((0.9, 0.8, 0.7, 0.6))
    monkeypatch.setattr(Accuracy, "score", property(lambda _: next(falling)))
    go(f"memory://falls-{kept}", config=parse_config(TINY, restarts))
    best = Run.load(open_store(f"memory://falls-{kept}"), "r").record.phases["validate"].best
    assert best is not None
    assert best.step == kept


def test_a_finished_phase_is_not_trained_again():
    first, _ = go("memory://twice")
    again, listener = go("memory://twice")
    assert again == first
    assert listener.steps == []
    assert any("skipped" in message for message in listener.said)


def test_train_goes_on_from_the_weights_of_validate():
    go("memory://two-phases")
    result, listener = go("memory://two-phases", phase="train")
    assert result.steps == 8
    assert any("starting from the weights of validate" in message for message in listener.said)


def test_a_session_budget_yields_after_a_commit():
    now = iter(range(0, 100_000, 20))
    stop = StopRequest(session_minutes=1, clock=lambda: next(now))
    listener = StopsAt()
    with pytest.raises(Yielded, match="session budget of 1 minutes"):
        run_phase(parse_config(TINY), "validate", open_store("memory://budget"), "r", stop=stop, listener=listener)
    assert Run.load(open_store("memory://budget"), "r").record.phases["validate"].step == len(listener.steps) > 0


def test_a_worker_that_waits_for_another_can_be_stopped():
    config, store = parse_config(TINY), open_store("memory://held")
    held = open_run(config, store, "r")
    listener = StopsAt()
    listener.stop.request("the test asked for it")
    with (
        held.lease(owner="elsewhere"),
        pytest.raises(Yielded, match="another worker held the run"),
    ):
        run_phase(config, "validate", store, "r", stop=listener.stop, listener=listener)
    assert any("elsewhere" in message for message in listener.said)


def test_other_settings_under_the_same_run_id_are_refused_with_the_difference():
    go("memory://conflict", config=parse_config(TINY))
    with pytest.raises(RunConflict, match=r"training\.learning_rate: 0\.003 -> 0\.1"):
        go("memory://conflict", config=parse_config(TINY, ["training.learning_rate=0.1"]))


def test_settings_of_a_session_may_change_between_sessions():
    with pytest.raises(Yielded):
        go("memory://session", 2, save_every_steps=1)
    result, _ = go("memory://session", save_every_steps=50, lease_ttl_s=30)
    assert result.steps == 15


def test_a_missed_gate_keeps_the_run_and_says_so_every_time():
    strict = parse_config(TINY, ["gates.accuracy=0.98"])
    for _ in range(2):
        with pytest.raises(GateMissed, match=r"majority class .*; both must exceed 98%"):
            go("memory://gate", config=strict)
    assert Run.load(open_store("memory://gate"), "r").record.phases["validate"].checkpoints


def test_accuracy_is_measured_beside_what_guessing_gets():
    result, _ = go("memory://baseline")
    accuracy = result.accuracy
    assert accuracy.speaker_majority == pytest.approx(0.25)
    assert 0.3 < accuracy.frame_majority < 0.95
    assert 0 <= accuracy.frame_accuracy <= 1


def test_a_run_may_start_from_the_weights_of_another():
    url = "memory://start-from"
    go(url, run_id="first")
    go(url, phase="train", run_id="first")
    tuned = {"epochs": 1, "windows_per_epoch": 4, "start_from": "first"}
    config = parse_config(TINY | {"phases": {"validate": tuned, "train": tuned}, "training": {"learning_rate": 1e-12}})
    result, listener = go(url, run_id="second", config=config)
    assert any("starting from the weights of run first" in said and "same speakers" in said for said in listener.said)
    store = open_store(url)
    old = best(store, Run.load(store, "first").record, "train")
    new = best(store, Run.load(store, "second").record, "validate")
    assert old is not None
    assert new is not None
    for name, value in read_checkpoint(old[1])[0].items():
        if name.startswith(("ema.", "speakers.")) and "moments" not in name:
            assert torch.allclose(value, read_checkpoint(new[1])[0][name], atol=1e-6), name
    assert result.steps == 1


def test_a_run_of_other_speakers_starts_with_classes_of_its_own():
    url = "memory://start-from-others"
    go(url, run_id="first")
    go(url, phase="train", run_id="first")
    tuned = {"epochs": 1, "windows_per_epoch": 4, "start_from": "first"}
    config = parse_config(TINY | {"phases": {"validate": tuned, "train": tuned}}, ["stream.speeds=[0.9, 1.0]"])
    result, listener = go(url, run_id="second", config=config)
    assert any("starting from the weights of run first" in said and "other speakers" in said for said in listener.said)
    assert result.steps == 1


def test_a_run_to_start_from_must_be_there_and_be_one_place():
    lost = {"epochs": 1, "windows_per_epoch": 4, "start_from": "nowhere"}
    config = parse_config(TINY | {"phases": {"validate": lost, "train": lost}})
    with pytest.raises(ConfigError, match=r"phases\.validate\.start_from = 'nowhere'"):
        go("memory://start-from-nowhere", config=config)
    go("memory://start-from-other", run_id="other")
    go("memory://start-from-other", phase="train", run_id="other")
    tuned = {"epochs": 1, "windows_per_epoch": 4, "start_from": "other"}
    for change, said in (
        ({"hidden_size": 24}, "hidden_size = 16 and not 24"),
        ({"voice_blocks": 1}, "voice_blocks = None"),
    ):
        other = TINY | {"phases": {"validate": tuned, "train": tuned}, "network": TINY["network"] | change}
        with pytest.raises(ConfigError, match=f"that run's network has {said}"):
            go("memory://start-from-other", run_id=next(iter(change)), config=parse_config(other))
    with pytest.raises(ConfigError, match="two places to start from"):
        parse_config(TINY | {"phases": {"validate": lost, "train": lost | {"continue_from_validate": True}}})
