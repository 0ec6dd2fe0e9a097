"""Test recordings with exact references: conversations of held-out speakers, longer than any training window.

A corpus of real recordings is its own test set, and nothing is simulated.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Protocol

from voiceflow_model.config import RunConfig
from voiceflow_model.data.conversation import Conversation, Utterance, simulate
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.passages import PassagesCorpus
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.diarization.rttm import Turn, one_word
from voiceflow_model.errors import BrokenAudio
from voiceflow_model.evaluation.recording import Recording

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
_MOST_UTTERANCES = 400


class Scored(Protocol):
    """Anything that has a reference."""

    @property
    def reference(self) -> list[Turn]:
        """Who really spoke when."""

    @property
    def duration_s(self) -> float:
        """Seconds."""


def heldout_recordings(config: RunConfig, corpus: Corpus, split: Split) -> Iterator[Recording]:
    """The dev or test recordings of a run, one at a time: real ones where the corpus has them, else simulated."""
    if isinstance(corpus, PassagesCorpus):
        count = config.evaluation.test_recordings if split == "test" else config.evaluation.dev_recordings
        for name, samples, labels, uem in corpus.whole(split, count):
            turns = [Turn(start_s, end_s - start_s, one_word(speaker)) for start_s, end_s, speaker in labels]
            yield Recording(name, samples, turns, len(samples) / SAMPLE_RATE_HZ, uem)
    else:
        yield from simulated_recordings(config, corpus, split)


def dataset_name(config: RunConfig, corpus: Corpus) -> str:
    """What the test recordings are, in words."""
    settings = config.test_corpus
    place = getattr(settings, "url", f"the {settings.kind} corpus")
    if isinstance(corpus, PassagesCorpus):
        return f"test recordings of {place}"
    return f"simulated conversations of test speakers of {place}, seed {config.evaluation.seed}"


def simulated_recordings(config: RunConfig, corpus: Corpus, split: Split) -> list[Recording]:
    """`[evaluation]`'s recordings of the dev or test speakers, the same for the same configuration.

    Reference turns are the voice activity of the clean sources, as in training: 20 ms frames. With `dev_speeds`, each
    dev speaker is heard at one of them in a recording.
    """
    settings = config.evaluation
    names = SpeakerClasses(corpus.speakers(split), settings.dev_speeds if split == "dev" else (1.0,))
    utterances = _utterances(corpus, split, names, config)
    style = settings.turn_style or config.conversation.turn_style
    conversation = config.conversation.model_copy(
        update={"turn_style": style, "overlap_probability": settings.overlap_probability}
    )
    fewest, most = settings.speakers
    count = settings.test_recordings if split == "test" else settings.dev_recordings
    recordings = []
    for number in range(count):
        rng = keyed(settings.seed, "recording", split, number)
        speakers = fewest + number % (most - fewest + 1)
        drawn = keyed(settings.seed, "speeds", split, number).integers(len(names.speeds), size=len(names.names))
        voices = {names.of(name, names.speeds[speed]) for name, speed in zip(names.names, drawn, strict=True)}
        present = {voice: said for voice, said in utterances.items() if voice in voices}
        made = simulate(present, rng, conversation, duration_s=settings.recording_s, speakers=speakers)
        name = f"{split}-{number:03d}"
        recordings.append(
            Recording(name, made.samples, reference_turns(made, names), len(made.samples) / SAMPLE_RATE_HZ)
        )
    return recordings


def overlap_share(recordings: Iterable[Scored]) -> float:
    """Share of the time with speech during which two speak."""
    spoken = overlapped = 0
    for recording in recordings:
        frames = [0] * (round(recording.duration_s / _FRAME_S) + 1)
        for turn in recording.reference:
            for frame in range(round(turn.start_s / _FRAME_S), round(turn.end_s / _FRAME_S)):
                frames[frame] += 1
        spoken += sum(n > 0 for n in frames)
        overlapped += sum(n > 1 for n in frames)
    return overlapped / max(1, spoken)


def reference_turns(conversation: Conversation, names: SpeakerClasses) -> list[Turn]:
    """The stretches of activity of each speaker."""
    turns = []
    for column, speaker in enumerate(conversation.speakers):
        active = [False, *conversation.activity[:, column].tolist(), False]
        name = one_word(names.speaker(speaker))
        edges = [i for i in range(len(active) - 1) if active[i] != active[i + 1]]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            turns.append(Turn(round(start * _FRAME_S, 3), round((end - start) * _FRAME_S, 3), name))
    return sorted(turns)


def _utterances(corpus: Corpus, split: Split, names: SpeakerClasses, config: RunConfig) -> dict[int, list[Utterance]]:
    """Of one pass over the split, the first utterances of each speaker at every speed: `_MOST_UTTERANCES` in all."""
    walk = Walk(corpus, split, names, config.evaluation.seed, 1, config.stream.max_utterance_s)
    each = -(-_MOST_UTTERANCES // len(names))
    taken = Counter[str]()
    by_speaker: dict[int, list[Utterance]] = {}
    for row, place in walk.rows(0, Cursor()):
        if place.passes or min(taken[name] for name in names.names) == each:
            break
        taken[row.speaker] += 1
        if taken[row.speaker] > each:
            continue
        with suppress(BrokenAudio):
            for speed in names.speeds:
                utterance = walk.decode(row, place.passes, speed)
                if isinstance(utterance, Utterance):
                    by_speaker.setdefault(utterance.speaker, []).append(utterance)
    return by_speaker
