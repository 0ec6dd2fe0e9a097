import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import VoiceFlow, audio, spoken
from typer.testing import Result

from voiceflow_model.cli.record import record_if_any
from voiceflow_model.store import open_store

Train = Callable[..., Result]
BROKEN = {
    "not-audio": b"this is a text file\n" * 200,
    "empty": b"",
    "too-short": audio(spoken(1, seconds=0.003)),
}


@pytest.fixture
def train(tiny: str, voiceflow: VoiceFlow, speakers: Path) -> Train:
    """Train on the folder `speakers`; the store is ./store."""

    def run(*settings: str, store: object = "store", url: object = speakers) -> Result:
        defaults = (
            f"corpus={{kind = 'files', url = '{url}', heldout_share = 0.4}}",
            "phases.train.continue_from_validate=false",
            "phases.train.epochs=1",
            "phases.train.windows_per_epoch=160",
        )
        return voiceflow(
            "train", "--config", tiny, "--store", store, "--json", *(f"--set={s}" for s in (*defaults, *settings))
        )

    return run


def run_state(store: str = "store") -> str | None:
    record = record_if_any(open_store(store), "tiny")
    return None if record is None else record.state


def test_an_unknown_key_is_refused_with_the_nearest_one(train: Train) -> None:
    result = train("training.batchsize=16")
    assert result.exit_code == 2
    assert "training.batchsize: unknown key; did you mean 'batch_size'?" in result.stderr
    assert run_state() is None


def test_a_configuration_that_does_not_exist_names_those_that_do(voiceflow: VoiceFlow) -> None:
    result = voiceflow("train", "--config", "librispech")
    assert result.exit_code == 2
    assert "did you mean 'librispeech'" in result.stderr


def test_a_missing_corpus_is_refused_before_a_run_exists(train: Train, tmp_path: Path) -> None:
    result = train(url=tmp_path / "nowhere")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}/nowhere does not exist" in result.stderr
    assert run_state() is None


def test_an_empty_folder_is_refused_before_a_run_exists(train: Train, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = train(url=tmp_path / "empty")
    assert result.exit_code == 2
    assert "<speaker>/.../<utterance>" in result.stderr
    assert "found 0 files" in result.stderr
    assert run_state() is None


def test_an_unreachable_store_is_said_at_once(train: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = train(store=tmp_path / "file" / "store")
    assert result.exit_code == 1
    assert "check the disk and the permissions" in result.stderr
    assert train(store="ftp://host/folder").exit_code == 2


@pytest.mark.parametrize("cause", BROKEN)
def test_broken_files_are_counted_within_the_limit_and_stop_the_run_beyond_it(
    train: Train, speakers: Path, cause: str
) -> None:
    for folder in speakers.iterdir():  # whoever is held out, some speaker that trains has one
        (folder / "broken.flac").write_bytes(BROKEN[cause])
    tolerant = train("stream.max_broken_share=0.6")
    assert tolerant.exit_code == 0, tolerant.stderr
    assert json.loads(tolerant.stdout)["undecodable"][cause] > 0
    strict = train("stream.max_broken_share=0.01", "stream.draws_per_block=2", store="strict")
    assert strict.exit_code == 2
    assert f"{cause})" in strict.stderr
    assert "broken.flac" in strict.stderr
    assert run_state("strict") == "failed"
    record = record_if_any(open_store("strict"), "tiny")
    assert record is not None
    assert record.lease is None
    assert all(open_store("strict").read(c.path).data for p in record.phases.values() for c in p.checkpoints)


def test_stereo_mp3_at_44_khz_trains(train: Train, speakers: Path) -> None:
    for number, file in enumerate(sorted(speakers.glob("*/*.flac"))):
        file.with_suffix(".mp3").write_bytes(audio(spoken(number, 2, 44_100, 2), 44_100, "MP3"))
        file.unlink()
    result = train()
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["undecodable"] == {}


def test_a_run_is_not_continued_under_other_settings(train: Train) -> None:
    assert train("phases.train.windows_per_epoch=8").exit_code == 0
    before = Path("store/runs/tiny/run.json").read_bytes()
    result = train("phases.train.windows_per_epoch=8", "training.learning_rate=0.5")
    assert result.exit_code == 2
    assert "training.learning_rate: 0.001 -> 0.5" in result.stderr
    assert Path("store/runs/tiny/run.json").read_bytes() == before


def test_a_template_run_unedited_says_what_to_set(voiceflow: VoiceFlow) -> None:
    result = voiceflow("train", "--config", "speech")
    assert result.exit_code == 2
    assert "corpus.url is still the placeholder" in result.stderr
