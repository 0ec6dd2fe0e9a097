"""Diarization and Jaccard error rates of one recording, as pyannote.metrics computes them.

Three habits make figures comparable: same-speaker overlaps are united before scoring, the scored region is always
given, and a collar means its half-width (+-0.25 s here is `collar=0.5` there). Overlapped speech is always scored.
"""

from collections.abc import Sequence

from pydantic import Field

from voiceflow_model.diarization.rttm import Span, Turn
from voiceflow_model.errors import INSTALL_TRAIN, ConfigError
from voiceflow_model.section import Section

try:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate
except ImportError as error:
    raise ConfigError(f"scoring needs pyannote.metrics: {INSTALL_TRAIN}") from error

COLLAR_S = 0.25


class Errors(Section):
    """Seconds of speech, counted once per speaker, and of each kind of error."""

    speech_s: float
    false_alarm_s: float
    missed_s: float
    confusion_s: float

    @property
    def error_s(self) -> float:
        """All errors in seconds."""
        return self.false_alarm_s + self.missed_s + self.confusion_s

    @property
    def rate(self) -> float:
        """Diarization error rate; without reference speech 0, or 1 when there is a false alarm."""
        return self.error_s / self.speech_s if self.speech_s else float(self.error_s > 0)


class Score(Section):
    """How one recording was diarized."""

    name: str
    errors: Errors = Field(description="collar 0, overlap scored")
    errors_collar: Errors = Field(description="the same without +-0.25 s around the boundaries of reference turns")
    jer: float = Field(description="Jaccard error rate: mean over the reference speakers")
    speakers_ref: int
    speakers_hyp: int

    @property
    def der(self) -> float:
        """Diarization error rate, collar 0."""
        return self.errors.rate


def errors(
    reference: Sequence[Turn], hypothesis: Sequence[Turn], uem: Sequence[Span], *, collar_s: float = 0.0
) -> Errors:
    """Seconds of speech and errors within `uem`, without `collar_s` on each side of the reference's boundaries.

    Uses the speaker mapping that minimises the error. Raises ConfigError for a negative collar or an empty uem.
    """
    if collar_s < 0:
        raise ConfigError(f"collar_s={collar_s}: a collar is a half-width in seconds, 0 or more")
    metric = DiarizationErrorRate(collar=2 * collar_s)
    found = metric.compute_components(annotation(reference), annotation(hypothesis), uem=region(uem))
    return Errors(
        speech_s=found["total"],
        false_alarm_s=found["false alarm"],
        missed_s=found["missed detection"],
        confusion_s=found["confusion"],
    )


def score(name: str, reference: Sequence[Turn], hypothesis: Sequence[Turn], uem: Sequence[Span]) -> Score:
    """Everything a report says about one recording. Raises ConfigError for an empty uem."""
    scored = region(uem)
    ref, hyp = annotation(reference), annotation(hypothesis)
    jaccard = JaccardErrorRate().compute_components(ref, hyp, uem=scored)
    count = int(jaccard["speaker count"])
    speakers_hyp = len(hyp.crop(scored).labels())
    return Score(
        name=name,
        errors=errors(reference, hypothesis, uem),
        errors_collar=errors(reference, hypothesis, uem, collar_s=COLLAR_S),
        jer=jaccard["speaker error"] / count if count else float(speakers_hyp > 0),
        speakers_ref=count,
        speakers_hyp=speakers_hyp,
    )


def total(parts: Sequence[Errors]) -> Errors:
    """Errors of several recordings together."""
    return Errors(**{name: sum(getattr(part, name) for part in parts) for name in Errors.model_fields})


def annotation(turns: Sequence[Turn]) -> Annotation:
    """Turns for pyannote, overlaps of a speaker with himself united."""
    whole = Annotation()
    for track, turn in enumerate(turns):
        whole[Segment(turn.start_s, turn.end_s), track] = turn.speaker
    return whole.support()


def region(uem: Sequence[Span]) -> Timeline:
    """Scored stretches for pyannote. Raises ConfigError when there are none."""
    if not uem:
        raise ConfigError("nothing to score: give the scored stretches (uem), [(0, duration)] for a whole recording")
    return Timeline(segments=[Segment(start, end) for start, end in uem]).support()
