import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diarization"))  # the tone model is shared

from tone_model import tone_model

from voiceflow_model.diarization.onnx_runtime import Diarizer


@pytest.fixture(scope="session")
def diarizer() -> Diarizer:
    """The tone model, opened as any exported model is."""
    return Diarizer.load(tone_model())
