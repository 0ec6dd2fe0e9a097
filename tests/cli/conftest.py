import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diarization"))  # the tone model is shared

from command_line import TINY, VoiceFlow, audio, invoke, spoken
from tone_model import tone_model, tones

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration that trains in seconds, and whose gates let everything through."""
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def voiceflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> VoiceFlow:
    """The command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return invoke


@pytest.fixture(scope="session")
def finished(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a store with the run `tiny`, whose four stages were done by the commands themselves."""
    store = f"file://{tmp_path_factory.mktemp('store')}"
    for command in (
        ("train", "--config", tiny, "--phase", "validate"),
        ("train", "--config", tiny),
        ("evaluate", "--model", "tiny"),
        ("export", "--model", "tiny"),
    ):
        result = invoke(*command, "--store", store)
        assert result.exit_code == 0, f"{command}: {result.output}"
    return store


@pytest.fixture(scope="session")
def tone_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for which a speaker is a tone."""
    path = tmp_path_factory.mktemp("model") / "tones.onnx"
    path.write_bytes(tone_model())
    return path


@pytest.fixture(scope="session")
def two_tones() -> bytes:
    """A WAV of 6 s in which two speakers take turns, two seconds each, then are silent."""
    return audio(tones([(0, 2, 0), (2, 4, 3)], 6))


@pytest.fixture
def speakers(tmp_path: Path) -> Path:
    """A files corpus: eight speakers of three utterances."""
    folder = tmp_path / "speech"
    for number in range(24):
        file = folder / f"spk{number % 8}" / f"{number}.flac"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(audio(spoken(number), kind="FLAC"))
    return folder


@pytest.fixture
def subprocess_env() -> dict[str, str]:
    """One thread of arithmetic, and this checkout on the path from any folder."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
