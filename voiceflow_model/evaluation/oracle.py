"""What limits: DER again with one stage of the pipeline at a time replaced by the truth."""

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from voiceflow_model.data.corpus import FRAME_SAMPLES, Label
from voiceflow_model.data.passage import label_activity
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.decision import decide, turns_of
from voiceflow_model.diarization.linkage import Ints
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.pooling import Mask
from voiceflow_model.evaluation.der import errors, total
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.section import Section


class OracleTable(Section):
    """DERs (collar 0) of the same recordings; what a truth takes away is what its stage costs."""

    nothing: float = Field(description="the pipeline as it is")
    count: float = Field(description="the number of speakers is given to clustering")
    clustering: float = Field(description="each run goes to whom it overlaps most in the reference")
    segmentation: float = Field(description="who talks in each window is given; voices and clustering are the model's")

    def to_markdown(self) -> str:
        """A table of one row."""
        cells = " | ".join(f"{rate:.1%}" for rate in (self.nothing, self.count, self.clustering, self.segmentation))
        heads = "| as it is | true count | true clustering | true segmentation |"
        return f"{heads}\n| ---: | ---: | ---: | ---: |\n| {cells} |"


def oracle_table(diarizer: Diarizer, recordings: Iterable[Recording]) -> OracleTable:
    """Diarize each recording with nothing, and with one truth at a time."""
    tuning = diarizer.card.tuning
    found = []
    for one in recordings:
        truth, names = true_activity(one)
        heard = diarizer.analyse(one.samples)
        told = diarizer.analyse(one.samples, truth=truth)
        ways = (
            decide(heard, tuning),
            decide(heard, tuning, len(names) or None, len(names) or None),
            turns_of(heard, true_speakers(heard, truth), tuning, by_voice=False),
            decide(told, tuning),
        )
        found.append([errors(one.reference, turns, one.scored) for turns in ways])
    return OracleTable(
        **{name: total(way).rate for name, way in zip(OracleTable.model_fields, zip(*found, strict=True), strict=True)}
    )


def true_activity(one: Recording) -> tuple[Mask, tuple[str, ...]]:
    """Who talks in each frame by the reference, (frames, speakers), and who they are."""
    frames = len(one.samples) // FRAME_SAMPLES
    return label_activity([Label(t.start_s, t.end_s, t.speaker) for t in one.reference], frames)


def true_speakers(analysis: Analysis, truth: Mask) -> Ints:
    """Speaker (runs,) that each run overlaps most in the reference, truth (frames, speakers)."""
    runs = analysis.runs
    begin = analysis.starts[runs.window]
    until = np.vstack([np.zeros((1, truth.shape[1]), np.int64), np.cumsum(truth, axis=0)])
    return np.asarray((until[begin + runs.end] - until[begin + runs.start]).argmax(axis=1))
