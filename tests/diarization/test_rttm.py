import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.diarization.rttm import (
    Turn,
    format_rttm,
    parse_rttm,
    parse_uem,
    read_rttm,
    read_uem,
    write_rttm,
    write_uem,
)
from voiceflow_model.errors import CorpusError

milliseconds = st.integers(1, 10_000_000).map(lambda ms: ms / 1000)
turns = st.lists(st.builds(Turn, milliseconds, milliseconds, st.sampled_from(["a", "B-1", "ß"])), max_size=10)


@given(turns=turns)
def test_reading_gives_back_what_was_written(turns):
    assert parse_rttm(format_rttm("meeting", turns)).get("meeting", []) == sorted(turns)


def test_files_at_paths_and_urls(tmp_path):
    for folder in (str(tmp_path), "memory://rttm"):
        write_rttm(f"{folder}/m.rttm", "my meeting", [Turn(1.0, 2.5, "ann")])
        write_uem(f"{folder}/m.uem", "my meeting", [(0.0, 30.0)])
        assert read_rttm(f"{folder}/m.rttm") == {"my_meeting": [Turn(1.0, 2.5, "ann")]}
        assert read_uem(f"{folder}/m.uem") == {"my_meeting": [(0.0, 30.0)]}


def test_other_lines_comments_and_empty_turns_are_passed_over():
    text = """;; a comment
SPKR-INFO x 1 <NA> <NA> <NA> unknown ann <NA>

SPEAKER x 1 3.0 1.0 <NA> <NA> ann <NA> <NA>
SPEAKER x 1 1.0 1.0 <NA> <NA> bob <NA>
SPEAKER x 1 9.0 0.000 <NA> <NA> bob <NA> <NA>
"""
    assert parse_rttm(text) == {"x": [Turn(1.0, 1.0, "bob"), Turn(3.0, 1.0, "ann")]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SPEAKER x 1 0.0 1.0", "line 2: 5 fields where RTTM has 10"),
        ("SPEAKER x 1 zero 1.0 <NA> <NA> ann <NA> <NA>", "line 2: 'zero' is not a time"),
        ("SPEAKER x 1 0.0 -1.0 <NA> <NA> ann <NA> <NA>", "line 2: a turn of 'ann' lasts -1.0 s"),
        ("SPEAKER x 1 nan 1.0 <NA> <NA> ann <NA> <NA>", "line 2: a turn of 'ann' starts at nan s"),
    ],
)
def test_a_broken_line_is_named(line, message):
    with pytest.raises(CorpusError, match=f"ref.rttm {message}"):
        parse_rttm(f";;\n{line}\n", "ref.rttm")


@pytest.mark.parametrize("line", ["x 1 0.0", "x 1 5.0 5.0", "x 1 -1 5", "x 1 a b"])
def test_a_broken_uem_line_is_named(line):
    with pytest.raises(CorpusError, match="UEM line 1"):
        parse_uem(line)


def test_missing_and_binary_files_are_told_apart(tmp_path):
    (tmp_path / "audio.rttm").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="no such file"):
        read_rttm(str(tmp_path / "none.rttm"))
    with pytest.raises(CorpusError, match="not a text file"):
        read_rttm(str(tmp_path / "audio.rttm"))


@pytest.mark.parametrize(
    "turn", [(-1.0, 1.0, "a"), (0.0, 0.0, "a"), (0.0, float("inf"), "a"), (0, 1, "a b"), (0, 1, "")]
)
def test_a_turn_that_makes_no_sense_cannot_be_made(turn):
    with pytest.raises(CorpusError):
        Turn(*turn)
