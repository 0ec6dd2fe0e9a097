"""Which speech is held out, decided by hashes of names: the same on every machine, and whatever the listing order."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

_SPEAKERS_WANTED = 4  # two for dev, two for test: a conversation takes two
_SPEAKERS_KEPT = 2

Part = tuple[float, float]


class SpeakerSplit(NamedTuple):
    """Names of the speakers to train on, and of two disjoint groups that training never hears; each sorted."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


class Piece(NamedTuple):
    """A stretch of one utterance of a training speaker, and the split it is for."""

    key: str
    split: Literal["train", "validation"]
    part: Part


def split_speakers(names: Iterable[str], share: float) -> SpeakerSplit:
    """Hold out `share` of the speakers, at least four where two remain to train on; none when the share is 0.

    A single one is not held out either: there would be no second for test, and training would lose it for nothing.
    """
    order = sorted(set(names), key=_digest)
    wanted = max(round(share * len(order)), _SPEAKERS_WANTED) if share else 0
    held = order[: max(0, min(wanted, len(order) - _SPEAKERS_KEPT))]
    dev, test = halve(held)
    return SpeakerSplit(tuple(sorted(set(order) - {*dev, *test})), dev, test)


def halve(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Held-out speakers as (dev, test), each sorted; both empty when there are fewer than two."""
    order = sorted(set(names), key=_digest)
    if len(order) < 2:
        return (), ()
    return tuple(sorted(order[::2])), tuple(sorted(order[1::2]))


def split_utterances(keys: Iterable[str], share: float) -> Iterator[Piece]:
    """One training speaker's utterances as train and validation pieces, in sorted order.

    A speaker of 1 / `share` utterances or more gives whole ones; of one who has fewer, the last `share` of each is
    validation, so that every training speaker is tested (LibriSpeech excerpts hold one utterance per speaker).
    """
    order = sorted(set(keys))
    every = round(1 / share) if share else 0
    if not every:
        held = set[str]()
    elif len(order) >= every:
        held = set(sorted(order, key=_digest)[: len(order) // every])
    else:
        for key in order:
            yield Piece(key, "train", (0.0, 1.0 - share))
            yield Piece(key, "validation", (1.0 - share, 1.0))
        return
    for key in order:
        yield Piece(key, "validation" if key in held else "train", (0.0, 1.0))


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"voiceflow-holdout/{name}".encode()).digest()
