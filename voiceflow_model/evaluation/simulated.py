"""Test recordings with exact references: conversations of held-out speakers, longer than any training window."""

from voiceflow_model.config import RunConfig
from voiceflow_model.data.conversation import Conversation, Utterance, simulate
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.evaluation.recording import Recording

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
_MOST_UTTERANCES = 400


def simulated_recordings(config: RunConfig, corpus: Corpus, split: Split) -> list[Recording]:
    """`[evaluation]`'s recordings of the dev or test speakers, the same for the same configuration.

    Reference turns are the voice activity of the clean sources, as in training: 20 ms frames.
    """
    settings = config.evaluation
    names = SpeakerClasses(corpus.speakers(split))
    utterances = _utterances(corpus, split, names, config)
    conversation = config.conversation.model_copy(update={"overlap_probability": settings.overlap_probability})
    fewest, most = settings.speakers
    count = settings.test_recordings if split == "test" else settings.dev_recordings
    recordings = []
    for number in range(count):
        rng = keyed(settings.seed, "recording", split, number)
        speakers = fewest + number % (most - fewest + 1)
        made = simulate(utterances, rng, conversation, duration_s=settings.recording_s, speakers=speakers)
        name = f"{split}-{number:03d}"
        recordings.append(
            Recording(name, made.samples, reference_turns(made, names), len(made.samples) / SAMPLE_RATE_HZ)
        )
    return recordings


def overlap_share(recordings: list[Recording]) -> float:
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
        edges = [i for i in range(len(active) - 1) if active[i] != active[i + 1]]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            turns.append(Turn(round(start * _FRAME_S, 3), round((end - start) * _FRAME_S, 3), names.speaker(speaker)))
    return sorted(turns)


def _utterances(corpus: Corpus, split: Split, names: SpeakerClasses, config: RunConfig) -> dict[int, list[Utterance]]:
    walk = Walk(corpus, split, names, config.evaluation.seed, 1, config.stream.max_utterance_s)
    rows = min(_MOST_UTTERANCES, sum(1 for shard in walk.shards for _ in corpus.rows(shard)))
    by_speaker: dict[int, list[Utterance]] = {}
    for utterance in walk.read_block(0, Cursor(), rows).utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    return by_speaker
