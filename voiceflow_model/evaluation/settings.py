"""What is measured on a trained model, and what it must reach."""

from pydantic import Field

from voiceflow_model.data.corpora import CorpusConfig
from voiceflow_model.data.speakers import Speeds
from voiceflow_model.data.turns import Turns
from voiceflow_model.section import Section


class EvaluationConfig(Section):
    """Validation during training, and the simulated recordings of held-out speakers."""

    corpus: CorpusConfig | None = Field(
        None, description="whose dev and test speakers are measured, instead of those of the corpus trained on"
    )
    trials: str | None = Field(
        None, description="pairs for the verification EER, as VoxCeleb1's veri_test2.txt; without, all pairs"
    )
    validation_conversations: int = Field(96, ge=1)
    validation_utterances: int = Field(192, ge=1)
    validation_recordings: int = Field(
        0, ge=0, description="of the dev recordings, diarized at every validation; 0: none, and only frames tell"
    )
    dev_recordings: int = Field(12, ge=2, description="of dev speakers; decision parameters are tuned on them")
    dev_speeds: Speeds = Field(
        (1.0,), description="a voice of a dev recording is played at a drawn one: few people are tuned on as many"
    )
    test_recordings: int = Field(24, ge=2, description="of test speakers; DER is reported on them")
    recording_s: float = Field(45.0, ge=10)
    speakers: tuple[int, int] = Field((2, 3), description="fewest and most speakers of a recording")
    turn_style: Turns | None = Field(None, description="of recordings, where they differ from [conversation]")
    overlap_probability: float | None = Field(None, ge=0, le=1, description="as in [conversation], for recordings")
    seed: int = Field(1000, ge=0)


class GateConfig(Section):
    """Below these a model is kept but never promoted to `latest`."""

    accuracy: float = Field(0.80, ge=0, le=1, description="frame and speaker accuracy must both exceed it; 0: no gate")
    der: float = Field(0.15, ge=0, description="DER must stay under it: collar 0, overlap scored, unknown count")
    parity: float = Field(1e-4, gt=0, description="largest difference between ONNX Runtime and torch")

    def accurate(self, share: float) -> bool:
        """Whether an accuracy passes."""
        return not self.accuracy or share > self.accuracy
