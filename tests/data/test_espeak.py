import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from pydantic import ValidationError

from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.espeak import EspeakCorpus, EspeakCorpusConfig
from voiceflow_model.data.sentences import sentence
from voiceflow_model.data.voices import VOICES

SPLITS: tuple[Split, ...] = ("train", "validation", "dev", "test")
SMALL = EspeakCorpusConfig(utterances_per_voice=4, heldout_utterances_per_voice=2)


def rows(split: Split, config: EspeakCorpusConfig = SMALL) -> list[Row]:
    corpus = EspeakCorpus(config)
    return [row for shard in corpus.shards(split) for row in corpus.rows(shard)]


def sound(row: Row) -> str:
    return hashlib.sha256(EspeakCorpus(SMALL).decode(row).tobytes()).hexdigest()


def one_row_per_voice() -> list[Row]:
    return [row for split in ("train", "dev", "test") for row in rows(split) if row.key.endswith("0000")]


def test_every_voice_of_the_table_speaks_2_to_8_seconds_at_16_khz() -> None:
    every = one_row_per_voice()
    assert len(every) == len(VOICES) == 40
    for row in every:
        samples = EspeakCorpus(SMALL).decode(row)
        assert samples.dtype == np.float32
        assert 2 < len(samples) / 16_000 < 8
        assert np.abs(samples).max() <= 0.96
        assert samples.std() > 0.03


def test_a_row_sounds_the_same_in_any_order_and_in_any_thread() -> None:
    every = one_row_per_voice()
    first = [sound(row) for row in every]
    assert len(set(first)) == len(every)
    assert [sound(row) for row in reversed(every)] == first[::-1]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sound, every)) == first


def test_a_row_sounds_the_same_in_another_process() -> None:
    every = one_row_per_voice()
    program = (
        "import hashlib, sys\n"
        "from voiceflow_model.data.espeak import *\n"
        f"corpus = EspeakCorpus(EspeakCorpusConfig.model_validate_json({SMALL.model_dump_json()!r}))\n"
        "for split in ('test', 'dev', 'train'):\n"
        "    for shard in corpus.shards(split):\n"
        "        for row in corpus.rows(shard):\n"
        "            if row.key.endswith('0000'):\n"
        "                print(row.key, hashlib.sha256(corpus.decode(row).tobytes()).hexdigest())\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert dict(line.split() for line in printed.splitlines()) == {row.key: sound(row) for row in every}


def test_speakers_of_train_dev_and_test_are_disjoint() -> None:
    corpus = EspeakCorpus(EspeakCorpusConfig())
    held = [set(corpus.speakers(split)) for split in ("train", "dev", "test")]
    assert [len(names) for names in held] == [24, 8, 8]
    assert all(not a & b for a, b in combinations(held, 2))
    assert corpus.speakers("validation") == corpus.speakers("train") == tuple(sorted(corpus.speakers("train")))
    assert not any(" " in name for names in held for name in names)


def test_rows_cover_each_speaker_equally_and_name_only_the_splits_speakers() -> None:
    for split, each in (("train", 4), ("validation", 2), ("dev", 2), ("test", 2)):
        spoken = [row.speaker for row in rows(split)]
        speakers = EspeakCorpus(SMALL).speakers(split)
        assert sorted(spoken) == sorted(name for name in speakers for _ in range(each))


def test_keys_are_unique_over_all_splits() -> None:
    keys = [row.key for split in SPLITS for row in rows(split)]
    assert len(keys) == len(set(keys))


def test_held_out_sentences_are_never_trained_on() -> None:
    config = EspeakCorpusConfig(utterances_per_voice=60)
    trained = {row.payload[1] for row in rows("train", config)}
    held = {row.payload[1] for split in ("validation", "dev", "test") for row in rows(split, config)}
    assert not trained & held
    assert len(trained) > 0.9 * 24 * 60


def test_a_shard_mixes_speakers() -> None:
    corpus = EspeakCorpus(EspeakCorpusConfig())
    assert all(len({row.speaker for row in corpus.rows(shard)}) == 8 for shard in corpus.shards("train"))


def test_rows_may_start_anywhere() -> None:
    corpus = EspeakCorpus(SMALL)
    shard = corpus.shards("train")[3]
    assert list(corpus.rows(shard, 5)) == list(corpus.rows(shard))[5:]
    assert list(corpus.rows(shard, 8)) == []


def test_the_seed_changes_order_sentences_and_fingerprint_and_nothing_else_does() -> None:
    other = SMALL.model_copy(update={"seed": 1})
    assert [row.key for row in rows("train")] == [row.key for row in rows("train")]
    assert [row.key for row in rows("train")] != [row.key for row in rows("train", other)]
    texts = [{row.key: row.payload[1] for row in rows("train", config)} for config in (SMALL, other)]
    assert texts[0] != texts[1]
    prints = [open_corpus(config).fingerprint() for config in (SMALL, EspeakCorpusConfig(**dict(SMALL)), other)]
    assert prints[0] == prints[1] != prints[2]


def test_more_voices_than_the_table_has_are_refused() -> None:
    with pytest.raises(ValidationError, match="voices_train"):
        EspeakCorpusConfig(voices_train=25)


def test_the_grammar_writes_thousands_of_sentences() -> None:
    texts = {sentence(str(number), held_out=False) for number in range(3000)}
    assert len(texts) > 2800
    assert all(text[0].isupper() and text[-1] in ".?!" and "{" not in text for text in texts)
    assert (
        sentence("pinned", held_out=False) == "Well, Emma, it takes eight or one hours to reach our doctor on Thursday."
    )
