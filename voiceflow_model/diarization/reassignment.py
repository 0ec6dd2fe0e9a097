"""Runs of a local speaker that sound like another speaker of the recording go to that one."""

import numpy as np

from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import Clusters
from voiceflow_model.diarization.linkage import Ints


def assign_runs(analysis: Analysis, clusters: Clusters, tuning: Tuning) -> Ints:
    """Speaker of every run (runs,): its local speaker's cluster, or a centroid nearer by `reassign_margin`.

    Most of the error left after clustering is two people on one local track of a window; giving each run its own
    embedding undoes that. Runs with less clean speech than `min_embed_s` stay, and so does a run during at least
    half of which the new speaker already talks in the same window: moving it would turn overlap into a miss.
    """
    runs = analysis.runs
    home = clusters.labels[runs.window, runs.local]
    if len(clusters.centroids) < 2 or not len(runs):
        return home
    similarity = runs.embedding @ clusters.centroids.T  # (runs, clusters)
    nearest = similarity.argmax(axis=1)
    gain = similarity.max(axis=1) - similarity[np.arange(len(runs)), home]
    speaker = home.copy()
    for run in np.flatnonzero((gain > tuning.reassign_margin) & (runs.clean_s >= tuning.min_embed_s)):
        here = slice(*np.searchsorted(runs.window, [runs.window[run], runs.window[run] + 1]))
        shared = np.minimum(runs.end[here], runs.end[run]) - np.maximum(runs.start[here], runs.start[run])
        taken = np.maximum(shared, 0)[speaker[here] == nearest[run]].sum()
        if 2 * taken < runs.end[run] - runs.start[run]:
            speaker[run] = nearest[run]
    return speaker
