import pytest
from tone_model import tone_model

from voiceflow_model.diarization.onnx_runtime import Diarizer


@pytest.fixture(scope="session")
def diarizer() -> Diarizer:
    """The tone model, opened as any exported model is."""
    return Diarizer.load(tone_model())
