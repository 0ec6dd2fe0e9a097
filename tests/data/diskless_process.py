"""A process that trains on what it streams for as long as its input goes on; a line out for a line in."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import TypeAdapter

from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.corpora import CorpusConfig, open_corpus
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import NOBODY, Batch, ConversationStream
from voiceflow_model.data.walk import Walk
from voiceflow_model.network.model import NetworkConfig
from voiceflow_model.training.schedule import Cycle
from voiceflow_model.training.settings import TrainingConfig
from voiceflow_model.training.state import TrainState
from voiceflow_model.training.step import Stepper

NETWORK = NetworkConfig(num_speakers=3, hidden_size=16, blocks=1, attention_blocks=0, mels=20, embedding_dim=16)
TRAINING = TrainingConfig(batch_size=4, gradient_shards=1)
WINDOWS = ConversationConfig(window_s=2.0)
STEPS = 5  # between two lines


class Figures(NamedTuple):
    """A line of output."""

    steps: int
    peak_mb: float  # the most RAM it has ever held
    mb: float  # what it holds now
    written: int  # bytes that the kernel counts as sent to a disk


def figures(steps: int) -> Figures:
    """As /proc has them."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    peak_mb, mb = (int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmHWM", "VmRSS"))
    return Figures(steps, peak_mb, mb, int(io["write_bytes"]))


def train(batches: Iterator[Sequence[Batch]], classes: int) -> Iterator[int]:
    """Real steps without end; their number after every few."""
    state = TrainState.fresh(NETWORK, TRAINING, classes, seed=0, config_hash="", device=torch.device("cpu"))
    with Stepper(state, TRAINING, [Cycle(0, 10_000)], threads=1, dtype=torch.float32) as step:
        while True:
            for _ in range(STEPS):
                step(next(batches))
            yield state.step


def noise() -> Iterator[Sequence[Batch]]:
    """To train on before there is a stream, so that what training itself needs is in the first figures."""
    waveform = keyed("noise").standard_normal((TRAINING.batch_size, 32_000), dtype=np.float32)
    activity = np.zeros((TRAINING.batch_size, 100, 3), np.float32)
    activity[..., 0] = 1
    speakers = np.tile(np.array([[0, NOBODY, NOBODY]]), (TRAINING.batch_size, 1))
    while True:
        yield [Batch(waveform, activity, speakers)]


def main(corpus_json: str, stream_json: str) -> None:
    """The first line is of before the stream was opened."""
    torch.set_num_threads(1)
    corpus = open_corpus(TypeAdapter[CorpusConfig](CorpusConfig).validate_json(corpus_json))
    config = StreamConfig.model_validate_json(stream_json)
    next(train(noise(), 2))
    print(json.dumps(figures(0)), flush=True)
    names = SpeakerClasses(corpus.speakers("train"))
    walk = Walk(corpus, "train", names, 0, config.lanes, config.max_utterance_s)
    with ConversationStream(walk, config, WINDOWS, num_speakers=3, batch_size=TRAINING.batch_size) as stream:
        training = train(stream, len(names))
        while sys.stdin.readline():
            print(json.dumps(figures(next(training))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
