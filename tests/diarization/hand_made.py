"""Analyses made by hand: what a network might say about windows that do not exist."""

import numpy as np

from voiceflow_model.diarization.analysis import Analysis, pool_windows

VOICES = np.eye(4, dtype=np.float32)
FRAME_S = 0.02


def analysis_of(decisions, voice, starts, sure=0.9) -> Analysis:
    """From decisions (windows, frames, speakers) and whose voice really sounds in each frame (windows, frames)."""
    decisions, voice = np.asarray(decisions, bool), np.asarray(voice)
    features = VOICES[voice]
    weight = np.concatenate([np.eye(4), np.zeros((4, 4))], axis=1).astype(np.float32)
    embeddings, clean_s, runs = pool_windows(
        decisions, features, np.zeros(voice.shape, np.float32), weight, np.zeros(4, np.float32), FRAME_S
    )
    return Analysis(
        frame_s=FRAME_S, total_frames=int(max(starts)) + decisions.shape[1], starts=np.asarray(starts),
        probabilities=np.where(decisions, sure, 0.0).astype(np.float32), decisions=decisions,
        embeddings=embeddings, clean_s=clean_s, runs=runs,
    )  # fmt: skip
