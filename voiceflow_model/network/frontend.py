"""Log-mel spectrogram inside the graph, so that an exported model takes a waveform and needs no audio library."""

import math

import torch
from torch import Tensor, nn

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ

HOP = 160  # 10 ms
WINDOW = 400  # 25 ms
_FLOOR = 1e-7  # power; digital silence and the faintest hiss look alike
_SCALE = 4.0  # of logarithms: about unit variance on speech


class LogMel(nn.Module):
    """Waveform (batch, samples) -> log-mel (batch, mels, samples // 160), mean-normalised over time per band.

    And the shape of that mean (batch, mels), its own mean over bands taken away: the window's spectrum, however loud.
    Training takes the FFT (several times faster on CPU); an ONNX export takes the same transform as a convolution with
    a fixed Fourier basis, which every runtime has. `tests/network` holds the two within 1e-4.
    """

    def __init__(self, mels: int) -> None:
        super().__init__()
        window = torch.hann_window(WINDOW, dtype=torch.float64)
        phase = (
            2
            * math.pi
            / WINDOW
            * torch.outer(torch.arange(WINDOW // 2 + 1, dtype=torch.float64), torch.arange(WINDOW, dtype=torch.float64))
        )
        basis = torch.cat([phase.cos() * window, -phase.sin() * window])  # (2 * bins, window)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("basis", basis.float()[:, None], persistent=False)
        self.register_buffer("bands", mel_bands(mels), persistent=False)  # (bins, mels)
        self.window: Tensor
        self.basis: Tensor
        self.bands: Tensor

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        pad = (WINDOW - HOP) // 2
        padded = nn.functional.pad(waveform, (pad, pad))  # (batch, samples + 240)
        if torch.onnx.is_in_onnx_export():
            parts = nn.functional.conv1d(padded[:, None], self.basis, stride=HOP)  # (batch, 2 * bins, frames)
            real, imaginary = parts.transpose(1, 2).chunk(2, dim=-1)
        else:
            spectrum = torch.fft.rfft(padded.unfold(-1, WINDOW, HOP) * self.window)
            real, imaginary = spectrum.real, spectrum.imag
        power = torch.addcmul(real.square(), imaginary, imaginary)  # (batch, frames, bins)
        mel = torch.log(power @ self.bands + _FLOOR)  # (batch, frames, mels)
        mean = mel.mean(1, keepdim=True)
        shape = (mean - mean.mean(2, keepdim=True)).squeeze(1)
        return ((mel - mean) / _SCALE).transpose(1, 2), shape / _SCALE


def mel_bands(mels: int) -> Tensor:
    """Triangular mel filters (bins, mels) of equal sum over 40-7600 Hz, on Slaney's mel scale."""
    from voiceflow_model.data.torchaudio_import import torchaudio

    bands: Tensor = torchaudio.functional.melscale_fbanks(
        n_freqs=WINDOW // 2 + 1,
        f_min=40.0,
        f_max=7600.0,
        n_mels=mels,
        sample_rate=SAMPLE_RATE_HZ,
        norm=None,
        mel_scale="slaney",
    )
    return bands / bands.sum(0, keepdim=True).clamp_min(1e-8) / WINDOW * 4
