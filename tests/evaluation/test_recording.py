import numpy as np
import pytest
import soundfile

from voiceflow_model.diarization.rttm import Turn, write_rttm, write_uem
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.recording import load_folder


def folder_with(tmp_path, *names, inside=None):
    for seconds, name in enumerate(names, start=1):
        soundfile.write(str(tmp_path / f"{name}.flac"), np.full(16_000 * seconds, 0.1), 16_000)
        write_rttm(str(tmp_path / f"{name}.rttm"), inside or name, [Turn(0.1, 0.5, "ann")])
    return str(tmp_path)


def test_reads_audio_reference_and_what_to_score(tmp_path):
    folder = folder_with(tmp_path, "one", "two")
    write_uem(f"{folder}/two.uem", "two", [(0.0, 1.5)])
    first, second = load_folder(folder)
    assert (first.name, first.duration_s, first.scored) == ("one", 1.0, ((0.0, 1.0),))
    assert (second.name, second.duration_s, second.scored) == ("two", 2.0, ((0.0, 1.5),))
    assert second.samples.shape == (32_000,)
    assert second.reference == [Turn(0.1, 0.5, "ann")]


def test_the_name_inside_may_differ_when_it_is_the_only_one(tmp_path):
    (recording,) = load_folder(folder_with(tmp_path, "one", inside="meeting"))
    assert recording.reference == [Turn(0.1, 0.5, "ann")]
    text = (tmp_path / "one.rttm").read_text()
    (tmp_path / "one.rttm").write_text(text + text.replace("meeting", "other"))
    with pytest.raises(CorpusError, match=r"names meeting, other but not one"):
        list(load_folder(str(tmp_path)))


def test_an_empty_reference_is_a_recording_without_speech(tmp_path):
    folder = folder_with(tmp_path, "one")
    (tmp_path / "one.rttm").write_text("")
    assert next(load_folder(folder)).reference == []


def test_a_reference_without_audio_is_named_before_anything_is_read(tmp_path):
    folder = folder_with(tmp_path, "one", "two")
    (tmp_path / "two.flac").unlink()
    with pytest.raises(CorpusError, match=r"no audio .* beside two\.rttm"):
        next(load_folder(folder))


def test_folders_without_references_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"no \.rttm file"):
        next(load_folder(str(tmp_path)))
    with pytest.raises(CorpusError, match="no such folder"):
        next(load_folder(str(tmp_path / "none")))
