"""Verification over listed pairs, as VoxCeleb1's veri_test2.txt lists them."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.errors import BrokenAudio, ConfigError, CorpusError
from voiceflow_model.evaluation.trials import Trial, read_trials, verification_eer


class Listener:
    """Stands for a diarizer whose embedding of a constant sound is its angle."""

    def embed(self, samples: Samples, active: np.ndarray) -> np.ndarray:
        return np.array([np.cos(samples[0]), np.sin(samples[0])], np.float32)


class Angles:
    """Two held-out speakers; each utterance is an angle."""

    there: ClassVar[dict[Split, dict[str, float]]] = {
        "dev": {"ann/x/1.wav": 0.1, "ann/x/2.wav": 0.2},
        "test": {"bob/y/1.wav": 0.8, "bob/y/2.wav": 0.4, "bob/y/broken.wav": np.nan},
    }

    def shards(self, split: Split) -> tuple[Shard, ...]:
        return (Shard(split, split, None),)

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        for key in self.there[shard.split]:
            yield Row(key, key[:3], None, 0)

    def decode(self, row: Row) -> Samples:
        angle = self.there["dev" if row.key.startswith("ann") else "test"][row.key]
        if np.isnan(angle):
            raise BrokenAudio(row.key, "truncated")
        return np.full(16_000, angle, np.float32)


def listed(folder: Path, text: str) -> str:
    (folder / "trials.txt").write_text(text)
    return str(folder / "trials.txt")


def test_lines_are_read_whatever_the_ending_of_the_files(tmp_path: Path) -> None:
    text = "1 id10270/5r0d/00001.wav id10270/8jEA.x/00002\r\n\n0 a.flac b/c.d\n"
    assert read_trials(listed(tmp_path, text)) == [
        Trial(True, "id10270/5r0d/00001", "id10270/8jEA.x/00002"),
        Trial(False, "a", "b/c"),
    ]


@pytest.mark.parametrize("line", ["2 a b", "1 a", "1 a b c", "a b 1"])
def test_a_line_that_is_no_trial_is_named(tmp_path: Path, line: str) -> None:
    address = listed(tmp_path, f"1 a b\n{line}\n")
    with pytest.raises(ConfigError, match=f"line 2: '{line}' is no trial"):
        read_trials(address)


def test_a_list_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.txt does not exist"):
        read_trials(str(tmp_path / "none.txt"))


def test_the_rate_is_that_of_the_listed_pairs_of_dev_and_test_speakers(tmp_path: Path) -> None:
    near, far = "ann/x/1 ann/x/2", "bob/y/1 bob/y/2"  # 0.1 and 0.4 apart
    easy = listed(tmp_path, f"1 {near}\n0 ann/x/1 bob/y/1\n")
    assert verification_eer(Listener(), Angles(), easy) == 0  # type: ignore[arg-type]
    hard = listed(tmp_path, f"1 {near}\n1 {far}\n0 ann/x/1 bob/y/2\n0 ann/x/1 bob/y/1\n")
    assert verification_eer(Listener(), Angles(), hard) == pytest.approx(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cid/z/1", "bob/y/broken"])
def test_utterances_that_the_corpus_lacks_are_named(tmp_path: Path, name: str) -> None:
    address = listed(tmp_path, f"1 ann/x/1.wav ann/x/2.wav\n0 ann/x/1.wav {name}.wav\n")
    with pytest.raises(CorpusError, match=rf"names 1 utterances .* such as {name}: check corpus\.key_column"):
        verification_eer(Listener(), Angles(), address)  # type: ignore[arg-type]
