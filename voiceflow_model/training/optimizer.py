"""How weights move: Muon for the matrices inside the network, AdamW for everything else."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from voiceflow_model.network.model import FastDiarizationModel
from voiceflow_model.training.settings import TrainingConfig

_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at zero: five rounds bring every singular value to about one
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose directions are made equally strong (Jordan 2024, kellerjordan.github.io/posts/muon).

    Steps are scaled to be as long as AdamW's, whose learning rate then serves (Liu et al. 2025, arXiv:2502.16982).
    `torch.optim.Muon` is the same in bfloat16, which takes a CPU without it longer than all the rest of a step
    (docs/adr/0012-muon.md).
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(list(matrices), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every matrix by its gradient's momentum (Nesterov's)."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                momentum = state["momentum"]
                momentum.lerp_(matrix.grad, 1 - _MOMENTUM)
                direction = orthogonal(matrix.grad.lerp(momentum, _MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(direction, alpha=-0.2 * max(matrix.shape) ** 0.5 * group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix (rows, columns) whose singular values are all one, by Newton and Schulz's iteration."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp_min(1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def optimizers(
    model: FastDiarizationModel, speakers: nn.Module, config: TrainingConfig
) -> tuple[torch.optim.Optimizer, ...]:
    """What moves the parameters of both, each of them once. The last layers are AdamW's, as Muon's author advises."""
    last = [*model.segmentation.classify.parameters(), *model.embedding.score.parameters(), *speakers.parameters()]
    inside = {p for p in model.parameters() if p.ndim == 2} - set(last) if config.optimizer == "muon" else set()
    every = [*model.parameters(), *speakers.parameters()]
    rest = [p for p in every if p not in inside]
    adamw = torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    matrices = [p for p in every if p in inside]
    return (adamw, Muon(matrices, config.learning_rate, config.weight_decay)) if matrices else (adamw,)
