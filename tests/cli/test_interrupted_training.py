import os
import signal
import subprocess
from pathlib import Path

from command_line import VoiceFlow
from training_process import PATIENCE_S, await_session, record_in, start, train


def test_sigterm_commits_and_exits_75_and_the_same_command_continues(
    tiny: str, tmp_path: Path, subprocess_env: dict[str, str]
) -> None:
    store, log = f"file://{tmp_path / 'store'}", tmp_path / "log"
    settings = ("session.save_every_steps=1000", "phases.train.windows_per_epoch=80", "phases.train.epochs=3")
    process = start(train(tiny, store, *settings), subprocess_env, log)
    await_session(process, store, 0, log, commits=1)  # that of the first epoch's end
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 75, log.read_text()
    record = record_in(store)
    assert start(train(tiny, store, *settings), subprocess_env, log).wait(PATIENCE_S) == 0, log.read_text()
    assert record is not None
    assert (record.state, record.lease) == ("yielded", None)
    assert "received SIGTERM; the same command continues" in log.read_text().replace("\n", " ")
    stopped_at = record.phases["train"].step
    assert 20 <= stopped_at < 60
    assert record.phases["train"].checkpoints[-1].step == stopped_at
    assert f"continuing from step {stopped_at}" in log.read_text()
    after = record_in(store)
    assert after is not None
    assert after.sessions[-1].from_step == stopped_at
    assert "train" in after.stages


def test_a_second_ctrl_c_aborts_even_a_read_that_never_returns(
    tiny: str, speakers: Path, tmp_path: Path, subprocess_env: dict[str, str]
) -> None:
    for file in speakers.glob("*/*.flac"):  # as a dead network does: opening blocks for ever
        file.unlink()
        os.mkfifo(file)
    store, log = f"file://{tmp_path / 'store'}", tmp_path / "log"
    corpus = f"corpus={{kind = 'files', url = '{speakers}', heldout_share = 0.4}}"
    process = start(train(tiny, store, corpus), subprocess_env, log)
    await_session(process, store, 0, log, commits=0)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(1)
        raise AssertionError(f"the first Ctrl-C waits for the step's end:\n{log.read_text()}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 1
    assert log.read_text().endswith("aborted\n")
    record = record_in(store)
    assert record is not None
    assert (record.state, record.lease) == ("yielded", None)


def test_train_that_needs_the_weights_of_validate_says_so_before_it_starts(
    tiny: str, voiceflow: VoiceFlow, tmp_path: Path
) -> None:
    result = voiceflow("train", "--config", tiny, "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "first `voiceflow train --phase validate" in result.stderr
    assert not (tmp_path / "store").exists()
