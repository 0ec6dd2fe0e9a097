import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import VoiceFlow, audio
from tone_model import tones

from voiceflow_model.cli.diarize import speech_seconds
from voiceflow_model.data.sentences import sentence
from voiceflow_model.data.synthesis import synthesise
from voiceflow_model.data.voices import voices_of
from voiceflow_model.diarization.rttm import Turn, read_rttm

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchaudio", "prefect", "safetensors", "datasets", "pyannote"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
from flows.cli import main
main()
"""


def test_diarize_writes_who_spoke_when(voiceflow: VoiceFlow, tone_onnx: Path, two_tones: bytes, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(two_tones)
    result = voiceflow("diarize", "talk.wav", "--model", tone_onnx, "--out", "out/deep", "--plot")
    assert result.exit_code == 0, result.stderr
    turns = read_rttm("out/deep/talk.rttm")["talk"]
    assert [(round(turn.start_s), round(turn.end_s)) for turn in turns] == [(0, 2), (2, 4)]
    assert len({turn.speaker for turn in turns}) == 2
    assert Path("out/deep/talk.png").read_bytes().startswith(b"\x89PNG")
    assert "4.0 s (67%)" in result.stdout
    assert "x real time" in result.stdout


def test_neither_torch_nor_prefect_is_needed(
    tone_onnx: Path, two_tones: bytes, tmp_path: Path, subprocess_env: dict[str, str]
) -> None:
    (tmp_path / "talk.wav").write_bytes(two_tones)

    def blocked(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BLOCKED, *map(str, arguments)],
            cwd=tmp_path, env=subprocess_env, capture_output=True, text=True,
        )  # fmt: skip

    done = blocked("diarize", "talk.wav", "--model", tone_onnx, "--out", "out", "--plot", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["speakers"] == 2
    status = blocked("status", "--store", "store")
    assert status.returncode == 0, status.stderr
    needs_torch = blocked("train", "--config", "demo")
    assert needs_torch.returncode == 1
    assert "this command needs torch: `pip install" in needs_torch.stderr


def test_broken_files_do_not_stop_the_others(
    voiceflow: VoiceFlow, tone_onnx: Path, two_tones: bytes, tmp_path: Path
) -> None:
    stereo = np.stack([tones([(0, 2, 0)], 3)] * 2, axis=1)
    files = {
        "text.flac": b"not audio at all\n" * 100,
        "empty.wav": b"",
        "instant.wav": audio(tones([], 0.003)),
        "good.wav": two_tones,
        "stereo.mp3": audio(np.repeat(stereo, 3, axis=0)[: 3 * 44_100], 44_100, "MP3"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = voiceflow("diarize", *files, "missing.wav", "--model", tone_onnx, "--out", "out", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [Path(one["audio"]).name for one in document["files"]] == ["good.wav", "stereo.mp3"]
    assert sorted(Path("out").iterdir()) == [Path("out/good.rttm"), Path("out/stereo.rttm")]
    assert {one["audio"]: one["error"].split(": ")[1].split(" ")[0] for one in document["failed"]} == {
        "text.flac": "not-audio", "empty.wav": "empty", "instant.wav": "too-short", "missing.wav": "missing",
    }  # fmt: skip
    assert "4 of 6 files could not be diarized: text.flac, empty.wav, instant.wav, missing.wav" in result.stderr


def test_bounds_on_speakers_are_kept_and_contradictions_refused(
    voiceflow: VoiceFlow, tone_onnx: Path, two_tones: bytes, tmp_path: Path
) -> None:
    (tmp_path / "talk.wav").write_bytes(two_tones)
    command = ("diarize", "talk.wav", "--model", tone_onnx, "--out", "out", "--json")
    one = voiceflow(*command, "--max-speakers", 1)
    assert json.loads(one.stdout)["files"][0]["speakers"] == 1
    wrong = voiceflow(*command, "--min-speakers", 3, "--max-speakers", 2)
    assert wrong.exit_code == 2
    assert "min_speakers <= max_speakers" in wrong.stderr


def test_two_files_of_one_name_are_refused_before_one_overwrites_the_other(
    voiceflow: VoiceFlow, tone_onnx: Path
) -> None:
    result = voiceflow("diarize", "a/talk.wav", "b/talk.flac", "--model", tone_onnx, "--out", "out")
    assert result.exit_code == 2
    assert "a/talk.wav, b/talk.flac would all become talk.rttm" in result.stderr


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere.onnx", "no such model"),
        ("text.onnx", "not an ONNX file"),
        ("model.bin", "neither an .onnx file nor a run"),
        ("store/runs/ghost", "voiceflow status --store store"),
        ("some/where", "neither an .onnx file nor a run"),
        ("Not A Run", "run id 'Not A Run' is refused"),
    ],
)
def test_a_model_that_is_none_is_refused_with_advice(
    voiceflow: VoiceFlow, tmp_path: Path, model: str, message: str
) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    result = voiceflow("diarize", "talk.wav", "--model", model, "--out", "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


def test_a_model_in_a_store_that_cannot_be_reached_is_worth_another_try(voiceflow: VoiceFlow) -> None:
    Path("loop").symlink_to("loop")
    result = voiceflow("diarize", "talk.wav", "--model", "loop/runs/tiny", "--out", "out")
    assert result.exit_code == 1
    assert "check the disk and the permissions" in result.stderr


def test_a_model_in_a_bucket_is_read(voiceflow: VoiceFlow, tone_onnx: Path, two_tones: bytes, gcs_url: str) -> None:
    from voiceflow_model.store import open_store

    Path("talk.wav").write_bytes(two_tones)
    open_store(gcs_url).write("models/tones.onnx", tone_onnx.read_bytes())
    done = voiceflow("diarize", "talk.wav", "--model", f"{gcs_url}/models/tones.onnx", "--out", "out")
    assert done.exit_code == 0, done.stderr
    missing = voiceflow("diarize", "talk.wav", "--model", f"{gcs_url}/models/other.onnx", "--out", "out")
    assert missing.exit_code == 2
    assert "no such object" in missing.stderr


def test_speech_of_two_at_once_counts_once() -> None:
    turns = [Turn(0, 4, "a"), Turn(2, 1, "b"), Turn(3, 3, "b"), Turn(8, 1, "a")]
    assert speech_seconds(turns) == 7
    assert speech_seconds([]) == 0


def test_a_model_comes_along_and_tells_two_voices_apart(voiceflow: VoiceFlow, tmp_path: Path) -> None:
    voices = voices_of("test")
    said = [synthesise(voices[turn % 2], sentence(f"shipped {turn}", held_out=True)) for turn in range(6)]
    (tmp_path / "talk.wav").write_bytes(audio(np.concatenate(said)))
    result = voiceflow("diarize", "talk.wav", "--json")
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)["files"]
    assert found["speech_s"] > 0.6 * found["duration_s"]
    assert read_rttm("diarized/talk.rttm")["talk"]
