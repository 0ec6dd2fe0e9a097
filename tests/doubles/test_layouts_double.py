"""Speech in the layouts of the Hub, read back with what reads them: pyarrow, tarfile, soundfile, PyAV."""

import io
import tarfile
from pathlib import Path

import av
import fsspec
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.doubles import layouts
from tests.doubles.layouts import Speech


@pytest.fixture(scope="module")
def speech() -> list[Speech]:
    return layouts.embedded_speech(speakers=4, per_speaker=3)


def seconds(audio: bytes) -> float:
    return soundfile.info(io.BytesIO(audio)).duration


def test_parquet_layouts_hold_the_speech_that_was_given(speech: list[Speech]) -> None:
    expected = [len(one.samples) / one.rate for one in speech]
    written = {
        "FLAC": layouts.librispeech(speech, rows_per_group=5),
        "MP3": layouts.common_voice(speech),
        "WAV": layouts.voxceleb1_trials(speech),
    }
    for encoding, files in written.items():
        (data,) = files.values()
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        assert [seconds(row["audio"]["bytes"]) for row in rows] == pytest.approx(expected, abs=0.1)
        assert {soundfile.info(io.BytesIO(row["audio"]["bytes"])).format for row in rows} == {encoding}
        people = {row.get("speaker_id") or row["client_id"] for row in rows}
        assert len(people) == len({one.speaker for one in speech})
    (librispeech,) = written["FLAC"].values()
    assert pq.ParquetFile(io.BytesIO(librispeech)).num_row_groups == 3


def test_tars_hold_the_speech_that_was_given_with_speakers_mixed(speech: list[Speech]) -> None:
    files = layouts.voxceleb2(speech, per_tar=5)
    assert list(files) == [f"voxceleb2-dev-{number:06d}.tar" for number in range(3)]
    found, classes = [], []
    for data in files.values():
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content
                if member.name.endswith(".cls"):
                    classes.append(int(content.read()))
                    continue
                with av.open(io.BytesIO(content.read())) as audio:
                    found.append(sum(frame.samples for frame in audio.decode(audio=0)) / 16_000)
    assert sorted(found) == pytest.approx(sorted(len(one.samples) / one.rate for one in speech), abs=0.15)
    assert sorted(classes) == sorted([0, 1, 2, 3] * 3) != classes


def test_meetings_hold_recordings_and_turns() -> None:
    meetings = layouts.embedded_meetings(2, duration_s=6.0, voices=3)
    (data,) = layouts.meetings(meetings, encoding="FLAC").values()
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.num_row_groups == 2
    for meeting, row in zip(meetings, file.read().to_pylist(), strict=True):
        assert seconds(row["audio"]["bytes"]) == pytest.approx(6.0)
        turns = list(zip(row["timestamps_start"], row["timestamps_end"], row["speakers"], strict=True))
        assert turns == meeting.turns
        assert turns
        assert all(0 <= start < end <= 6.0 for start, end, _ in turns)


def test_real_speech_is_read_when_it_is_there() -> None:
    root = Path("/work/shared/speech")
    if not root.exists():
        pytest.skip("no real speech beside this checkout")
    first = next(layouts.real_speech(root / "librispeech"))
    assert first.rate == 16_000
    assert first.key.startswith(f"{first.speaker}-")
    assert all(meeting.turns for meeting in layouts.real_meetings(root / "ami"))


def test_files_are_uploaded_to_a_bucket(gcs_url: str) -> None:
    layouts.upload({"clean/0000.parquet": b"rows", "README.md": b"x"}, f"{gcs_url}/corpus")
    with fsspec.open(f"{gcs_url}/corpus/clean/0000.parquet", "rb") as file:
        assert file.read() == b"rows"
