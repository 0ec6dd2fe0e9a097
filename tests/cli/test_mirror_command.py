import json
from pathlib import Path

import pytest
from command_line import TINY, VoiceFlow

from tests.doubles.hub import Hub
from voiceflow_model.data.sources.folder import Folder

SHARDS = {"train/0.parquet": b"rows", "test/0.parquet": b"more rows"}
CORPUS = '{ kind = "parquet", url = "hf://datasets/me/speech", train = ["train/*"], test = ["test/*"] }'


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(TINY.replace("[phases.train]", f"[phases.train]\ncorpus = {CORPUS}"))
    return str(path)


def test_a_mirror_ends_with_the_setting_that_uses_it(
    voiceflow: VoiceFlow, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"file://{tmp_path}/copy"
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        hub.add("me/speech", SHARDS)
        done = voiceflow("mirror", "--config", config, "--to", "copy")
        assert done.exit_code == 0, done.output
        assert "mirror 2/2 files  13 B of 13 B" in done.stderr
        assert f"2 files (13 B) of hf://datasets/me/speech are in {place}: 2 copied" in done.stdout
        assert done.stdout.splitlines()[-1] == f"to learn from them: --set phases.train.corpus.url={place}"
        again = voiceflow("mirror", "--config", config, "--to", "copy", "--json")
        assert json.loads(again.stdout).items() >= {"skipped": 2, "setting": f"phases.train.corpus.url={place}"}.items()
    assert sorted(Folder(place).files()) == [".lock", *sorted(SHARDS)]
    assert (
        voiceflow("mirror", "--config", config, "--set", f"phases.train.corpus.url={place}", "--to", "2").exit_code == 0
    )


def test_a_corpus_of_no_files_is_a_usage_error(voiceflow: VoiceFlow, config: str) -> None:
    done = voiceflow("mirror", "--config", config, "--phase", "validate", "--to", "copy")
    assert done.exit_code == 2
    assert "nothing to mirror" in done.stderr
