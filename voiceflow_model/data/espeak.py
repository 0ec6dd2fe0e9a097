"""The embedded corpus: synthetic speakers, spoken in RAM when asked for, that need no network, download or disk."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from pydantic import Field

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.data.sentences import GRAMMAR, sentence
from voiceflow_model.data.synthesis import ENGINE_VERSION, synthesise
from voiceflow_model.data.voices import VOICES, Voice, VoiceSplit, voices_of
from voiceflow_model.errors import BrokenAudio
from voiceflow_model.section import Section

_ROWS_PER_SHARD = 8


class EspeakCorpusConfig(Section):
    """How many synthetic speakers, and how much each says; an utterance lasts about 4 s."""

    kind: Literal["espeak"] = "espeak"
    voices_train: int = Field(default=24, ge=2, le=len(voices_of("train")))
    voices_dev: int = Field(default=8, ge=2, le=len(voices_of("dev")))
    voices_test: int = Field(default=8, ge=2, le=len(voices_of("test")))
    utterances_per_voice: int = Field(default=60, ge=1)
    heldout_utterances_per_voice: int = Field(default=20, ge=1, description="per voice of validation, dev and test")
    seed: int = Field(default=0, ge=0)


class EspeakCorpus:
    """A Corpus of synthetic voices; a row's sound is a function of the configuration and of the row's key alone.

    Validation, dev and test say sentences that no training row says. Rows go round the voices, each round in an order
    of its own, so a shard of 8 holds up to 8 speakers and a small pool of shards mixes most of them.
    """

    def __init__(self, config: EspeakCorpusConfig) -> None:
        self._config = config
        counts: dict[VoiceSplit, int] = {
            "train": config.voices_train,
            "dev": config.voices_dev,
            "test": config.voices_test,
        }
        self._voices = {split: voices_of(split)[:count] for split, count in counts.items()}

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Voice names, sorted; those of validation are those of train."""
        return tuple(sorted(voice.name for voice in self._of(split)))

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """Eight rows each, the last perhaps fewer."""
        return self._shards[split]

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """Rows whose payload is (voice, text)."""
        for following, (voice, number) in enumerate(shard.payload[start:], start + 1):
            key = f"{voice.name}/{shard.split}-{number:04d}"
            text = sentence(f"{self._config.seed}/{key}", held_out=shard.split != "train")
            yield Row(key=key, speaker=voice.name, payload=(voice, text), following=following)

    def decode(self, row: Row) -> Samples:
        """The row, spoken: (samples,) at 16 kHz."""
        voice, text = row.payload
        samples = synthesise(voice, text)
        if not samples.any():
            raise BrokenAudio(row.key, "silent", f"espeak-ng said nothing for {text!r}")
        return samples

    def reading_mb(self, split: Split) -> float:
        """Nothing: a row is a name."""
        return 0.0

    def fingerprint(self) -> str:
        """Of the engine, the voices, the grammar and the configuration."""
        content = (ENGINE_VERSION, VOICES, GRAMMAR, self._config.model_dump_json())
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def _of(self, split: Split) -> tuple[Voice, ...]:
        return self._voices["train" if split == "validation" else split]

    @cached_property
    def _shards(self) -> dict[Split, tuple[Shard, ...]]:
        splits: tuple[Split, ...] = ("train", "validation", "dev", "test")
        return {split: self._cut(split) for split in splits}

    def _cut(self, split: Split) -> tuple[Shard, ...]:
        config = self._config
        rounds = config.utterances_per_voice if split == "train" else config.heldout_utterances_per_voice
        order: list[tuple[Voice, int]] = []
        for number in range(rounds):
            keys = {voice: _digest(f"{config.seed}/{split}/{number}/{voice.name}") for voice in self._of(split)}
            order += [(voice, number) for voice in sorted(keys, key=keys.__getitem__)]
        starts = range(0, len(order), _ROWS_PER_SHARD)
        return tuple(
            Shard(f"espeak-{split}-{number:05d}", split, tuple(order[start : start + _ROWS_PER_SHARD]))
            for number, start in enumerate(starts)
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
