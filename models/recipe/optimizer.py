"""The optimizer: orthogonalized momentum (Muon) for the matrices, AdamW for embeddings, norms and biases.

Muon (Keller Jordan et al., 2024) replaces the momentum of a matrix by the nearest semi-orthogonal matrix, found by a
few Newton-Schulz iterations, so that every direction of the matrix learns at the same pace. On small models it needs
roughly half the tokens of AdamW for the same loss.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic's coefficients, from the Muon write-up


def orthogonalize(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Return approximately U V^T of the singular value decomposition of each matrix, [..., rows, columns]."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = (x.mT if tall else x).contiguous()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Optimizer:
    """Holds the momenta of all parameters of a model, updates the parameters, and saves the momenta as flat tensors."""

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
    def step(self, scale: float, pool: ThreadPoolExecutor, parts: int = 1) -> torch.Tensor:
        """Apply the gradients at `scale` times the peak rates, clear them, and return their norm before clipping.

        Matrices are split into `parts` groups; one thread of the pool updates all matrices of a group together.
        """
        self.steps += 1
        norm = torch.nn.utils.clip_grad_norm_([*self.matrices.values(), *self.others.values()], 1.0)
        names = list(self.matrices)
        list(pool.map(lambda part: self._muon(names[part::parts], scale), range(min(parts, len(names)))))
        self._adam(scale)
        return norm

    def _muon(self, names: list[str], scale: float) -> None:
        """Update matrices; those of the same shape are orthogonalized in one batch, faster on an accelerator."""
        parameters = [self.matrices[name] for name in names]
        gradients = [p.grad for p in parameters]
        momenta = [self.momentum[name] for name in names]
        torch._foreach_lerp_(momenta, gradients, 0.05)
        updates = torch._foreach_lerp(gradients, momenta, 0.95)
        torch._foreach_mul_([p.data for p in parameters], 1 - self.matrix_rate * scale * self.decay)
        by_shape: dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
        for name, p, update in zip(names, parameters, updates, strict=True):
            p.grad = None
            # The joint projection is the three matrices of q, k and v side by side; each is orthogonalized separately.
            width = p.shape[0] if name.endswith("c_attn.weight") else p.shape[1]
            for part, target in zip(update.split(width, dim=1), p.data.split(width, dim=1), strict=True):
                by_shape[part.shape].append((part, target))
        for (rows, columns), pairs in by_shape.items():
            gain = max(1.0, columns / rows) ** 0.5  # weights are [in, out]
            directions = orthogonalize(torch.stack([part for part, _ in pairs])).unbind()
            torch._foreach_add_([target for _, target in pairs], directions, alpha=-self.matrix_rate * scale * gain)

    def _adam(self, scale: float) -> None:
        parameters = list(self.others.values())
        if not parameters:
            return
        gradients = [p.grad for p in parameters]
        first, second = list(self.first.values()), list(self.second.values())
        torch._foreach_lerp_(first, gradients, 0.1)
        torch._foreach_lerp_(second, torch._foreach_mul(gradients, gradients), 0.05)
        root = torch._foreach_sqrt(torch._foreach_div(second, 1 - 0.95**self.steps))
        torch._foreach_add_(root, 1e-10)
        rate = self.other_rate * scale / (1 - 0.9**self.steps)
        torch._foreach_addcdiv_([p.data for p in parameters], first, root, value=-rate)
        for p in parameters:
            p.grad = None

    def state(self) -> dict[str, torch.Tensor]:
        """Return all momenta in a flat dict by name."""
        kinds = {"momentum": self.momentum, "first": self.first, "second": self.second}
        return {f"{kind}/{name}": t for kind, named in kinds.items() for name, t in named.items()}

    def load(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Restore the momenta that `state` returned."""
        self.steps = steps
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
