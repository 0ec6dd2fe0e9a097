"""Batches of conversations, laid out in memory that processes can share and that is used again."""

import mmap
import os
import weakref
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ

NOBODY = -1  # class of an empty speaker slot


class Batch(NamedTuple):
    """Conversations stacked. `speakers` holds classes, NOBODY where a slot is empty."""

    waveform: NDArray[np.float32]  # (batch, samples)
    activity: NDArray[np.float32]  # (batch, frames, K)
    speakers: NDArray[np.int64]  # (batch, K)
    sources: NDArray[np.float32] | None = None  # (batch, K, samples): each speaker alone, where a teacher listens to it

    def rows(self, first: int, last: int) -> "Batch":
        """A view of the examples [first, last)."""
        part = slice(first, last)
        sources = None if self.sources is None else self.sources[part]
        return Batch(self.waveform[part], self.activity[part], self.speakers[part], sources)

    def put(self, row: int, conversation: Conversation) -> None:
        """Make an example of a conversation among at most K speakers, whose samples may be here already."""
        present = len(conversation.speakers)
        if not np.may_share_memory(self.waveform[row], conversation.samples):
            self.waveform[row] = conversation.samples
        self.activity[row, :, :present], self.activity[row, :, present:] = conversation.activity, 0
        self.speakers[row, :present], self.speakers[row, present:] = conversation.speakers, NOBODY
        if self.sources is not None:
            heard = len(conversation.sources)  # none of a real recording
            self.sources[row, :heard], self.sources[row, heard:] = conversation.sources, 0


class Layout(NamedTuple):
    """How many examples of how many frames among how many speakers a batch has, and whether it has sources."""

    examples: int
    frames: int
    speakers: int
    sources: bool = False

    @classmethod
    def of(cls, examples: int, conversation: ConversationConfig, speakers: int, *, sources: bool = False) -> "Layout":
        """Of the windows that `conversation` describes."""
        return cls(examples, round(conversation.window_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES, speakers, sources)

    @property
    def bytes(self) -> int:
        """That a batch takes."""
        tracks = 1 + self.speakers * self.sources
        return self.examples * (8 * self.speakers + 4 * self.frames * (FRAME_SAMPLES * tracks + self.speakers))

    def within(self, memory: NDArray[np.uint8]) -> Batch:
        """The batch that `memory`, (bytes,), holds."""
        examples, frames, k, _ = self
        ends = np.cumsum((8 * k, 4 * frames * FRAME_SAMPLES, 4 * frames * k)) * examples
        speakers, waveform, activity, sources = np.split(memory, ends)
        return Batch(
            waveform.view(np.float32).reshape(examples, -1),
            activity.view(np.float32).reshape(examples, frames, k),
            speakers.view(np.int64).reshape(examples, k),
            sources.view(np.float32).reshape(examples, k, -1) if self.sources else None,
        )


class Slot(NamedTuple):
    """A batch to fill. `descriptor` opens its memory in another process; -1 where only this one has it."""

    number: int
    descriptor: int
    batch: Batch


class Slots:
    """Memory for batches: what nobody holds any more, no array and no tensor, is filled again."""

    def __init__(self, layout: Layout, *, shared: bool) -> None:
        self._layout, self._shared = layout, shared
        self._memory: list[tuple[int, mmap.mmap]] = []
        self._free: list[int] = []

    def take(self) -> Slot:
        """A batch whose content is arbitrary; it is its holder's as long as a view of it lives."""
        if not self._free:
            self._free.append(len(self._memory))
            self._memory.append(self._allocate())
        number = self._free.pop()
        descriptor, memory = self._memory[number]
        whole = np.frombuffer(memory, np.uint8)
        weakref.finalize(whole, self._free.append, number).atexit = False  # every view has `whole` as its base
        return Slot(number, descriptor, self._layout.within(whole))

    def close(self) -> None:
        """Let go of the descriptors; batches stay readable."""
        while self._memory:
            descriptor, _ = self._memory.pop()
            if descriptor != -1:
                os.close(descriptor)

    def _allocate(self) -> tuple[int, mmap.mmap]:
        if not self._shared:
            return -1, mmap.mmap(-1, self._layout.bytes)
        descriptor = os.memfd_create("voiceflow-batch")  # unlike /dev/shm never short of room in a container
        os.ftruncate(descriptor, self._layout.bytes)
        return descriptor, mmap.mmap(descriptor, self._layout.bytes)
