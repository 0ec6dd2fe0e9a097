"""Export: the averaged weights as an ONNX graph with its model card inside, and proof that it computes the same."""

import io
import json
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from voiceflow_model.data.corpus import FRAME_SAMPLES
from voiceflow_model.data.keyed import keyed
from voiceflow_model.diarization.card import METADATA_KEY, ModelCard
from voiceflow_model.network.model import FastDiarizationModel

INPUTS = ("waveform", "reference")
OUTPUTS = ("logits", "embeddings", "features", "attention", "spectrum")
_OPSET = 17


class _Exported(nn.Module):
    """What `OUTPUTS` names of what the network says."""

    def __init__(self, model: FastDiarizationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        output = self.model(waveform, reference=reference)
        return tuple(getattr(output, name) for name in OUTPUTS)


def export_onnx(model: FastDiarizationModel, card: ModelCard) -> bytes:
    """The ONNX file: batch and length dynamic, the card in its metadata."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, yet the one that exports all of this (docs/adr/0005-onnx-exporter.md).
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Exported(model.cpu().eval()),
            (torch.zeros(2, 16_000), torch.zeros(1, model.frontend.bands.shape[1])),
            buffer,  # type: ignore[arg-type]  # any file works, only the annotation is narrower
            dynamo=False,
            opset_version=_OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes={
                "waveform": {0: "batch", 1: "samples"},
                "reference": {0: "references"},
                "logits": {0: "batch", 1: "frames"},
                "embeddings": {0: "batch"},
                "features": {0: "batch", 1: "frames"},
                "attention": {0: "batch", 1: "frames"},
                "spectrum": {0: "batch"},
            },
        )
    graph = onnx.load_from_string(buffer.getvalue())
    for name, value in zip(("pool_weight", "pool_bias"), model.embedding.affine(), strict=True):
        # As outputs, so that embeddings can be pooled again outside the graph; the exporter would fold them away.
        tensor = onnx.numpy_helper.from_array(value.numpy(), name)
        graph.graph.node.append(onnx.helper.make_node("Constant", [], [name], value=tensor))
        graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape))
    return _finished(graph, card)


def with_card(data: bytes, card: ModelCard) -> bytes:
    """The same file with another card."""
    return _finished(onnx.load_from_string(data), card)


def _finished(graph: onnx.ModelProto, card: ModelCard) -> bytes:
    onnx.helper.set_model_props(graph, {METADATA_KEY: json.dumps(card.model_dump(mode="json"))})
    onnx.checker.check_model(graph)
    serialised: bytes = graph.SerializeToString()
    return serialised


def parity(
    model: FastDiarizationModel,
    data: bytes,
    *,
    seconds: Sequence[float] = (1.0, 4.2, 10.0, 23.46),
    batches: Sequence[int] = (1, 3),
) -> float:
    """Largest absolute difference between ONNX Runtime and torch over outputs, lengths and batch sizes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    bands, worst = model.frontend.bands.shape[1], 0.0
    for length in seconds:
        for batch in batches:
            samples = round(length * 50) * FRAME_SAMPLES
            waveform = 0.1 * keyed("parity", samples, batch).standard_normal((batch, samples), dtype=np.float32)
            waveform[:, samples // 3 : samples // 2] *= 1e-3  # near silence, where logarithms are steep
            reference = keyed("parity", samples).standard_normal((1, bands), dtype=np.float32)
            got = session.run(list(OUTPUTS), dict(zip(INPUTS, (waveform, reference), strict=True)))
            with torch.no_grad():
                wanted = _Exported(model.cpu().eval())(torch.from_numpy(waveform), torch.from_numpy(reference))
            worst = max(worst, *(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, wanted, strict=True)))
    return worst
