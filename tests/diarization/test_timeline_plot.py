import io
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from voiceflow_model.diarization.plot import PALETTE, match_speakers, timeline_png
from voiceflow_model.diarization.rttm import Turn

REFERENCE = [Turn(0, 10, "ann"), Turn(10, 10, "bob"), Turn(65, 5, "cem")]
HYPOTHESIS = [Turn(0, 9, "speaker_1"), Turn(10, 11, "speaker_2"), Turn(40, 2, "speaker_3")]


def has_colour(png, colour):
    pixels = (imread(io.BytesIO(png))[..., :3] * 255).round().astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels - wanted).max(axis=-1) <= 1).any())


def test_draws_each_speaker_in_a_colour_of_his_own():
    png = timeline_png(HYPOTHESIS, 70.0, title="meeting")
    assert png.startswith(b"\x89PNG")
    assert [has_colour(png, colour) for colour in PALETTE[:4]] == [True, True, True, False]


def test_matched_speakers_share_a_colour_and_a_false_one_gets_another():
    assert match_speakers(REFERENCE, HYPOTHESIS) == {"speaker_1": "ann", "speaker_2": "bob"}
    png = timeline_png(HYPOTHESIS, 70.0, reference=REFERENCE)
    assert [has_colour(png, colour) for colour in PALETTE[:5]] == [True] * 4 + [False]


@pytest.mark.parametrize("reference", [None, [], REFERENCE])
def test_no_speech_and_more_speakers_than_colours_are_drawn_too(reference):
    many = [Turn(i, 1, f"s{i}") for i in range(20)]
    for turns in ([], many):
        assert timeline_png(turns, 0.0 if not turns else 20.0, reference=reference).startswith(b"\x89PNG")


def test_needs_no_pyplot():
    before = "matplotlib.pyplot" in sys.modules
    timeline_png(HYPOTHESIS, 70.0)
    assert ("matplotlib.pyplot" in sys.modules) == before
