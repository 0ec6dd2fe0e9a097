"""All decisions that follow the network, in order: cluster, aggregate, cut into turns."""

from voiceflow_model.diarization.aggregation import active_speakers, speaker_scores, to_turns
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import cluster
from voiceflow_model.diarization.linkage import Ints
from voiceflow_model.diarization.rttm import Turn


def decide(
    analysis: Analysis, tuning: Tuning, min_speakers: int | None = None, max_speakers: int | None = None
) -> list[Turn]:
    """Turns of a recording in order of time. Deterministic. Raises ConfigError for contradictory bounds."""
    return turns_of(analysis, cluster(analysis, tuning, min_speakers, max_speakers), tuning)


def turns_of(analysis: Analysis, speakers: Ints, tuning: Tuning) -> list[Turn]:
    """The turns that follow once every run has its speaker (runs,)."""
    if not len(speakers):
        return []
    scores = speaker_scores(analysis, speakers, int(speakers.max()) + 1)
    return to_turns(active_speakers(scores, tuning), analysis.frame_s, tuning)
