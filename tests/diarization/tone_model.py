"""A real ONNX graph with the interface of an export, for which a speaker is a tone; and recordings of tones.

It hears which tones sound in a frame, calls the loudest tones of the *window* its local speakers, loudest first (so
that their order differs between windows, as a network's does), and uses the tones' levels as features.
"""

from itertools import combinations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from voiceflow_model.diarization.card import METADATA_KEY, ModelCard, Tuning

TONES_HZ = (300, 700, 1100, 1700, 2300)  # multiples of 50 Hz: orthogonal within a 20 ms frame
FRAME = 320
RATE_HZ = 16_000
LOCAL = 3
POWERSET = tuple(c for size in (0, 1, 2) for c in combinations(range(LOCAL), size))
AUDIBLE = 0.05


def tone_card(**changes) -> ModelCard:
    return ModelCard(
        num_speakers=LOCAL, powerset=POWERSET, config_hash="tones", run_id="tones", step=0,
        tuning=changes.pop("tuning", Tuning()), **changes,
    )  # fmt: skip


def tone_model(card: ModelCard | str | None = None, *, audible: float = AUDIBLE, without: str = "") -> bytes:
    """Bytes of the graph. `card` may be any text; "" leaves the metadata out; `without` leaves out one output."""
    tones = len(TONES_HZ)
    time = np.arange(FRAME) / RATE_HZ
    waves = [wave(2 * np.pi * hz * time) * 2 / FRAME for hz in TONES_HZ for wave in (np.cos, np.sin)]
    member = np.zeros((LOCAL, len(POWERSET)), np.float32)
    for column, speakers in enumerate(POWERSET):
        member[list(speakers), column] = 1
    constants = {
        "waves": np.array(waves, np.float32)[:, None],
        "pairs": np.repeat(np.eye(tones, dtype=np.float32), 2, axis=1)[:, :, None],
        "member": member,
        "audible": np.array(audible, np.float32),
        "gain": np.array(400, np.float32),
        "low": np.array(-10, np.float32),
        "high": np.array(10, np.float32),
        "on_off": np.array([0, 1], np.float32),
        "one": np.array([1]),
        "two": np.array([2]),
        "local": np.array([LOCAL]),
        "tones": np.array([tones]),
        "weight": np.concatenate([np.eye(tones), np.zeros((tones, tones))], axis=1).astype(np.float32),
        "bias": np.zeros(tones, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["waveform", "one"], ["channel"]),
        node("Conv", ["channel", "waves"], ["parts"], strides=[FRAME]),
        node("Mul", ["parts", "parts"], ["squares"]),
        node("Conv", ["squares", "pairs"], ["power"]),
        node("Sqrt", ["power"], ["level"]),  # (batch, tones, frames)
        node("ReduceSum", ["level", "two"], ["loudness"], keepdims=0),
        node("TopK", ["loudness", "local"], ["loudest", "who"]),
        node("OneHot", ["who", "tones", "on_off"], ["embeddings"]),  # (batch, local, tones)
        node("MatMul", ["embeddings", "level"], ["heard"]),  # (batch, local, frames)
        node("Sub", ["heard", "audible"], ["above"]),
        node("Mul", ["above", "gain"], ["steep"]),
        node("Clip", ["steep", "low", "high"], ["score"]),
        node("Transpose", ["score"], ["by_frame"], perm=[0, 2, 1]),
        node("MatMul", ["by_frame", "member"], ["logits"]),
        node("Transpose", ["level"], ["features"], perm=[0, 2, 1]),
        node("ReduceMax", ["level"], ["attention"], axes=[1], keepdims=0),
        node("Identity", ["weight"], ["pool_weight"]),
        node("Identity", ["bias"], ["pool_bias"]),
    ]
    shapes = {
        "logits": ["batch", "frames", len(POWERSET)], "embeddings": ["batch", LOCAL, tones],
        "features": ["batch", "frames", tones], "attention": ["batch", "frames"],
        "pool_weight": [tones, 2 * tones], "pool_bias": [tones],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "tones",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items() if k != without],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    text = card if isinstance(card, str) else (card or tone_card()).model_dump_json()
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tones(script: list[tuple[float, float, int]], duration_s: float, levels: tuple[float, ...] = (0.3,) * 5):
    """Samples in which tone `who` sounds from `start` to `end` for every (start, end, who), in seconds."""
    samples = np.zeros(round(duration_s * RATE_HZ), np.float32)
    for start, end, who in script:
        first, last = round(start * RATE_HZ), round(end * RATE_HZ)
        phase = 2 * np.pi * TONES_HZ[who] * np.arange(first, last) / RATE_HZ
        samples[first:last] += levels[who] * np.sin(phase).astype(np.float32)
    return samples
