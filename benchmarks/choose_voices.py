"""Chooses the embedded corpus's voices and prints the table of `voiceflow_model/data/voices.py`.

Draws espeak-ng settings at random, hears each with Resemblyzer (PyPI, weights inside the wheel) and takes greedily the
voice farthest, in cosine, from all taken before. Refused: variants that whisper, echo or are robots; Klatt variants,
whose engine reads uninitialised memory (Reed and caleb never say the same bytes twice); a pitch no adult has; voices
that do not resemble themselves from one sentence to the next.

    python -m venv /tmp/voices && /tmp/voices/bin/pip install resemblyzer espeakng-loader torch torchaudio
    PYTHONPATH=. /tmp/voices/bin/python benchmarks/choose_voices.py
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray
from resemblyzer import VoiceEncoder

from voiceflow_model.data.corpus import Samples
from voiceflow_model.data.sentences import sentence
from voiceflow_model.data.synthesis import synthesise
from voiceflow_model.data.voices import Voice, VoiceSplit

LANGUAGES = ["en-us", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"]
READ_AS_HZ = [18_000, 19_200, 20_000, 21_000, 22_000, 23_000, 24_000, 25_600]
REFUSED = {"Demonic", "Storm", "UniRobot", "anikaRobot", "croak", "fast", "whisper", "whisperf"}
LOUDEST_ECHO = 15
PITCH_HZ = (75.0, 330.0)
LEAST_SELF_SIMILARITY = 0.87
SPLIT_CYCLE: tuple[VoiceSplit, ...] = ("train", "dev", "train", "test", "train")
Embedding = NDArray[np.float32]  # (256,), unit length


@dataclass(frozen=True)
class Heard:
    """A candidate, its mean embedding, how alike its own sentences are, and its median pitch."""

    voice: Voice
    embedding: Embedding
    self_similarity: float
    pitch_hz: float


def usable_variants() -> list[str]:
    """Names of the variants worth hearing, sorted."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return sorted(
        path.name for path in folder.iterdir() if path.name not in REFUSED and _plain(path.read_text("latin-1"))
    )


def _plain(definition: str) -> bool:
    for line in definition.splitlines():
        words = line.split()
        if words[:1] == ["klatt"] or (words[:1] == ["echo"] and int(words[2]) > LOUDEST_ECHO):
            return False
    return True


def draw(variant: str, rng: np.random.Generator) -> Voice:
    """One random way to drive a variant; the faster the output is read, the slower it is spoken."""
    read_as_hz = int(rng.choice(READ_AS_HZ))
    return Voice(
        language=str(rng.choice(LANGUAGES)),
        variant=variant,
        pitch=int(rng.integers(15, 86)),
        pitch_range=int(rng.integers(20, 91)),
        words_per_minute=round(int(rng.integers(145, 200)) * 22_050 / read_as_hz),
        read_as_hz=read_as_hz,
    )


def hear(voice: Voice, encoder: VoiceEncoder) -> Heard:
    """Three sentences of the voice, embedded."""
    spoken = [synthesise(voice, sentence(f"choose/{number}", held_out=False)) for number in range(3)]
    each = np.stack([encoder.embed_utterance(samples * (0.03 / samples.std())) for samples in spoken])
    alike = each @ each.T
    mean = each.mean(axis=0)
    return Heard(
        voice, mean / np.linalg.norm(mean), float(alike[np.triu_indices(3, 1)].min()), median_pitch_hz(spoken[0])
    )


def median_pitch_hz(samples: Samples) -> float:
    """Median over loud 40 ms frames of the autocorrelation's peak between 60 and 450 Hz, of the band below 900 Hz."""
    frames = samples[: len(samples) // 640 * 640].reshape(-1, 640)
    frames = frames[frames.std(axis=1) > 0.5 * samples.std()]
    spectrum = np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 2048, axis=1)
    spectrum[:, 900 * 2048 // 16_000 :] = 0
    lags = np.arange(16_000 // 450, 16_000 // 60)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, lags] / (640 - lags)
    return float(16_000 / np.median(lags[correlation.argmax(axis=1)]))


def choose(heard: list[Heard], count: int) -> list[Heard]:
    """Greedy farthest-point selection (Gonzalez 1985), begun at the voice nearest to the mean of all."""
    embeddings = np.stack([h.embedding for h in heard])
    order = [int((embeddings @ embeddings.mean(axis=0)).argmax())]
    nearest = embeddings @ embeddings[order[0]]
    while len(order) < count:
        order.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, embeddings @ embeddings[order[-1]])
    return [heard[index] for index in order]


def report(chosen: list[Heard]) -> None:
    """The table to paste, and how alike the voices are within and across splits."""
    splits = np.array([SPLIT_CYCLE[index % len(SPLIT_CYCLE)] for index in range(len(chosen))])
    print("VOICES: tuple[tuple[VoiceSplit, Voice], ...] = (")
    for split, h in zip(splits, chosen, strict=True):
        v = h.voice
        settings = f"{v.language!r}, {v.variant!r}, {v.pitch}, {v.pitch_range}, {v.words_per_minute}, {v.read_as_hz:_}"
        print(f'    ("{split}", Voice({settings})),'.replace("'", '"'))
    print(")\n")
    alike = np.stack([h.embedding for h in chosen])
    alike = alike @ alike.T - 2 * np.eye(len(chosen))
    print(f"worst self-similarity (two sentences of one voice): {min(h.self_similarity for h in chosen):.3f}")
    for a, b in (
        ("train", "train"),
        ("dev", "dev"),
        ("test", "test"),
        ("train", "dev"),
        ("train", "test"),
        ("dev", "test"),
    ):
        block = alike[np.ix_(splits == a, splits == b)]
        print(f"{a:>5} x {b:<5}  max similarity {block.max():.3f}  median {np.median(block[block > -1]):.3f}")
    first = [int(n) for n in (8, 16, 24, 32) if n <= len(chosen)]
    print("max similarity among the first n: " + ", ".join(f"{n}: {alike[:n, :n].max():.3f}" for n in first))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voices", type=int, default=40)
    parser.add_argument("--draws", type=int, default=25, help="candidates per variant")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    encoder = VoiceEncoder("cpu", verbose=False)
    candidates = [draw(variant, rng) for variant in usable_variants() for _ in range(arguments.draws)]
    heard = [hear(voice, encoder) for voice in candidates]
    kept = [h for h in heard if h.self_similarity >= LEAST_SELF_SIMILARITY and PITCH_HZ[0] <= h.pitch_hz <= PITCH_HZ[1]]
    print(f"# {len(usable_variants())} variants, {len(heard)} candidates, {len(kept)} kept")
    report(choose(kept, arguments.voices))


if __name__ == "__main__":
    main()
