"""`FastDiarizationModel`: waveform in, who-speaks-when logits and one embedding per local speaker out, in one pass."""

from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from voiceflow_model.network.embedding import EmbeddingHead, clean_masks
from voiceflow_model.network.encoder import Encoder
from voiceflow_model.network.frontend import LogMel
from voiceflow_model.network.powerset import Powerset
from voiceflow_model.network.segmentation import SegmentationHead
from voiceflow_model.section import Section

EncoderType = Literal["lightweight-cnn"]


class NetworkConfig(Section):
    """The network's shape. The defaults are the full size."""

    num_speakers: int = Field(3, ge=2, le=4, description="local speakers of one window (K)")
    hidden_size: int = Field(256, ge=16, le=1024, multiple_of=8, description="channels of the trunk")
    encoder_type: EncoderType = "lightweight-cnn"
    blocks: int = Field(9, ge=1, le=32)
    attention_blocks: int = Field(2, ge=0, le=8)
    mels: int = Field(80, ge=20, le=128)
    embedding_dim: int = Field(192, ge=16, le=512)
    split_trunk: bool = Field(False, description="embeddings have a trunk of their own: twice the work")
    voice_blocks: int | None = Field(
        None, ge=1, description="blocks that a voice is heard through, of `blocks`; None: all of them"
    )

    @model_validator(mode="after")
    def _blocks_exist(self) -> "NetworkConfig":
        if (self.voice_blocks or 0) > self.blocks:
            raise ValueError(f"voice_blocks = {self.voice_blocks}, but the trunk has blocks = {self.blocks}")
        return self


class Output(NamedTuple):
    """What the network says about a batch of windows."""

    logits: Tensor  # (batch, frames, powerset classes)
    embeddings: Tensor  # (batch, K, dim), L2-normalised; as many as `wanted` where that is given
    moments: Tensor  # (2, pooled width): what pooled statistics were normalised by
    features: Tensor  # (batch, frames, width): what embeddings are pooled from
    attention: Tensor  # (batch, frames)
    spectrum: Tensor  # (batch, mels): of each window, as of `LogMel`
    likeness: list[Tensor]  # per attention block (batch, TOLD, coarse frames, coarse frames): who is the same as whom


class FastDiarizationModel(nn.Module):
    """Joint segmentation and speaker embedding over one trunk.

    `FastDiarizationModel(num_speakers=3, hidden_size=256, encoder_type="lightweight-cnn")` is the public constructor;
    `from_config` builds the same from a `NetworkConfig`.
    """

    def __init__(
        self,
        num_speakers: int = 3,
        hidden_size: int = 256,
        encoder_type: EncoderType = "lightweight-cnn",
        *,
        blocks: int = 9,
        attention_blocks: int = 2,
        mels: int = 80,
        embedding_dim: int = 192,
        split_trunk: bool = False,
        voice_blocks: int | None = None,
    ) -> None:
        super().__init__()
        if encoder_type != "lightweight-cnn":
            raise ValueError(f"encoder_type={encoder_type!r}: only 'lightweight-cnn' exists")
        self.powerset = Powerset(num_speakers)
        self.frontend = LogMel(mels)
        self.encoder = Encoder(mels, hidden_size, blocks)
        self.voice_blocks = voice_blocks or blocks
        self.voice_encoder = Encoder(mels, hidden_size, self.voice_blocks) if split_trunk else None
        self.segmentation = SegmentationHead(hidden_size, len(self.powerset.classes), attention_blocks)
        self.embedding = EmbeddingHead(hidden_size, 2 * hidden_size, embedding_dim)

    @classmethod
    def from_config(cls, config: NetworkConfig) -> "FastDiarizationModel":
        """Build the network that a configuration describes."""
        return cls(**config.model_dump())

    def forward(
        self,
        waveform: Tensor,
        activity: Tensor | None = None,
        wanted: Tensor | None = None,
        reference: Tensor | None = None,
    ) -> Output:
        """Waveform (batch, samples), samples a multiple of 320 -> `Output`.

        Embeddings are pooled where `activity` (batch, frames, K) says; without it, where the model's own decisions do.
        `wanted` (batch, frames, n) asks for those of parts of it. Voices are heard against the `reference` (batch or 1,
        mels), the spectrum of the recording, where it is given, else of the window (docs/adr/0017-one-spectrum.md).
        """
        mel, spectrum = self.frontend(waveform)
        early = self.encoder.early(mel, self.voice_blocks)  # (batch, frames, channels)
        logits, likeness = self.segmentation(self.encoder.late(early, self.voice_blocks))
        if reference is not None:
            mel = mel + (spectrum - reference)[..., None]
        if self.voice_encoder or reference is not None:
            early = (self.voice_encoder or self.encoder).early(mel, self.voice_blocks)
        x, attention = self.embedding.frames(early)
        if activity is None:
            membership: Tensor = self.powerset.membership.to(logits.device)
            chosen = logits >= logits.amax(-1, keepdim=True)  # one-hot argmax, without a gather for the exporter
            activity = chosen.to(logits.dtype) @ membership
        embeddings, moments = self.embedding.pool(x, attention, clean_masks(activity.to(x.dtype), wanted))
        return Output(logits, embeddings, moments, x, attention, spectrum, likeness)

    def voices(self, waveform: Tensor, activity: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The embeddings and moments of `Output` alone."""
        encoder = self.voice_encoder or self.encoder
        x, attention = self.embedding.frames(encoder.early(self.frontend(waveform)[0], self.voice_blocks))
        return self.embedding.pool(x, attention, clean_masks(activity, wanted))


def parameter_count(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters())


def seeded_model(config: NetworkConfig, seed: int) -> FastDiarizationModel:
    """A freshly initialised network, the same for the same seed whatever ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FastDiarizationModel.from_config(config)
