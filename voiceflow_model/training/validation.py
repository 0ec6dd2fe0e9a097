"""Accuracy that means something: on conversations and utterances never trained on, beside what guessing would get."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.corpus import FRAME_SAMPLES, Corpus, Row, Samples, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.passage import label_activity
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import Batch, ConversationStream
from voiceflow_model.errors import BrokenAudio, CorpusError
from voiceflow_model.network.model import FastDiarizationModel
from voiceflow_model.network.powerset import Powerset
from voiceflow_model.section import Section
from voiceflow_model.training.losses import SpeakerLoss, aligned_classes

_CANDIDATES = 4  # looked at for each utterance that is taken
_LEAST_FRAMES = 50  # of a stretch in which one person speaks alone


class Accuracy(Section):
    """Shares in [0, 1]; `*_majority` is what always answering the most frequent class would score.

    `unseen_*` are DERs of `UnseenVoices`, with the truths of `OracleTable`, where such recordings are asked for.
    """

    frame_accuracy: float
    frame_majority: float
    speaker_accuracy: float
    speaker_majority: float
    unseen_nothing: float | None = None
    unseen_count: float | None = None
    unseen_clustering: float | None = None
    unseen_segmentation: float | None = None

    @property
    def score(self) -> float:
        """What the best checkpoint is chosen by."""
        return (self.frame_accuracy + self.speaker_accuracy) / 2


class ValidationSet:
    """Held-out conversations and held-out utterances of the training speakers, decoded once and kept."""

    def __init__(self, conversations: Sequence[Batch], utterances: Sequence[tuple[Samples, int]]) -> None:
        self.conversations = conversations
        self.utterances = utterances

    def measure(
        self, model: FastDiarizationModel, speakers: SpeakerLoss, speeds: int, batch_size: int = 16
    ) -> Accuracy:
        """Frame accuracy under the best renaming of speakers, and speaker accuracy, of `model` in eval mode."""
        frames = hits = 0
        for batch in self.conversations:
            guess, reference = _classify(model, batch)
            hits += int((guess == reference).sum())
            frames += reference.numel()
        right, people = 0, Counter(speaker for _, speaker in self.utterances)
        for part in _parts(self.utterances, batch_size):
            embeddings = embed_utterances(model, [samples for samples, _ in part])
            guesses = speakers.cosines(embeddings).argmax(-1) // speeds
            right += int((guesses.cpu() == torch.tensor([speaker for _, speaker in part])).sum())
        return Accuracy(
            frame_accuracy=hits / frames,
            frame_majority=_best_constant(self.conversations, model.powerset),
            speaker_accuracy=right / len(self.utterances),
            speaker_majority=max(people.values()) / len(self.utterances),
        )


def validation_set(
    corpus: Corpus, names: SpeakerClasses, stream: ConversationStream, conversations: int, utterances: int
) -> ValidationSet:
    """Draw `conversations` from a stream over the validation split, and up to `utterances` spread over its speakers."""
    batches: list[Batch] = []
    while sum(len(b.waveform) for b in batches) < conversations:
        batches.extend(next(stream))
    spoken = list(spread_utterances(corpus, "validation", utterances))
    return ValidationSet(batches, [(samples, names.names.index(name)) for name, samples in spoken])


def spread_utterances(corpus: Corpus, split: Split, count: int) -> Iterator[tuple[str, Samples]]:
    """Up to `count` decodable utterances (speaker, samples) in a keyed order, speakers as even as they come."""
    spoken = _candidates(corpus, split, _CANDIDATES * count)
    order = keyed("spread", split).permutation(len(spoken))
    seen = Counter[str]()
    rank: list[tuple[int, int, int]] = []
    for i in order:
        rank.append((seen[spoken[i][0]], len(rank), int(i)))
        seen[spoken[i][0]] += 1
    given = 0
    for _, _, i in sorted(rank):
        if given == count:
            return
        speaker, sound = spoken[i]
        try:
            yield speaker, corpus.decode(sound) if isinstance(sound, Row) else sound
            given += 1
        except BrokenAudio:
            continue
    if not given:
        raise CorpusError(f"the {split} split has no utterance that can be decoded")


def _candidates(corpus: Corpus, split: Split, count: int) -> list[tuple[str, Row | Samples]]:
    """About `count` utterances, of shards spread over the split, in the order of the corpus.

    Of a passage of a recording, the longest stretch in which each speaker is alone; it is decoded at once, since its
    row holds the whole recording.
    """
    shards = corpus.shards(split)
    found: dict[int, list[tuple[str, Row | Samples]]] = {}
    for number in keyed("shards", split).permutation(len(shards)):
        if sum(map(len, found.values())) >= count:
            break
        spoken = found.setdefault(int(number), [])
        for row in corpus.rows(shards[number]):
            if row.labels is None:
                spoken.append((row.speaker, row))
            else:
                spoken.extend(_alone(corpus, row))
    return [one for number in sorted(found) for one in found[number]]


def _alone(corpus: Corpus, row: Row) -> Iterator[tuple[str, Samples]]:
    try:
        samples = corpus.decode(row)
    except BrokenAudio:
        return
    activity, names = label_activity(row.labels or (), len(samples) // FRAME_SAMPLES)
    single = activity & (activity.sum(axis=1, keepdims=True) == 1)
    for name, alone in zip(names, single.T, strict=True):
        edges = np.flatnonzero(np.diff(alone.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        first, last = max(edges.tolist(), key=lambda edge: edge[1] - edge[0], default=(0, 0))
        if last - first >= _LEAST_FRAMES:
            yield name, samples[first * FRAME_SAMPLES : last * FRAME_SAMPLES]


@torch.no_grad()
def embed_utterances(model: FastDiarizationModel, utterances: Sequence[Samples], window_s: float = 10.0) -> Tensor:
    """One embedding per utterance (n, dim), each repeated or cut to a window and pooled where there is speech."""
    samples = round(window_s * 50) * FRAME_SAMPLES
    device = next(model.parameters()).device
    waveform = np.stack([np.resize(u, samples) for u in utterances])
    active = np.zeros((len(utterances), samples // FRAME_SAMPLES, model.powerset.num_speakers), np.float32)
    active[:, :, 0] = [voice_activity(w) for w in waveform]
    embeddings: Tensor = model(torch.from_numpy(waveform).to(device), torch.from_numpy(active).to(device)).embeddings
    return embeddings[:, 0]


def _best_constant(conversations: Sequence[Batch], powerset: Powerset) -> float:
    """Frame accuracy of always answering one class, its speakers renamed to fit each window best, as for the model."""
    shares = torch.zeros(len(powerset.classes))
    for batch in conversations:
        reference = powerset.encode(torch.from_numpy(batch.activity))  # (batch, frames)
        per_class = torch.nn.functional.one_hot(reference, len(powerset.classes)).float().mean(1)  # (batch, classes)
        shares += per_class[:, powerset.permuted].amax(1).sum(0)
    return float(shares.max()) / sum(len(batch.waveform) for batch in conversations)


@torch.no_grad()
def _classify(model: FastDiarizationModel, batch: Batch) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    logits = model(torch.from_numpy(batch.waveform).to(device)).logits
    reference = aligned_classes(logits, torch.from_numpy(batch.activity).to(device), model.powerset)
    return logits.argmax(-1), reference


def _parts(items: Sequence[tuple[Samples, int]], size: int) -> Iterator[Sequence[tuple[Samples, int]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
