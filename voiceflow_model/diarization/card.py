"""What a VoiceFlow ONNX file says about itself, as JSON in its metadata under the key "voiceflow"."""

from pydantic import Field

from voiceflow_model.section import Section

METADATA_KEY = "voiceflow"


class Tuning(Section):
    """Decision parameters, tuned on development conversations and stored with the model."""

    window_hop_s: float = Field(1.25, gt=0, description="distance between the starts of neighbouring windows")
    max_run_s: float = Field(5.0, gt=0, description="longer runs of one speaker are cut, each part with its own voice")
    merge_similarity: float = Field(0.6, ge=-1, le=1, description="clusters closer than this (mean cosine) merge")
    min_cluster_share: float = Field(0.05, ge=0, lt=1, description="smaller clusters dissolve into the nearest one")
    onset: float = Field(0.5, gt=0, lt=1, description="a turn starts where the aggregated score rises above this")
    offset: float = Field(0.5, gt=0, lt=1, description="and ends where it falls below this")
    min_turn_s: float = Field(0.1, ge=0, description="shorter turns are dropped")
    min_pause_s: float = Field(0.1, ge=0, description="shorter pauses inside a turn are filled")
    track_weight: float = Field(0.5, ge=0, description="of a local speaker's voice in a window beside that of each run")
    pitch_weight: float = Field(0.1, ge=0, le=1, description="of how high voices are, beside how they sound")
    min_embed_s: float = Field(0.4, ge=0, description="runs with less clean speech do not found clusters")


class ModelCard(Section):
    """Everything needed to run an exported model. Written by `voiceflow_model.export`, read by `Diarizer`.

    The graph: inputs `waveform` (batch, samples) float32 at 16 kHz, any batch and length, and `reference`
    (1 or batch, spectrum_bands), the mean `spectrum` of the recording, which voices are heard against; outputs
    `logits` (batch, frames, classes), frames = samples // 320; `embeddings` (batch, num_speakers, dim), L2-normalised,
    pooled over the model's own decisions; `spectrum` (batch, spectrum_bands) of each window; `features` (batch, frames,
    width) and `attention` (batch, frames), from which an embedding of any set of frames is pooled; and the constants
    `pool_weight` (dim, 2 * width), `pool_bias` (dim,):

        w = softmax of attention over the chosen frames;  mu = sum w x;  sigma = sqrt(max(sum w x^2 - mu^2, 1e-4))
        embedding = l2_normalise(pool_weight @ [mu; sigma] + pool_bias)
    """

    schema_version: int = 3
    sample_rate_hz: int = 16_000
    frame_s: float = 0.02
    window_s: float = 10.0
    num_speakers: int
    powerset: tuple[tuple[int, ...], ...] = Field(description="class -> local speakers active; class 0 is silence")
    spectrum_bands: int = Field(0, ge=0, description="0: the graph has neither `reference` nor `spectrum`")
    config_hash: str
    run_id: str
    step: int
    tuning: Tuning = Tuning()
