"""How training runs: what is part of the run's identity, and what each session may choose."""

from typing import Literal

from pydantic import Field

from voiceflow_model.section import Section


class TrainingConfig(Section):
    """Optimisation. All of it is part of a run's identity: resuming with another value is refused."""

    batch_size: int = Field(32, ge=1, description="conversations of one step, over all shards")
    gradient_shards: int = Field(
        2, ge=1, description="parts a batch is differentiated in, summed in fixed order; threads or ranks share them"
    )
    optimizer: Literal["muon", "adamw"] = Field("muon", description="muon: of the matrices inside; AdamW has the rest")
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate_share: float = Field(0.02, ge=0, le=1)
    warmup_share: float = Field(0.05, ge=0, lt=1, description="of a phase's steps")
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(5.0, gt=0)
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the averaged weights that are validated and exported")
    speaker_weight: float = Field(0.2, ge=0, description="of the speaker loss beside the segmentation loss")
    likeness_weight: float = Field(1.0, ge=0, description="of the loss that tells attention which frames share a voice")
    distillation_weight: float = Field(
        0.0, ge=0, description="of the loss that draws a voice in a mixture to the same voice alone; half as slow again"
    )
    margin: float = Field(0.2, ge=0, lt=1.5, description="radians")
    margin_ramp_share: float = Field(0.3, ge=0, le=1, description="of a phase's steps until the full margin")
    scale: float = Field(30.0, gt=0)
    speaker_centres: int = Field(1, ge=1, le=10, description="directions of one speaker, of which the nearest counts")
    voice_stretches: int = Field(
        0, ge=0, le=16, description="of each speaker in a window, by which it is recognised one at a time; 0: by all"
    )
    min_speaker_s: float = Field(0.5, ge=0, description="less speech than this gets no speaker loss")


class SessionConfig(Section):
    """What may differ from session to session without changing the result of a run on the same kind of device."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    threads: int = Field(0, ge=0, description="compute threads on CPU; 0: as many as cores, up to gradient_shards")
    session_minutes: float | None = Field(None, gt=0, description="yield after this long (Colab: 690)")
    save_every_steps: int = Field(100, ge=1)
    save_every_s: float = Field(300.0, gt=0)
    store_patience_s: float = Field(600.0, ge=0, description="a store that is away is tried for so long")
    lease_ttl_s: float = Field(60.0, gt=1)
    watch_preemption: bool = Field(
        False, description="on Google Compute Engine: ask whether this machine is taken away"
    )
