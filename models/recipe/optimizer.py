"""The optimizer: orthogonalized momentum (Muon) for the matrices, AdamW for embeddings, norms and biases.

Muon (Keller Jordan et al., 2024) replaces a matrix's momentum by the nearest semi-orthogonal matrix, found by a few
Newton-Schulz iterations, so that every direction of the matrix learns at the same pace. On small models it needs
roughly half the tokens of AdamW for the same loss.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic's coefficients, from the Muon write-up


def orthogonalize(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Return about U V^T of the singular value decomposition of a [rows, columns] matrix."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = (x.t() if tall else x).contiguous()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.t()
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.t() if tall else x).to(matrix.dtype)


class Optimizer:
    """Holds the momenta of every parameter of a model, updates them and saves them as flat tensors."""

    def __init__(
        self, parameters: dict[str, torch.nn.Parameter], matrix_rate: float, other_rate: float, decay: float
    ) -> None:
        self.matrices = {name: p for name, p in parameters.items() if p.dim() == 2 and name.startswith("h.")}
        self.others = {name: p for name, p in parameters.items() if name not in self.matrices}
        self.matrix_rate, self.other_rate, self.decay = matrix_rate, other_rate, decay
        self.momentum = {name: torch.zeros_like(p) for name, p in self.matrices.items()}
        self.first = {name: torch.zeros_like(p) for name, p in self.others.items()}
        self.second = {name: torch.zeros_like(p) for name, p in self.others.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, scale: float, pool: ThreadPoolExecutor) -> float:
        """Apply the gradients at `scale` times the peak rates, clear them, and return their norm before clipping."""
        self.steps += 1
        everything = [*self.matrices.values(), *self.others.values()]
        norm = float(torch.nn.utils.clip_grad_norm_(everything, 1.0))
        list(pool.map(lambda name: self._muon(name, scale), self.matrices))
        for name, p in self.others.items():
            self._adam(name, p, scale)
        return norm

    @torch.no_grad()
    def _muon(self, name: str, scale: float) -> None:
        p, momentum = self.matrices[name], self.momentum[name]
        momentum.lerp_(p.grad, 0.05)
        update = p.grad.lerp(momentum, 0.95)
        p.grad = None
        p.mul_(1 - self.matrix_rate * scale * self.decay)
        # The joint projection is three matrices side by side; each is orthogonalized by itself.
        width = p.shape[0] if name.endswith("c_attn.weight") else p.shape[1]
        for part, target in zip(update.split(width, dim=1), p.split(width, dim=1), strict=True):
            gain = max(1.0, part.shape[1] / part.shape[0]) ** 0.5  # weights are [in, out]
            target.add_(orthogonalize(part), alpha=-self.matrix_rate * scale * gain)

    @torch.no_grad()
    def _adam(self, name: str, p: torch.nn.Parameter, scale: float) -> None:
        first, second = self.first[name], self.second[name]
        first.lerp_(p.grad, 0.1)
        second.lerp_(p.grad.square(), 0.05)
        p.grad = None
        corrected = (second / (1 - 0.95**self.steps)).sqrt_().add_(1e-10)
        p.addcdiv_(first, corrected, value=-self.other_rate * scale / (1 - 0.9**self.steps))

    def state(self) -> dict[str, torch.Tensor]:
        """Return all momenta under flat names."""
        kinds = {"momentum": self.momentum, "first": self.first, "second": self.second}
        return {f"{kind}/{name}": t for kind, named in kinds.items() for name, t in named.items()}

    def load(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Take back what `state` returned."""
        self.steps = steps
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
