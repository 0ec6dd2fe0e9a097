"""Verification of speakers on held-out speech: over all pairs of some utterances, or over a list of trials."""

from itertools import combinations
from typing import NamedTuple

import fsspec
import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.corpus import Corpus, Split
from voiceflow_model.data.sources.folder import explained
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import BrokenAudio, ConfigError, CorpusError
from voiceflow_model.evaluation.verification import equal_error_rate
from voiceflow_model.training.validation import spread_utterances

_UTTERANCES = 200
_HELD_OUT: tuple[Split, ...] = ("dev", "test")


class Trial(NamedTuple):
    """Two utterances, and whether one person speaks both."""

    same: bool
    left: str
    right: str


def verification_eer(diarizer: Diarizer, corpus: Corpus, trials: str | None = None) -> float:
    """Equal error rate on held-out speakers (dev and test), through the exported file.

    Over all pairs of 200 utterances, or over the trials listed at that address. Raises CorpusError when trials name
    utterances that the corpus does not have.
    """
    if trials is not None:
        return _listed_eer(diarizer, corpus, trials)
    names: list[str] = []
    embeddings = []
    for split in _HELD_OUT:
        for name, samples in spread_utterances(corpus, split, _UTTERANCES // 2):
            names.append(name)
            embeddings.append(diarizer.embed(samples, voice_activity(samples)))
    vectors = np.stack(embeddings)
    pairs = list(combinations(range(len(names)), 2))
    same = [names[i] == names[j] for i, j in pairs]
    return equal_error_rate([vectors[i] @ vectors[j] for i, j in pairs], same).rate


def read_trials(address: str) -> list[Trial]:
    """Lines `1 a b` (same speaker) and `0 a b`, as in VoxCeleb1's veri_test2.txt. Raises ConfigError."""
    with explained(address), fsspec.open(address, "rt") as file:
        lines = file.read().split("\n")
    trials = []
    for number, line in enumerate(lines, 1):
        match line.split():
            case ["0" | "1" as same, left, right]:
                trials.append(Trial(same == "1", _stem(left), _stem(right)))
            case []:
                continue
            case _:
                raise ConfigError(f"{address}, line {number}: {line[:80]!r} is no trial; write `1 utterance utterance`")
    return trials


def _listed_eer(diarizer: Diarizer, corpus: Corpus, address: str) -> float:
    trials = read_trials(address)
    wanted = {name for trial in trials for name in trial[1:]}
    embeddings: dict[str, NDArray[np.float32]] = {}
    for split in _HELD_OUT:
        for shard in corpus.shards(split):
            for row in corpus.rows(shard):
                if (name := _stem(row.key)) not in wanted:
                    continue
                try:
                    samples = corpus.decode(row)
                except BrokenAudio:
                    continue
                embeddings[name] = diarizer.embed(samples, voice_activity(samples))
    if missing := sorted(wanted - embeddings.keys()):
        raise CorpusError(
            f"{address} names {len(missing)} utterances that dev and test speakers do not have, such as {missing[0]}: "
            "check corpus.key_column (of evaluation.corpus), or evaluation.trials"
        )
    scores = [embeddings[trial.left] @ embeddings[trial.right] for trial in trials]
    return equal_error_rate(scores, [trial.same for trial in trials]).rate


def _stem(name: str) -> str:
    """Without the ending: the list says .wav, a corpus may say .flac or nothing."""
    return name.rsplit(".", 1)[0] if "." in name.rsplit("/", 1)[-1] else name
