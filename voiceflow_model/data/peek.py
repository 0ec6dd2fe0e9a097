"""A look at a corpus and at the conversations made of it: what a network would learn from, before it does."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Row, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.walk import Walk
from voiceflow_model.diarization.plot import INK, PALETTE
from voiceflow_model.errors import BrokenAudio, CorpusError
from voiceflow_model.section import Section

Spread = tuple[float, float, float]  # 5th percentile, median, 95th percentile
_QUANTILES = (5, 50, 95)


class Peek(Section):
    """What was seen. Shares are in [0, 1]; `label_shares` of frames in which nobody, one or two speak."""

    split: Split
    speakers: int
    speaker_names: tuple[str, ...]
    shards: int
    keys: tuple[str, ...]
    utterances: int
    undecodable: dict[str, int]
    undecodable_example: str
    duration_s: Spread
    level_dbfs: Spread
    speech_share: float
    conversations: int
    window_s: float
    label_shares: Spread
    overlap_share: float
    cast: dict[int, int]


def look(
    corpus: Corpus,
    split: Split,
    stream: StreamConfig,
    conversation: ConversationConfig,
    *,
    seed: int,
    utterances: int,
    conversations: int,
) -> tuple[Peek, list[Conversation]]:
    """Read `utterances` rows of a split in a keyed order and simulate `conversations`, as training would.

    Rows that cannot be decoded are counted here, and do not stop the look as they would stop a training run. Raises
    CorpusError when none can be decoded.
    """
    rows = list(islice(_rows(corpus, split, seed), utterances))
    durations, levels, shares, broken = _listen(corpus, rows)
    causes = dict(Counter(error.cause for error in broken).most_common())
    if not durations:
        raise CorpusError(f"none of {len(rows)} utterances can be decoded: {causes}; the last one: {broken[-1]}")
    names = SpeakerClasses(corpus.speakers(split), stream.speeds)
    walk = Walk(corpus, split, names, seed, stream.lanes, stream.max_utterance_s)
    forgiving = stream.model_copy(update={"max_broken_share": 1.0})
    with ConversationStream(
        walk, forgiving, conversation, num_speakers=len(conversation.speakers), batch_size=stream.lanes
    ) as examples:
        made = examples.examples(conversations)
    labels = np.concatenate([one.activity.sum(axis=1) for one in made])  # (frames,)
    spoken = int((labels > 0).sum())
    seen = Peek(
        split=split,
        speakers=len(names.names),
        speaker_names=names.names,
        shards=len(walk.shards),
        keys=tuple(row.key for row in rows[:3]),
        utterances=len(rows),
        undecodable=causes,
        undecodable_example=str(broken[0]) if broken else "",
        duration_s=_spread(durations),
        level_dbfs=_spread(levels),
        speech_share=float(np.mean(shares)),
        conversations=len(made),
        window_s=conversation.window_s,
        label_shares=(1 - spoken / len(labels), float((labels == 1).mean()), float((labels > 1).mean())),
        overlap_share=float((labels > 1).sum() / max(spoken, 1)),
        cast=dict(sorted(Counter(int(one.activity.any(axis=0).sum()) for one in made).items())),
    )
    return seen, made


def conversations_png(conversations: Sequence[Conversation]) -> bytes:
    """Spectrograms with, below each, when its speakers talk: one colour per speaker of the window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6 * len(conversations)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 * len(conversations), 1, gridspec_kw={"height_ratios": [3, 1] * len(conversations)})
    for number, one in enumerate(conversations):
        sound, labels = panels[2 * number : 2 * number + 2]
        seconds = len(one.samples) / SAMPLE_RATE_HZ
        sound.imshow(
            _spectrogram_db(one.samples), aspect="auto", origin="lower", extent=(0, seconds, 0, 8), cmap="magma"
        )
        sound.set_ylabel("kHz", color=INK)
        for row, active in enumerate(one.activity.T):
            edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
            spans = [
                (start * FRAME_SAMPLES / SAMPLE_RATE_HZ, (end - start) * FRAME_SAMPLES / SAMPLE_RATE_HZ)
                for start, end in edges
            ]
            labels.broken_barh(spans, (row - 0.4, 0.8), facecolors=PALETTE[row % len(PALETTE)])
        labels.set(xlim=(0, seconds), ylim=(max(one.activity.shape[1], 1) - 0.5, -0.5), yticks=[])
    panels[-1].set_xlabel("time (s)", color=INK)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _rows(corpus: Corpus, split: Split, seed: int) -> Iterator[Row]:
    shards = corpus.shards(split)
    for number in keyed(seed, "peek", split).permutation(len(shards)):
        yield from corpus.rows(shards[number])


def _listen(corpus: Corpus, rows: Sequence[Row]) -> tuple[list[float], list[float], list[float], list[BrokenAudio]]:
    """Seconds, dBFS and share of speech of each row that can be decoded; the errors of the others."""
    durations, levels, shares = list[float](), list[float](), list[float]()
    broken: list[BrokenAudio] = []
    for row in rows:
        try:
            samples = corpus.decode(row)
        except BrokenAudio as error:
            broken.append(error)
            continue
        durations.append(len(samples) / SAMPLE_RATE_HZ)
        levels.append(float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12)))
        shares.append(float(voice_activity(samples).mean()))
    return durations, levels, shares, broken


def _spread(values: Sequence[float]) -> Spread:
    low, middle, high = (float(value) for value in np.percentile(values, _QUANTILES))
    return low, middle, high


def _spectrogram_db(samples: NDArray[np.float32], window: int = 400, hop: int = 160) -> NDArray[np.float32]:
    """(samples,) -> (window // 2 + 1, frames), decibels, the lowest 80 below the highest."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window)
    decibels = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)).T + 1e-6)
    shown: NDArray[np.float32] = np.maximum(decibels, decibels.max() - 80).astype(np.float32)
    return shown
