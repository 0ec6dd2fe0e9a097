"""What an evaluation would say by now: conversations of dev speakers, whom training never hears."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from voiceflow_model.config import RunConfig
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.card import ModelCard
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.oracle import OracleTable, oracle_table
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.simulated import heldout_recordings
from voiceflow_model.evaluation.tuning import tune_merging
from voiceflow_model.network.model import FastDiarizationModel


class UnseenVoices:
    """`evaluation.validation_recordings` of the dev recordings, made when they are first needed."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def measure(self, model: FastDiarizationModel) -> OracleTable | None:
        """DER of `model` in eval mode and what limits it, at the best threshold; None where none is asked for.

        That threshold is of these very recordings, which flatters; `evaluate` judges on others.
        """
        if not self._recordings:
            return None
        card = ModelCard(
            num_speakers=model.powerset.num_speakers,
            window_s=self._config.conversation.window_s,
            powerset=model.powerset.classes,
            spectrum_bands=self._config.network.mels,
            config_hash=self._config.hash(),
            run_id="",
            step=0,
        )
        diarizer = Diarizer(_Session(model), card)
        diarizer.card = card.model_copy(update={"tuning": tune_merging(diarizer, self._recordings)})
        return oracle_table(diarizer, self._recordings)

    @cached_property
    def _recordings(self) -> list[Recording]:
        config = self._config
        if not (wanted := config.evaluation.validation_recordings):
            return []
        return list(islice(heldout_recordings(config, open_corpus(config.test_corpus), "dev"), wanted))


class _Session:
    """A network where `Diarizer` expects a session of ONNX Runtime."""

    def __init__(self, model: FastDiarizationModel) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    @torch.no_grad()
    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[np.float32]], _: Any) -> list[NDArray[Any]]:
        given = {name: torch.from_numpy(value).to(self._device) for name, value in inputs.items()}
        found = self._model(**given)._asdict()
        found["pool_weight"], found["pool_bias"] = self._model.embedding.affine()
        return [found[name].cpu().numpy() for name in outputs]
