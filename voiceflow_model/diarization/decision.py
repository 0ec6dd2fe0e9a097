"""All decisions that follow the network, in order: cluster, aggregate, cut into turns."""

import numpy as np

from voiceflow_model.diarization.aggregation import active_speakers, speaker_scores, to_turns, votes
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import cluster, tree_of
from voiceflow_model.diarization.linkage import Ints
from voiceflow_model.diarization.pooling import Mask
from voiceflow_model.diarization.rttm import Turn


def decide(
    analysis: Analysis, tuning: Tuning, min_speakers: int | None = None, max_speakers: int | None = None
) -> list[Turn]:
    """Turns of a recording in order of time. Deterministic. Raises ConfigError for contradictory bounds."""
    return turns_of(analysis, cluster(analysis, tuning, min_speakers, max_speakers), tuning)


def turns_of(analysis: Analysis, speakers: Ints, tuning: Tuning, *, by_voice: bool = True) -> list[Turn]:
    """The turns that follow once every run has its speaker (runs,); `activity` says what `by_voice` does."""
    return to_turns(activity(analysis, speakers, tuning, by_voice=by_voice), analysis.frame_s, tuning)


def activity(analysis: Analysis, speakers: Ints, tuning: Tuning, *, by_voice: bool = True) -> Mask:
    """Who talks, (total_frames, speakers), once every run has its speaker (runs,).

    The runs tell how many talk at once. Who they are is voted for by the pieces of all windows, each by its likeness to
    the mean voices of the clusters, or, unless `by_voice`, by the runs (docs/adr/0006-clustering-runs.md).
    """
    if not len(speakers):
        return np.zeros((analysis.total_frames, 0), np.bool_)
    whole = np.eye(speakers.max() + 1, dtype=np.float32)[speakers]
    scores = speaker_scores(analysis, analysis.runs, whole)
    expected = scores.sum(axis=1)
    if by_voice:
        voices = tree_of(analysis, tuning).centroids(speakers)
        pieces = analysis.pieces
        scores = speaker_scores(analysis, pieces, votes(pieces.voices(tuning.pitch_weight), voices))
    return active_speakers(expected, scores, tuning)
