import numpy as np
import pytest
import torch

from voiceflow_model.data.keyed import keyed
from voiceflow_model.diarization.card import ModelCard, Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.pooling import attentive_statistics
from voiceflow_model.export.onnx import export_onnx, parity
from voiceflow_model.network.embedding import PooledNorm, clean_masks
from voiceflow_model.network.frontend import LogMel
from voiceflow_model.network.model import FastDiarizationModel, NetworkConfig, parameter_count, seeded_model
from voiceflow_model.network.powerset import powerset_classes

SMALL = NetworkConfig(hidden_size=16, blocks=2, attention_blocks=1, mels=20, embedding_dim=16)


def audio(*shape: int) -> torch.Tensor:
    return torch.from_numpy(0.1 * keyed("audio", *shape).standard_normal(shape, dtype=np.float32))


def test_the_public_constructor_builds_the_full_size_within_its_budget():
    model = FastDiarizationModel(num_speakers=3, hidden_size=256, encoder_type="lightweight-cnn")
    assert 2_000_000 < parameter_count(model) <= 8_000_000


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="lightweight-cnn"):
        FastDiarizationModel(encoder_type="transformer")  # type: ignore[arg-type]


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 50), (3, 500)])
def test_a_frame_is_20_ms_for_any_batch_and_length(batch, frames):
    output = seeded_model(SMALL, 0)(audio(batch, 320 * frames))
    assert output.logits.shape == (batch, frames, 7)
    assert output.embeddings.shape == (batch, 3, 16)
    assert output.features.shape[:2] == output.attention.shape == (batch, frames)
    assert torch.allclose(output.embeddings.norm(dim=-1), torch.ones(batch, 3), atol=1e-5)


def test_examples_of_a_batch_do_not_see_each_other():
    model, waveform = seeded_model(SMALL, 0), audio(2, 32_000)
    together, alone = model(waveform), model(waveform[:1])
    assert torch.allclose(together.logits[:1], alone.logits, atol=1e-5)


def test_the_seed_alone_decides_the_weights():
    torch.manual_seed(99)
    first = seeded_model(SMALL, 7).state_dict()
    torch.rand(5)
    second, other = seeded_model(SMALL, 7).state_dict(), seeded_model(SMALL, 8).state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_the_exported_front_end_is_the_trained_one(monkeypatch):
    front, waveform = LogMel(40), audio(2, 16_000)
    trained = front(waveform)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    for exported, one in zip(front(waveform), trained, strict=True):
        assert torch.allclose(exported, one, atol=1e-4)


def test_what_is_heard_against_one_spectrum_depends_on_nobody_else_in_the_window():
    """But for how loud it is: two windows that share a second differ there by one number, in all bands and frames."""
    shared, *others = audio(3, 16_000)
    dull = torch.cumsum(others[1], 0) * 0.05
    windows = torch.stack([torch.cat([shared, other]) for other in (others[0], dull)])
    mel, spectrum = LogMel(40)(windows)
    inside = slice(2, 96)  # the second's last frames hear what follows
    own = (mel[0] - mel[1])[:, inside]
    assert own.std() > 0.1
    against_one = (mel + spectrum[..., None])[:, :, inside]
    difference = against_one[0] - against_one[1]
    assert torch.allclose(difference, difference.mean().expand_as(difference), atol=1e-4)


@pytest.mark.parametrize("split_trunk", [False, True])
def test_voices_are_heard_against_a_reference_and_who_talks_is_not(split_trunk):
    model = seeded_model(SMALL.model_copy(update={"split_trunk": split_trunk}), 0).eval()
    waveform, activity = audio(2, 32_000), torch.ones(2, 100, 3)
    own = model(waveform, activity)
    same = model(waveform, activity, reference=own.spectrum)
    assert torch.allclose(same.embeddings, own.embeddings, atol=1e-5)
    other = model(waveform, activity, reference=own.spectrum.mean(0, keepdim=True) + 1)
    assert torch.equal(other.logits, own.logits)
    assert not torch.allclose(other.embeddings, own.embeddings, atol=1e-3)


def test_a_recording_is_the_reference_of_its_windows_and_silence_no_part_of_it():
    model = seeded_model(SMALL, 0).eval()
    card = ModelCard(
        num_speakers=3, window_s=2.0, powerset=powerset_classes(3), spectrum_bands=SMALL.mels,
        config_hash="", run_id="", step=0,
    )  # fmt: skip
    diarizer = Diarizer.load(export_onnx(model, card))
    talk = 0.1 * audio(1, 64_000)[0]
    samples = torch.cat([talk[:32_000], torch.cumsum(talk[32_000:], 0) * 0.05, torch.zeros(32_000)])
    truth = np.zeros((300, 1), bool)
    truth[110:190] = True  # within the second window
    tuning = Tuning(window_hop_s=2.0)
    found = diarizer.analyse(samples.numpy(), tuning, truth).runs.embedding
    windows = samples.view(3, 32_000)
    reference = model(windows).spectrum[:2].mean(0, keepdim=True)
    wanted = model(windows[1:2], torch.from_numpy(truth[None, 100:200].astype(np.float32)), reference=reference)
    np.testing.assert_allclose(found, wanted.embeddings[0].detach().numpy(), atol=1e-4)
    assert len(diarizer.analyse(np.zeros(96_000, np.float32)).runs) == 0


def test_overlap_is_kept_out_of_pooling_unless_there_is_nothing_else():
    activity = torch.zeros(1, 50, 2)
    activity[0, :30, 0] = 1
    activity[0, 25:45, 1] = 1  # 15 frames alone
    activity[0, 45:50] = 1
    masks = clean_masks(activity)
    assert masks[0, 0].nonzero().flatten().tolist() == list(range(25))
    assert masks[0, 1].nonzero().flatten().tolist() == list(range(30, 45))
    buried = torch.ones(1, 20, 2)
    assert clean_masks(buried).sum() == 40


def test_pooled_statistics_are_normalised_over_those_who_are_there():
    norm, pooled = PooledNorm(4), audio(5, 3, 4) * 7 + 2
    there = torch.tensor([[True, False, False]] * 5)
    normalised, moments = norm(pooled, there)
    assert torch.allclose(normalised[:, 0].mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(normalised[:, 0].var(0, correction=0), torch.ones(4), atol=1e-3)
    assert torch.allclose(moments[0], pooled[:, 0].mean(0))
    assert torch.equal(norm(pooled[:1], there[:1])[1], norm.moments)  # one alone: nothing to compare with
    norm.remember(moments, step=0)
    assert torch.allclose(norm.moments, moments)
    assert torch.equal(norm.eval()(pooled, ~there)[1], norm.moments)


def test_the_exported_file_computes_what_torch_computes_and_says_what_it_is():
    model = seeded_model(SMALL, 0)
    model.embedding.norm.remember(audio(2, 64).abs() + 0.1, step=0)
    card = ModelCard(
        num_speakers=3, powerset=powerset_classes(3), spectrum_bands=SMALL.mels, config_hash="c", run_id="r", step=3
    )
    data = export_onnx(model, card)
    assert parity(model, data) <= 1e-4
    diarizer = Diarizer.load(data)
    assert diarizer.card == card
    voice = audio(1, 48_000)[0]
    output = model(voice[None])
    mask = np.zeros(150, bool)
    mask[20:90] = True
    expected = attentive_statistics(
        *(x[0].detach().numpy() for x in (output.features, output.attention)),
        mask[None],
        *(x.numpy() for x in model.embedding.affine()),
    )[0]
    in_torch, _ = model.embedding.pool(output.features, output.attention, torch.from_numpy(mask)[None, None].float())
    np.testing.assert_allclose(diarizer.embed(voice.numpy(), mask), expected, atol=1e-5)
    np.testing.assert_allclose(in_torch[0, 0].detach().numpy(), expected, atol=1e-5)


def test_with_a_split_trunk_voices_are_heard_by_a_trunk_of_their_own():
    shared, split = (seeded_model(SMALL.model_copy(update={"split_trunk": one}), 0) for one in (False, True))
    assert shared.voice_encoder is None
    assert parameter_count(split) > parameter_count(shared)
    waveform = audio(2, 32_000)
    before = split(waveform, torch.ones(2, 100, 3))
    with torch.no_grad():
        next(split.encoder.parameters()).mul_(2)
    after = split(waveform, torch.ones(2, 100, 3))
    assert torch.equal(before.embeddings, after.embeddings)
    assert not torch.equal(before.logits, after.logits)
    assert torch.equal(after.embeddings, split.voices(waveform, torch.ones(2, 100, 3))[0])


def test_voices_are_heard_through_the_first_blocks_alone():
    model = seeded_model(SMALL.model_copy(update={"voice_blocks": 1}), 0)
    waveform, activity = audio(2, 32_000), torch.ones(2, 100, 3)
    before = model(waveform, activity)
    assert torch.equal(before.embeddings, model.voices(waveform, activity)[0])
    with torch.no_grad():
        next(model.encoder.blocks[1].parameters()).mul_(2)
    after = model(waveform, activity)
    assert torch.equal(before.embeddings, after.embeddings)
    assert not torch.equal(before.logits, after.logits)


def test_voices_cannot_be_heard_through_more_blocks_than_there_are():
    with pytest.raises(ValueError, match="voice_blocks = 3, but the trunk has blocks = 2"):
        NetworkConfig(blocks=2, voice_blocks=3)
