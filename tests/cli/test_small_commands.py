import json
from pathlib import Path

import pytest
import typer
from command_line import VoiceFlow, audio, spoken
from typer.testing import CliRunner

from voiceflow_model.cli.app import COMMANDS
from voiceflow_model.cli.exits import reported
from voiceflow_model.doctor import examine
from voiceflow_model.errors import LeaseLost, Yielded


def test_score_of_perfect_and_of_silent_hypotheses(voiceflow: VoiceFlow, tmp_path: Path) -> None:
    line = "SPEAKER a 1 0.5 3 <NA> <NA> anna <NA> <NA>\n"
    for folder, text in (("reference", line), ("same", line.replace("anna", "x")), ("silent", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.rttm").write_text(text)
    assert json.loads(voiceflow("score", "reference", "same", "--json").stdout)["der"] == 0
    assert json.loads(voiceflow("score", "reference", "silent", "--json").stdout)["missed"] == 1
    assert "100.0%" in voiceflow("score", "reference", "silent").stdout
    (tmp_path / "empty").mkdir()
    nothing = voiceflow("score", "reference", "empty")
    assert nothing.exit_code == 2
    assert "no .rttm file" in nothing.stderr


def test_score_says_which_recording_has_no_hypothesis_unless_it_counts_as_missed(
    voiceflow: VoiceFlow, tmp_path: Path
) -> None:
    for folder, names in (("reference", "ab"), ("found", "a")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.rttm").write_text(f"SPEAKER {name} 1 0 1 <NA> <NA> x <NA> <NA>\n")
    assert "no hypothesis for b" in voiceflow("score", "reference", "found").stderr
    assert json.loads(voiceflow("score", "reference", "found", "--missing-as-missed", "--json").stdout)["der"] == 0.5


def test_peek_tells_what_is_in_a_corpus(voiceflow: VoiceFlow, tiny: str) -> None:
    asked = ("--utterances", 20, "--conversations", 8, "--out", "a/p.png", "--wav", "b/c", "--json")
    result = voiceflow("peek", "-c", tiny, *asked)
    assert result.exit_code == 0, result.stderr
    seen = json.loads(result.stdout)
    assert (seen["speakers"], seen["utterances"], seen["conversations"]) == (4, 20, 8)
    assert sum(seen["label_shares"]) == pytest.approx(1)
    silence, one, two = seen["label_shares"]
    assert seen["overlap_share"] == pytest.approx(two / (one + two))
    assert 0 < silence < 1
    assert sum(seen["cast"].values()) == 8
    assert seen["duration_s"] == sorted(seen["duration_s"])
    assert seen["balance"]["speakers_seen"] == 4
    assert seen["speed"]["limit"] in ("fetch", "decode", "mix")
    assert Path("a/p.png").read_bytes().startswith(b"\x89PNG")
    assert seen["wav"] == [f"b/c/train-{number}.wav" for number in range(1, 5)]
    assert all(Path(name).with_suffix(".rttm").is_file() for name in seen["wav"])


def test_peek_is_readable_in_100_columns(voiceflow: VoiceFlow, tiny: str) -> None:
    result = voiceflow("peek", "-c", tiny, "--split", "test")
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 100
    for words in ("test split", "The speech", "Its speakers", "Training windows", "Speed", "windows per second"):
        assert words in result.stdout
    assert ("Nothing looks wrong" in result.stdout) != ("What looks wrong" in result.stdout)


def test_peek_looks_for_held_out_speech_in_the_corpus_of_the_evaluation(
    voiceflow: VoiceFlow, tiny: str, speakers: Path
) -> None:
    corpus = f"evaluation.corpus={{kind = 'files', url = '{speakers}', heldout_speakers_share = 0.5}}"
    seen = json.loads(voiceflow("peek", "-c", tiny, "--set", corpus, "--split", "dev", "--json").stdout)
    assert {name[:3] for name in seen["speaker_names"]} == {"spk"}
    assert len(json.loads(voiceflow("peek", "-c", tiny, "--set", corpus, "--json").stdout)["speaker_names"]) == 4
    nobody = f"corpus={{kind = 'files', url = '{speakers}', heldout_speakers_share = 0}}"
    nothing = voiceflow("peek", "-c", tiny, "--set", nobody, "--split", "dev")
    assert nothing.exit_code == 2
    assert "raise corpus.heldout_speakers_share" in nothing.stderr


def test_peek_counts_what_would_stop_a_run(voiceflow: VoiceFlow, tiny: str, speakers: Path) -> None:
    for folder in speakers.iterdir():
        (folder / "broken.flac").write_bytes(b"")
        (folder / "short.flac").write_bytes(audio(spoken(0, 0.003), kind="FLAC"))
    corpus = f"corpus={{kind = 'files', url = '{speakers}', heldout_share = 0}}"
    result = voiceflow("peek", "-c", tiny, "--set", corpus, "--json")
    assert result.exit_code == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["undecodable"] == {"empty": seen["speakers"], "too-short": seen["speakers"]}
    assert "broken.flac" in seen["undecodable_examples"]["empty"]
    assert any("cannot be used" in warning for warning in seen["warnings"])
    for good in speakers.glob("*/[0-9]*.flac"):
        good.unlink()
    hopeless = voiceflow("peek", "-c", tiny, "--set", corpus)
    assert hopeless.exit_code == 2
    assert "can be decoded" in hopeless.stderr


def test_doctor_finds_this_machine_fit(voiceflow: VoiceFlow, tmp_path: Path) -> None:
    checks = {check["name"]: check for check in json.loads(voiceflow("doctor", "--store", "s", "--json").stdout)}
    assert checks.keys() == {
        "python", "machine", "torch", "torchaudio", "onnxruntime", "espeak", "prefect", "store",
    }  # fmt: skip
    assert {check["verdict"] for check in checks.values()} <= {"ok", "note"}
    assert not list((tmp_path / "s").rglob("[!.]*.*"))


def test_doctor_fails_with_advice_on_a_store_that_cannot_be_written(voiceflow: VoiceFlow, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = voiceflow("doctor", "--store", "file/store")
    assert result.exit_code == 1
    assert "check the disk and the permissions" in result.stdout


def test_doctor_knows_what_an_embedded_server_cannot_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def prefect() -> tuple[str, str]:
        found = next(check for check in examine() if check.name == "prefect")
        return found.verdict, found.advice

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    versions = {"prefect": "3.8.8", "fastapi": "0.165.0"}
    monkeypatch.setattr("voiceflow_model.doctor.version", versions.__getitem__)
    assert prefect() == ("failed", "its server dies with fastapi >= 0.151: pip install 'fastapi<0.151'")
    versions["fastapi"] = "0.150.0"
    assert prefect()[0] == "ok"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect()[0] == "note"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Yielded("later"), 75, "stopped: later"),
        (LeaseLost("gone"), 1, "error: gone"),
        (ZeroDivisionError("oops"), 1, "error: ZeroDivisionError: oops (set VOICEFLOW_DEBUG=1"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "pip install -c constraints.txt"),
        (ModuleNotFoundError("No module named 'flows.x'", name="flows.x"), 1, "VOICEFLOW_DEBUG"),
        (KeyboardInterrupt(), 1, "aborted"),
    ],
)
def test_every_error_is_one_message_and_one_exit_code(error: BaseException, code: int, message: str) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    @reported
    def fail() -> None:
        raise error

    result = CliRunner().invoke(app, [])
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_traceback_is_there_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEFLOW_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        reported(lambda: 1 / 0)()  # type: ignore[arg-type,return-value]


def test_usage_errors_exit_with_2_and_help_lists_every_command(voiceflow: VoiceFlow) -> None:
    assert voiceflow("diarize").exit_code == 2
    assert voiceflow("train", "--config", "demo", "--phase", "neither").exit_code == 2
    listed = voiceflow("--help").stdout
    assert all(name in listed for name in ("run", *(command.__name__.replace("_", "-") for command in COMMANDS)))


def test_fit_turns_writes_what_a_run_can_simulate(voiceflow: VoiceFlow, tiny: str, tmp_path: Path) -> None:
    lines = "".join(f"SPEAKER a 1 {i * 1.5} 1 <NA> <NA> {'ab'[i % 2]} <NA> <NA>\n" for i in range(10))
    (tmp_path / "rttm").mkdir()
    (tmp_path / "rttm" / "a.rttm").write_text(lines)
    shown = json.loads(voiceflow("fit-turns", "rttm").stdout)
    assert (shown["turns"], shown["change_probability"], shown["overlap_probability"]) == (10, 1, 0)
    assert "turn_style=own/turns.json" in voiceflow("fit-turns", "rttm/a.rttm", "--out", "own/turns.json").stdout
    asked = ("--utterances", 8, "--conversations", 4, "--set", "conversation.turn_style=own/turns.json", "--json")
    result = voiceflow("peek", "-c", tiny, *asked)
    assert result.exit_code == 0, result.stderr
    (tmp_path / "rttm" / "a.rttm").write_text(lines.splitlines()[0])
    alone = voiceflow("fit-turns", "rttm")
    assert alone.exit_code == 2
    assert "nobody speaks after somebody else" in alone.stderr
