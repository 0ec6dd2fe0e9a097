"""What looks wrong in a corpus that was peeked at, and what to change."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.lanes import StreamConfig

if TYPE_CHECKING:
    from voiceflow_model.data.peek.look import Peek

# Rules of thumb; shares are in [0, 1].
_SKIPPED, _CLIPPED, _LEAST_SPEECH, _MOST_SILENCE = 0.01, 0.05, 0.3, 0.6
_BY_ONE_SPEAKER = 0.2
_LEAST_OVERLAP = 0.002
_QUIET_DBFS = -50


def looks_wrong(seen: "Peek", stream: StreamConfig, conversation: ConversationConfig) -> Iterator[str]:
    """One sentence for each."""
    each, balance = seen.rows_are, seen.balance
    skipped = sum(seen.undecodable.values()) / seen.utterances
    if skipped > _SKIPPED:
        stops = f" Training stops above stream.max_broken_share = {stream.max_broken_share:g}."
        yield (
            f"{skipped:.1%} of the {each} cannot be used: repair or remove them (causes above)."
            f"{stops if skipped > stream.max_broken_share else ''}"
        )
    few = 0.5 * min(seen.batch_size, seen.speakers)
    if seen.batch_speakers[1] < max(2, few):
        yield (
            f"Only {seen.batch_speakers[1]:g} speakers in a batch of {seen.batch_size}: speakers stand one after the "
            "other in this corpus. Raise stream.lanes, then stream.pool_blocks; each lane reads another shard."
        )
    wanted = sum(conversation.speakers[2:])
    several = sum(n for speakers, n in seen.cast.items() if speakers > 1) / seen.conversations
    if each == "utterances" and several < wanted / 2:
        yield (
            f"{several:.0%} of the windows have two speakers or more, conversation.speakers asks for {wanted:.0%}: "
            "the pools hold too few speakers. Raise stream.pool_blocks or lower stream.block_rows."
        )
    if balance.most_heard_share > max(_BY_ONE_SPEAKER, 2 / max(seen.speakers, 1)):
        yield (
            f"{balance.most_heard_share:.0%} of the speech is {balance.most_heard}'s: add speech of others, or check "
            "where the names come from (the column, the folders)."
        )
    if seen.overlap_share < _LEAST_OVERLAP < wanted:
        change = "check the labels' times" if each == "passages" else "raise conversation.overlap_probability"
        yield f"Nobody overlaps, so overlap cannot be learnt: {change}."
    if seen.label_shares[0] > _MOST_SILENCE:
        change = "check the labels" if each == "passages" else "lower conversation.speakers[0]"
        yield f"Nobody speaks in {seen.label_shares[0]:.0%} of the frames: {change}."
    if seen.clipped_share > _CLIPPED:
        yield f"{seen.clipped_share:.0%} of the {each} are clipped: export the corpus again with less gain."
    if seen.level_dbfs[1] < _QUIET_DBFS:
        yield f"The {each} are very quiet ({seen.level_dbfs[1]:.0f} dBFS): check the channel and the gain."
    if seen.speech_share < _LEAST_SPEECH:
        yield f"Only {seen.speech_share:.0%} of the {each} is speech: is it another channel, or music?"
