"""From speakers of overlapping windows to one decision per frame and speaker, and to turns."""

import numpy as np
from scipy.special import softmax

from voiceflow_model.diarization.analysis import Analysis, Runs, find_runs
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.pooling import Floats, Mask
from voiceflow_model.diarization.rttm import Turn

VOTE_WIDTH = 0.1  # of cosine: a voice as much nearer than another has 2.7 times its vote


def votes(heard: Floats, voices: Floats) -> Floats:
    """How likely it is that each speaker, of voice (speakers, dim), is heard in each piece (pieces, dim)."""
    return np.asarray(softmax(heard @ voices.T / VOTE_WIDTH, axis=1), np.float32)


def speaker_scores(analysis: Analysis, runs: Runs, votes: Floats) -> Floats:
    """Mean probability (total_frames, speakers), over the windows that see a frame, that a speaker talks there.

    A run, of which `votes` (runs, speakers) says whose it is, carries its local speaker's probabilities up to halfway
    to the neighbouring runs of that local speaker, so that a lower onset can still reach speech which no window was
    sure of.
    """
    frames = analysis.probabilities.shape[1]
    same = (np.diff(runs.window) == 0) & (np.diff(runs.local) == 0)
    halfway = (runs.end[:-1] + runs.start[1:]) // 2
    first = np.concatenate([[0], np.where(same, halfway, 0)])
    last = np.concatenate([np.where(same, halfway, frames), [frames]])
    total = np.zeros((analysis.total_frames, votes.shape[1]), np.float32)
    seen = np.zeros((analysis.total_frames, 1), np.float32)
    bounds = np.searchsorted(runs.window, np.arange(len(analysis.starts) + 1))
    for window, start in enumerate(analysis.starts):
        score = np.zeros((frames, votes.shape[1]), np.float32)
        for run in range(bounds[window], bounds[window + 1]):
            part = score[first[run] : last[run]]
            heard = analysis.probabilities[window, first[run] : last[run], runs.local[run], None]
            np.maximum(part, heard * votes[run], out=part)
        total[start : start + frames] += score
        seen[start : start + frames] += 1
    return np.asarray(total / np.maximum(seen, 1), np.float32)


def hysteresis(score: Floats, onset: float, offset: float) -> Mask:
    """Where a score (frames,) is on: from rising above `onset` until it falls below `offset`."""
    offset = min(offset, onset)
    decided = (score > onset) | (score < offset)
    latest = np.maximum.accumulate(np.where(decided, np.arange(len(score)), -1))
    return np.asarray((latest >= 0) & (score[latest] > onset))


def active_speakers(expected: Floats, scores: Floats, tuning: Tuning) -> Mask:
    """Decide who talks, (frames, speakers): first how many at once, then that many with the highest scores.

    Counting first (as pyannote.audio does, Bredin 2023) keeps speech whose score is divided between two clusters.
    Hysteresis works on the `expected` number of speakers (frames,): the n-th begins at n - 1 + onset.
    """
    count = np.zeros(len(scores), np.int64)
    for others in range(int(np.ceil(expected.max(initial=0)))):
        count += hysteresis(expected - others, tuning.onset, tuning.offset)
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
    return (rank < count[:, None]) & (scores > 0)


def to_turns(active: Mask, frame_s: float, tuning: Tuning) -> list[Turn]:
    """Turns in order of time from decisions (frames, speakers), after filling short pauses and dropping short turns.

    Speakers are named speaker_1, speaker_2, ... in order of appearance; times are multiples of a frame, rounded to ms.
    """
    found: list[tuple[int, int, int]] = []
    for speaker in range(active.shape[1]):
        _, _, start, end = find_runs(active[None, :, speaker, None])
        joined = np.round((start[1:] - end[:-1]) * frame_s, 6) <= tuning.min_pause_s
        start, end = start[np.append(True, ~joined)[: len(start)]], end[np.append(~joined, True)[: len(end)]]
        long = np.round((end - start) * frame_s, 6) >= tuning.min_turn_s
        found += [(int(a), int(b), speaker) for a, b in zip(start[long], end[long], strict=True)]
    names: dict[int, str] = {}
    turns = []
    for first, last, speaker in sorted(found):
        name = names.setdefault(speaker, f"speaker_{len(names) + 1}")
        turns.append(Turn(round(first * frame_s, 3), round((last - first) * frame_s, 3), name))
    return turns
