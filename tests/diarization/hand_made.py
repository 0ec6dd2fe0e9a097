"""Analyses made by hand: what a network might say about windows that do not exist."""

import numpy as np

from voiceflow_model.diarization.analysis import PIECE_S, Analysis, pool_runs

VOICES = np.eye(4, dtype=np.float32)
FRAME_S = 0.02


def analysis_of(decisions, voice, starts, sure=0.9, max_run_s=10.0, pitch=None) -> Analysis:
    """From decisions (windows, frames, speakers) and whose voice really sounds in each frame (windows, frames).

    Nothing is voiced but where `pitch` (windows, frames, 2) says so.
    """
    decisions, voice = np.asarray(decisions, bool), np.asarray(voice)
    features = VOICES[voice]
    weight = np.concatenate([np.eye(4), np.zeros((4, 4))], axis=1).astype(np.float32)
    attention, bias = np.zeros(voice.shape, np.float32), np.zeros(4, np.float32)
    pitch = np.zeros((*voice.shape, 2), np.float32) if pitch is None else pitch
    runs, pieces = (
        pool_runs(decisions, features, attention, pitch, weight, bias, FRAME_S, length_s)
        for length_s in (max_run_s, PIECE_S)
    )
    return Analysis(
        frame_s=FRAME_S, total_frames=int(max(starts)) + decisions.shape[1], starts=np.asarray(starts),
        probabilities=np.where(decisions, sure, 0.0).astype(np.float32), runs=runs, pieces=pieces,
    )  # fmt: skip
