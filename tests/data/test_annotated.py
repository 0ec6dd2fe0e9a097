"""A folder of recordings and RTTMs is a corpus like any other of recordings."""

import uuid
from typing import Any

import numpy as np
import pytest

from tests.doubles import layouts
from voiceflow_model.config import load_config
from voiceflow_model.data.annotated import AnnotatedCorpus, AnnotatedCorpusConfig
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.errors import BrokenAudio, CorpusError
from voiceflow_model.evaluation.simulated import heldout_recordings

TURNS = {"ann": (0.0, 2.5), "bob": (2.0, 4.0), "cid": (6.0, 7.0)}


def sound(name: str, seconds: float = 7.0) -> np.ndarray:
    return keyed(0, name).normal(0, 0.1, round(16_000 * seconds)).clip(-1, 1).astype(np.float32)


def recording(name: str) -> dict[str, bytes]:
    rttm = "".join(f"SPEAKER {name[-1]} 1 {a} {b - a} <NA> <NA> {who} <NA> <NA>\n" for who, (a, b) in TURNS.items())
    return {f"{name}.wav": layouts.encoded(sound(name), 16_000, "WAV"), f"{name}.rttm": rttm.encode()}


FOLDER = {path: data for name in ("train/a", "train/b", "test/c", "test/d") for path, data in recording(name).items()}
FOLDER |= {"test/d.uem": b"d 1 1.000 6.500\n", "README.md": b"a test set"}
SPLITS = {"train": ("train/*.wav",), "test": ("test/*.wav",)}


def corpus(there: dict[str, bytes], **options: Any) -> AnnotatedCorpus:
    url = f"memory://{uuid.uuid4().hex}"
    layouts.upload(there, url)
    given = {"url": url, "heldout_share": 0.3, "passage_s": 2.0} | SPLITS | options
    opened = open_corpus(AnnotatedCorpusConfig(**given))
    assert isinstance(opened, AnnotatedCorpus)
    return opened


def rows(of: AnnotatedCorpus, split: Split = "train") -> list[Row]:
    return [row for shard in of.shards(split) for row in of.rows(shard)]


def test_passages_cover_each_recording_with_its_labels_and_any_row_can_be_gone_on_from() -> None:
    split = corpus(FOLDER, heldout_share=0)
    found = rows(split)
    assert [row.key for row in found] == [f"{name}+{n}" for name in "ab" for n in range(4)]
    heard = np.concatenate([split.decode(row) for row in found[:4]])
    assert np.abs(heard - sound("train/a")).max() < 1 / 32_000
    spoken = dict.fromkeys(TURNS, 0.0)
    for row in found[:4]:
        for start_s, end_s, speaker in row.labels or ():
            spoken[speaker] += end_s - start_s
    assert spoken == pytest.approx({name: b - a for name, (a, b) in TURNS.items()})
    for shard in split.shards("train"):
        everything = list(split.rows(shard))
        for number, row in enumerate(everything):
            assert list(split.rows(shard, row.following)) == everything[number + 1 :]


def test_train_and_validation_share_recordings_and_dev_and_test_halve_theirs() -> None:
    split = corpus(FOLDER)
    train, validation = ({row.key for row in rows(split, name)} for name in ("train", "validation"))
    assert not train & validation
    assert len(train | validation) == 8
    assert split.speakers("validation") == split.speakers("train") == ("ann", "bob", "cid")
    dev, test = ([one.name for one in split.whole(name, 9)] for name in ("dev", "test"))
    assert sorted(dev + test) == ["c", "d"]
    named = corpus(FOLDER, dev=("test/c.wav",), test=("test/d.wav",))
    assert [one.name for one in named.whole("dev", 9)] == ["c"]
    assert len(corpus(FOLDER, names_are_global=False).speakers("train")) == 6


def test_what_is_measured_is_the_recording_its_turns_and_its_uem() -> None:
    split = corpus(FOLDER, dev=("test/c.wav",), test=("test/d.wav",))
    config = load_config("demo")
    dev, test = (next(heldout_recordings(config, split, name)) for name in ("dev", "test"))
    assert [(t.start_s, t.end_s, t.speaker) for t in test.reference] == [(a, b, who) for who, (a, b) in TURNS.items()]
    assert test.scored == ((1.0, 6.5),)
    assert dev.scored == ((0.0, 7.0),)
    assert np.abs(test.samples - sound("test/d")).max() < 1 / 32_000


def test_audio_without_turns_and_turns_that_make_no_sense_are_named() -> None:
    silent = {path: data for path, data in FOLDER.items() if path != "train/b.rttm"}
    with pytest.raises(CorpusError, match=r"train/b\.wav has no train/b\.rttm beside it"):
        corpus(silent).speakers("train")
    with pytest.raises(CorpusError, match=r"train/b\.rttm line 1"):
        corpus(FOLDER | {"train/b.rttm": b"SPEAKER b 1 zero 1 <NA> <NA> ann <NA> <NA>"}).speakers("train")
    with pytest.raises(CorpusError, match=r"train/b\.rttm is not text"):
        corpus(FOLDER | {"train/b.rttm": b"\xff\xfe\x00"}).speakers("train")
    with pytest.raises(CorpusError, match=r"raise corpus\.heldout_share"):
        corpus(FOLDER, heldout_share=0).shards("validation")


def test_a_broken_or_too_large_recording_is_one_broken_row() -> None:
    there = FOLDER | {"train/b.wav": b"<html>"}
    causes = []
    split = corpus(there, heldout_share=0)
    for row in rows(split):
        try:
            split.decode(row)
        except BrokenAudio as error:
            causes.append((row.key, error.cause))
    assert causes == [("b+0", "no-bytes")]
    long = FOLDER | {"train/b.wav": layouts.encoded(sound("b", 40.0), 16_000, "WAV")}
    split = corpus(long, max_recording_mb=1, heldout_share=0)
    last = rows(split)[-1]
    with pytest.raises(BrokenAudio, match=r"corpus\.max_recording_mb = 1"):
        split.decode(last)


def test_the_fingerprint_follows_sound_turns_and_how_they_are_read() -> None:
    moved = FOLDER["train/a.rttm"].replace(b"2.5", b"2.4")
    assert moved != FOLDER["train/a.rttm"]
    others = [FOLDER | {"train/a.rttm": moved}, FOLDER | recording("train/e")]
    prints = [corpus(there).fingerprint() for there in (FOLDER, *others)]
    prints.append(corpus(FOLDER, passage_s=3.0).fingerprint())
    assert len(set(prints)) == 4
    assert corpus(FOLDER).fingerprint() == prints[0]
