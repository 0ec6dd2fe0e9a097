"""From single-speaker utterances to a conversation with exact labels, in RAM, as a pure function of its generator."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from voiceflow_model.data.augment import in_room, noise, sounds
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.turns import Turns, TurnStatistics, turn_statistics
from voiceflow_model.section import Section

_CROWD = 5  # voices of which no single one is followed any more
_FADE = np.linspace(0, 1, 80, dtype=np.float32)  # 5 ms: a cut inside speech must not click


class ConversationConfig(Section):
    """How conversations are simulated."""

    window_s: float = Field(10.0, gt=0.5, multiple_of=0.02)
    speakers: tuple[float, ...] = Field((0.04, 0.2, 0.4, 0.36), description="probability of 0, 1, 2, ... speakers")
    turn_style: Turns = Field("voxconverse", description="ami, voxconverse, or a file of `voiceflow fit-turns`")
    overlap_probability: float | None = Field(None, ge=0, le=1, description="of a change of speaker; None: as measured")
    max_turn_s: float = Field(8.0, gt=0)
    level_db: tuple[float, float] = Field((-6.0, 6.0), description="of a speaker, relative to the others")
    snr_db: tuple[float, float] = (5.0, 20.0)
    noiseless_share: float = Field(
        0.1, ge=0, le=1, description="conversations without added noise, digital silence kept"
    )
    babble_share: float = Field(0.0, ge=0, le=1, description="of the noise: a crowd of the pool's other speakers")
    sounds_share: float = Field(
        0.0, ge=0, le=1, description="conversations with keys, knocks, breath and rustling between and beneath words"
    )
    room_share: float = Field(0.3, ge=0, le=1, description="conversations with synthetic reverberation")

    @model_validator(mode="after")
    def _sums_to_one(self) -> "ConversationConfig":
        if abs(sum(self.speakers) - 1) > 1e-6 or min(self.speakers) < 0:
            raise ValueError(f"speakers must be probabilities that sum to 1, not to {sum(self.speakers):g}")
        return self


@dataclass(frozen=True)
class Utterance:
    """Decoded speech of one speaker in the pool, trimmed to its speech."""

    key: str
    speaker: int  # class of the speaker, as in SpeakerClasses
    samples: NDArray[np.int16] = field(repr=False)  # a whole number of frames
    activity: NDArray[np.bool_] = field(repr=False)  # (frames,)


class Turn(NamedTuple):
    """Where a stretch of an utterance was put. In frames; `into` may be negative: it began before the window."""

    slot: int  # index of the speaker in this conversation
    key: str
    offset: int  # first frame taken from the utterance
    into: int  # frame of the conversation at which it starts
    frames: int


@dataclass(frozen=True)
class Conversation:
    """A mixture and its labels. `sources` are the clean, levelled tracks that the mixture was made from."""

    samples: Samples  # (samples,)
    activity: NDArray[np.bool_]  # (frames, speakers)
    speakers: tuple[int, ...]  # class of each column
    turns: tuple[Turn, ...]
    sources: NDArray[np.float32]  # (speakers, samples)


def simulate(
    utterances: Mapping[int, Sequence[Utterance]],
    rng: np.random.Generator,
    config: ConversationConfig,
    *,
    duration_s: float | None = None,
    speakers: int | None = None,
    into: Samples | None = None,
) -> Conversation:
    """Draw one conversation among the speakers of `utterances` (class -> its utterances, each non-empty).

    Speech of one speaker keeps its order and never overlaps itself; at most two speak at once, as in the powerset.
    Without `speakers` their number is drawn from the configuration, bounded by how many there are. The mixture is made
    in `into`, (samples,), where that is given.
    """
    frames = round((duration_s or config.window_s) * SAMPLE_RATE_HZ) // FRAME_SAMPLES
    if speakers is None:
        speakers = _pick(config.speakers, rng)
    present = sorted(utterances)
    cast = rng.choice(len(present), size=min(speakers, len(present)), replace=False)
    classes = tuple(present[i] for i in cast)
    tapes = [_Tape(utterances[c], rng) for c in classes]
    speech = _take_turns(tapes, frames, rng, config) if tapes else []
    sources, activity, spoken = _place(speech, len(tapes), frames)
    samples = np.empty(frames * FRAME_SAMPLES, np.float32) if into is None else into
    others = [utterances[c] for c in present if c not in classes]
    _record(sources, spoken, others, rng, config, samples)
    return Conversation(samples, activity, classes, tuple(turn for turn, _ in speech), sources)


class _Tape:
    """One speaker's utterances end to end, in a drawn order, played round and round.

    A single one is played from anywhere in it: else whoever has no other is never heard but from its beginning.
    """

    def __init__(self, utterances: Sequence[Utterance], rng: np.random.Generator) -> None:
        self.utterances = [utterances[i] for i in rng.permutation(len(utterances))]
        self.number = 0
        self.offset = 0 if len(utterances) > 1 else int(rng.integers(len(utterances[0].activity)))

    def cut(self, frames: int) -> tuple[Utterance, int, int]:
        """The next stretch of about `frames`: (utterance, first frame, frames), ending at a pause where one is near."""
        utterance = self.utterances[self.number % len(self.utterances)]
        start, total = self.offset, len(utterance.activity)
        end = min(start + frames, total)
        pause = utterance.activity[end : end + 50].tobytes().find(False)  # -1: none is near
        end += max(0, pause)
        if total - end < 25:  # no crumbs under half a second
            end = total
        self.number, self.offset = (self.number + 1, 0) if end == total else (self.number, end)
        return utterance, start, end - start


def _take_turns(
    tapes: Sequence[_Tape], frames: int, rng: np.random.Generator, config: ConversationConfig
) -> list[tuple[Turn, Utterance]]:
    """Let the speakers talk from some time before frame 0 until the window is full."""
    statistics = turn_statistics(config.turn_style)
    overlap = statistics.overlap_probability if config.overlap_probability is None else config.overlap_probability
    talkative = rng.dirichlet(np.full(len(tapes), 3.0))
    last_end = [-(10**9)] * len(tapes)  # of each speaker's speech
    speech: list[tuple[Turn, Utterance]] = []
    slot = int(rng.integers(len(tapes)))
    at = -int(rng.integers(0, round(config.max_turn_s * 50)))
    while True:
        wanted = min(statistics.draw(statistics.turn_s, rng), config.max_turn_s) * 50
        utterance, offset, length = tapes[slot].cut(max(10, round(wanted)))
        if at >= frames:
            return speech
        speech.append((Turn(slot, utterance.key, offset, at, length), utterance))
        last_end[slot] = max(last_end[slot], at + length)
        following = _next_speaker(slot, talkative, statistics, rng)
        latest = max(last_end)
        earliest = at + 5
        at = latest + _gap(following == slot, overlap, statistics, rng)
        # own speech never overlaps itself, and a third voice waits for one of two to end
        two_speaking_until = sorted(last_end)[-2] if len(tapes) > 1 else latest
        at = max(at, last_end[following], two_speaking_until, earliest)
        slot = following


def _next_speaker(slot: int, talkative: NDArray[np.float64], s: TurnStatistics, rng: np.random.Generator) -> int:
    if len(talkative) == 1 or rng.random() >= s.change_probability:
        return slot
    weights = talkative.copy()
    weights[slot] = 0
    return _pick((weights / weights.sum()).tolist(), rng)


def _pick(probabilities: Sequence[float], rng: np.random.Generator) -> int:
    """`rng.choice(len(probabilities), p=probabilities)` to the bit, without its checks, slower than all the rest."""
    shares = list(accumulate(probabilities))
    return bisect_right([share / shares[-1] for share in shares], rng.random())


def _gap(same: bool, overlap_probability: float, s: TurnStatistics, rng: np.random.Generator) -> int:
    """Frames from the latest end of speech to the next start: negative is overlap."""
    if same:
        return round(s.draw(s.pause_same_s, rng) * 50)
    if rng.random() < overlap_probability:
        return -round(s.draw(s.overlap_s, rng) * 50)
    return round(s.draw(s.pause_change_s, rng) * 50)


def _place(
    speech: Sequence[tuple[Turn, Utterance]], speakers: int, frames: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[list[slice]]]:
    """Put the turns on one clean track per speaker: sources (speakers, samples), activity (frames, speakers).

    And for each speaker the stretches of samples, in order, outside of which the track is digital silence.
    """
    sources = np.zeros((speakers, frames * FRAME_SAMPLES), np.float32)
    activity = np.zeros((frames, speakers), bool)
    spoken: list[list[slice]] = [[] for _ in range(speakers)]
    for turn, utterance in speech:
        first, last = max(0, turn.into), min(frames, turn.into + turn.frames)
        if last <= first:
            continue
        shift = turn.offset - turn.into
        spoken[turn.slot].append(slice(first * FRAME_SAMPLES, last * FRAME_SAMPLES))
        piece = sources[turn.slot, spoken[turn.slot][-1]]
        samples = utterance.samples[(first + shift) * FRAME_SAMPLES : (last + shift) * FRAME_SAMPLES]
        np.divide(samples, np.float32(32768), out=piece)
        piece[: len(_FADE)] *= _FADE
        piece[-len(_FADE) :] *= _FADE[::-1]
        activity[first:last, turn.slot] = utterance.activity[first + shift : last + shift]
    return sources, activity, spoken


def _record(
    sources: NDArray[np.float32],
    spoken: Sequence[Sequence[slice]],
    others: Sequence[Sequence[Utterance]],
    rng: np.random.Generator,
    config: ConversationConfig,
    mixture: Samples,
) -> None:
    """Levels, room, noise and the recording's gain: fills `mixture`, and levels `sources` where they are `spoken`.

    `others` are the utterances of the speakers who are not in the conversation.
    """
    for source, stretches in zip(sources, spoken, strict=True):
        speech = np.concatenate([source[:0], *(source[one][source[one] != 0] for one in stretches)])
        level = np.sqrt(np.mean(np.square(speech, out=speech))) if len(speech) else 1.0
        gain = 0.05 / max(level, 1e-4) * 10 ** (rng.uniform(*config.level_db) / 20)
        for one in stretches:
            source[one] *= gain
    if rng.random() < config.room_share and sources.any():
        mixture[:] = in_room(sources, rng)
    else:
        mixture[:] = 0
        for source, stretches in zip(sources, spoken, strict=True):
            for one in stretches:
                mixture[one] += source[one]
    if rng.random() >= config.noiseless_share:
        crowd = len(others) >= _CROWD and rng.random() < config.babble_share
        hiss = _babble(others, len(mixture), rng) if crowd else noise(len(mixture), rng)
        mixture += hiss * np.float32(0.05 * 10 ** (-rng.uniform(*config.snr_db) / 20))
    if config.sounds_share and rng.random() < config.sounds_share:
        mixture += sounds(len(mixture), rng) * np.float32(0.05)
    peak = max(float(mixture.max()), -float(mixture.min()))
    mixture *= np.float32(10 ** (rng.uniform(-25, -1) / 20) / max(peak, 1e-3))


def _babble(others: Sequence[Sequence[Utterance]], samples: int, rng: np.random.Generator) -> Samples:
    """Unit-variance noise (samples,) of so many people that nobody listens to one of them, each equally loud."""
    crowd = np.zeros(samples, np.float32)
    for number in rng.choice(len(others), _CROWD, replace=False).tolist():
        voice = others[number][int(rng.integers(len(others[number])))].samples
        voice = np.resize(np.roll(voice, int(rng.integers(len(voice)))), samples).astype(np.float32)
        crowd += voice / max(float(voice.std()), 1.0)
    return crowd / max(float(crowd.std()), 1e-3)
