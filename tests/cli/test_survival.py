"""kill -9 at arbitrary moments, again and again, costs at most a save interval and changes not one bit."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from training_process import PATIENCE_S, SAVE_EVERY, await_session, record_in, start, train

from voiceflow_model.store import open_store

KILLS = 3
STEPS = 48


def survive(tiny: str, folder: Path, env: dict[str, str], seed: int) -> str:
    """Train to the end through kills, each session with other threads; the store."""
    rng, store, log = random.Random(seed), f"file://{folder}", folder.with_suffix(".log")
    for number in range(KILLS):
        before = record_in(store)
        threads = (f"session.threads={1 + number % 2}", f"stream.decode_threads={rng.randint(1, 4)}")
        process = start(train(tiny, store, *threads), env, log)
        try:
            await_session(process, store, before.fence if before else 0, log, commits=rng.randint(0, 5))
            time.sleep(rng.uniform(0, 0.06))
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL, "finished before it could be killed: give the test more steps"
    finish(train(tiny, store, "session.threads=2", "stream.decode_threads=3"), env, log)
    return store


def finish(arguments: list[str], env: dict[str, str], log: Path) -> None:
    assert start(arguments, env, log).wait(PATIENCE_S) == 0, log.read_text()


def final_checkpoint(store: str) -> bytes:
    record = record_in(store)
    assert record is not None
    last = record.phases["train"].checkpoints[-1]
    assert last.step == STEPS
    return open_store(store).read(last.path).data


def test_killed_again_and_again_training_ends_in_the_very_same_bits(
    tiny: str, tmp_path: Path, subprocess_env: dict[str, str]
) -> None:
    with ThreadPoolExecutor(2) as side_by_side:
        chains = [
            side_by_side.submit(survive, tiny, tmp_path / f"killed-{seed}", subprocess_env, seed) for seed in (1, 2)
        ]
        calm, log = f"file://{tmp_path / 'calm'}", tmp_path / "calm.log"
        finish(train(tiny, calm), subprocess_env, log)
        stores = [chain.result() for chain in chains]
    undisturbed = final_checkpoint(calm)
    for store in stores:
        assert final_checkpoint(store) == undisturbed
        record = record_in(store)
        assert record is not None
        assert [session.why.endswith("died") for session in record.sessions] == [True] * KILLS + [False]
        saved = [0, *(int(point["step"]) for point in record.phases["train"].history)]
        assert max(after - before for before, after in pairwise(saved)) <= SAVE_EVERY
        committed = [session for session in record.sessions if session.to_step is not None]
        assert (committed[0].from_step, committed[-1].to_step) == (0, STEPS)
        assert all(after.from_step == before.to_step for before, after in pairwise(committed))
