import io

import pytest
from rich.console import Console

from voiceflow_model.diarization.rttm import Turn, write_rttm, write_uem
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.der import score
from voiceflow_model.evaluation.report import DerReport, score_dirs

REFERENCE = {"b": [Turn(0, 10, "A"), Turn(10, 10, "B")], "a": [Turn(0, 60, "A")]}
HYPOTHESIS = {"b": [Turn(0, 20, "x")], "a": [Turn(0, 57, "x")]}
UEM = [(0.0, 60.0)]


@pytest.fixture
def report():
    scores = [score(name, REFERENCE[name], HYPOTHESIS[name], UEM) for name in REFERENCE]
    return DerReport.from_scores(scores, "two recordings")


def test_long_recordings_weigh_more_and_jer_counts_speakers(report):
    assert report.der == pytest.approx((10 + 3) / 80)
    assert (report.false_alarm, report.missed, report.confusion) == pytest.approx((0, 3 / 80, 10 / 80))
    assert report.jer == pytest.approx((3 / 60 + 0.5 + 1.0) / 3)
    assert report.speaker_count_accuracy == 0.5
    assert report.ci_low == pytest.approx(3 / 60)
    assert report.ci_high == pytest.approx(10 / 20)
    assert report.der_collar_025 < report.der
    assert [one.name for one in report.files] == ["a", "b"]


def test_survives_json(report):
    assert DerReport.model_validate_json(report.model_dump_json()) == report


def test_one_recording_has_no_interval():
    report = DerReport.from_scores([score("a", REFERENCE["a"], [], UEM)], "one")
    assert (report.ci_low, report.ci_high) == (None, None)
    assert "[" not in report.summary()


def test_nothing_scored_is_an_error():
    with pytest.raises(CorpusError, match="no recording"):
        DerReport.from_scores([], "none")


def test_tables_show_every_recording_and_the_sum(report):
    markdown = report.to_markdown()
    assert "| a | 60.0 | 5.0% | 0.0% | 5.0% | 0.0% |" in markdown
    assert "| b | 20.0 | 50.0% | 0.0% | 0.0% | 50.0% |" in markdown
    assert "| all | 80.0 | 16.2% |" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    text = io.StringIO()
    Console(file=text, width=160).print(report.to_table())
    assert "two recordings" in text.getvalue()
    assert "50.0%" in text.getvalue()


@pytest.fixture
def dirs(tmp_path):
    ref, hyp = tmp_path / "ref", tmp_path / "hyp"
    for folder, content in ((ref, REFERENCE), (hyp, HYPOTHESIS)):
        folder.mkdir()
        for name, turns in content.items():
            write_rttm(str(folder / f"{name}.rttm"), name, turns)
    for name in REFERENCE:
        write_uem(str(ref / f"{name}.uem"), name, UEM)
    return ref, hyp


def test_two_folders_score_like_their_turns(dirs, report):
    found = score_dirs(str(dirs[0]), str(dirs[1]))
    assert found.files == report.files
    assert found.der == report.der


def test_an_empty_hypothesis_is_an_answer_but_a_missing_one_is_an_error_unless_told(dirs):
    ref, hyp = map(str, dirs)
    write_rttm(f"{hyp}/b.rttm", "b", [])
    silent = score_dirs(ref, hyp)
    assert silent.missed == pytest.approx(23 / 80)
    (dirs[1] / "b.rttm").unlink()
    with pytest.raises(CorpusError, match="no hypothesis for b; diarize them"):
        score_dirs(ref, hyp)
    assert score_dirs(ref, hyp, missing_as_missed=True).der == silent.der


def test_a_hypothesis_without_reference_is_an_error(dirs):
    ref, hyp = map(str, dirs)
    write_rttm(f"{hyp}/c.rttm", "c", HYPOTHESIS["a"])
    with pytest.raises(CorpusError, match=r"no reference in .* for c"):
        score_dirs(ref, hyp)


def test_a_recording_in_two_files_is_an_error(dirs):
    ref, hyp = map(str, dirs)
    write_rttm(f"{hyp}/again.rttm", "a", HYPOTHESIS["a"])
    with pytest.raises(CorpusError, match="a also in another file"):
        score_dirs(ref, hyp)


def test_without_uem_all_of_both_is_scored(dirs):
    ref, hyp = map(str, dirs)
    for name in REFERENCE:
        (dirs[0] / f"{name}.uem").unlink()
    write_rttm(f"{hyp}/a.rttm", "a", [Turn(0, 90, "x")])
    assert score_dirs(ref, hyp).false_alarm == pytest.approx(30 / 80)


def test_a_missing_or_empty_folder_is_an_error(dirs, tmp_path):
    with pytest.raises(CorpusError, match="no such folder"):
        score_dirs(str(tmp_path / "none"), str(dirs[1]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"no \.rttm file"):
        score_dirs(str(dirs[0]), str(tmp_path / "empty"))
