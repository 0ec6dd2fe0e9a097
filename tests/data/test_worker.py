"""Processes that make conversations: the same examples, errors as they are, and nobody left behind."""

import gc
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.tones import ToneCorpus
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import Batch, ConversationStream
from voiceflow_model.data.walk import Walk
from voiceflow_model.errors import CorpusError, WorkerDied

ROOT = Path(__file__).parents[2]


def stream(processes: int, corpus: ToneCorpus | None = None, state: Any = None) -> ConversationStream:
    corpus = corpus or ToneCorpus()
    config = StreamConfig(lanes=4, pool_blocks=2, block_rows=3, draws_per_block=5, worker_processes=processes)
    walk = Walk(corpus, "train", SpeakerClasses(corpus.names), 7, config.lanes, config.max_utterance_s)
    windows = ConversationConfig(window_s=1.0)
    return ConversationStream(walk, config, windows, num_speakers=3, batch_size=8, shards=2, sources=True, state=state)


def content(batches: tuple[Batch, ...]) -> bytes:
    return b"".join(part.tobytes() for batch in batches for part in batch if part is not None)


def children() -> list[int]:
    """Worker processes of this process."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if (
                f"PPid:\t{os.getpid()}\n" in status.read_text()
                and b"data.worker" in (status.parent / "cmdline").read_bytes()
            ):
                found.append(int(status.parent.name))
    return found


def test_stops_and_other_numbers_of_processes_change_nothing() -> None:
    with stream(0) as source:
        expected = [content(batches) for batches in islice(source, 24)]
    got, state = list[bytes](), None
    for processes, batches in ((0, 5), (2, 7), (9, 8), (0, 4)):  # nine is more than there are lanes
        with stream(processes, state=state) as source:
            got += [content(next(source)) for _ in range(batches)]
            state = source.state
    assert got == expected


def test_a_batch_is_its_holder_s_as_long_as_a_view_of_it_lives() -> None:
    with stream(2) as source:
        kept = [next(source)[1].activity[1:] for _ in range(6)]
        before = [part.copy() for part in kept]
        for _ in range(6):
            next(source)
        assert all(np.array_equal(*pair) for pair in zip(kept, before, strict=True))
        slots = source._slots
        grown = len(slots._memory)
        del kept
        gc.collect()
        for _ in range(12):
            next(source)
        assert len(slots._memory) == grown, "memory is not used again"


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    broken = frozenset(f"{s:02d}/1" for s in range(10))
    with stream(2, ToneCorpus(broken=broken)) as source, pytest.raises(CorpusError, match="max_broken_share"):
        list(islice(source, 300))


def test_a_worker_that_is_killed_is_an_error_that_says_so() -> None:
    with stream(2) as source:
        next(source)
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"\(-9\).*worker_processes"):
            list(islice(source, 5))
    assert not children()


TRAINS = """
from tests.data.test_worker import children, stream
source = stream(2)
next(source)
print(*children(), flush=True)
input()
"""


def test_workers_end_with_whoever_trains_however_that_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TRAINS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as trains:
        assert trains.stdout
        workers = [int(pid) for pid in trains.stdout.readline().split()]
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGTERM)  # not theirs to decide
        time.sleep(0.2)
        assert all(Path(f"/proc/{worker}").exists() for worker in workers)
        trains.kill()
    for _ in range(100):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            return
        time.sleep(0.1)
    raise AssertionError("workers go on for nobody")


def test_speakers_alone_add_up_to_the_mixture_where_nothing_else_is_heard() -> None:
    config = StreamConfig(lanes=2, pool_blocks=2, block_rows=3, draws_per_block=5, worker_processes=1)
    corpus = ToneCorpus()
    walk = Walk(corpus, "train", SpeakerClasses(corpus.names), 7, config.lanes, config.max_utterance_s)
    dry = ConversationConfig(window_s=1.0, noiseless_share=1.0, room_share=0.0)
    with ConversationStream(walk, config, dry, num_speakers=3, batch_size=8, sources=True) as source:
        for (batch,) in islice(source, 3):
            assert batch.sources is not None
            for waveform, alone in zip(batch.waveform, batch.sources, strict=True):
                together = alone.sum(axis=0)
                gain = np.vdot(together, waveform) / max(np.vdot(together, together), 1e-9)
                assert np.abs(gain * together - waveform).max() < 1e-4
