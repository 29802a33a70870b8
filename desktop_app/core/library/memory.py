"""How much memory a model needs, before it is opened."""

from dataclasses import dataclass

from desktop_app.core.library.progress import in_bytes
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.engine import CAPTURE_LIMIT
from desktop_app.gpt2.machine import available_memory
from desktop_app.gpt2.tensors import size_in_bytes
from desktop_app.gpt2.weights import parameter_count

PROGRAM = 200_000_000
"""Bytes that the program takes beside the model: Python, Qt, onnxruntime, a window's pictures."""


@dataclass(frozen=True)
class Need:
    """Bytes that a model takes: its weights in float32, a text's trace, and what a pass works with for its while."""

    weights: int
    trace: int
    work: int

    @property
    def total(self) -> int:
        """All of it, the program included."""
        return PROGRAM + self.weights + self.trace + self.work


def needed(config: Config, positions: int) -> Need:
    """What a model of this shape needs for a text of `positions` tokens (cut to the model's context)."""
    positions = max(1, min(positions, config.n_positions))
    trace = size_in_bytes(config, positions)
    if trace > CAPTURE_LIMIT:
        trace = size_in_bytes(config, positions, kept_only=True)
    # A pass has some grids [head, query, key] and rows [pos, d_mlp] of one block at once; measured, see docs/models.md.
    work = 4 * (6 * config.n_head * positions**2 + 4 * positions * config.d_mlp + 2 * config.vocab_size)
    return Need(4 * parameter_count(config), trace, work)


def too_large(config: Config, positions: int, name: str) -> str:
    """A sentence with the numbers if the model needs more memory than there is now; "" if it fits."""
    have, need = available_memory(), needed(config, positions)
    if have is None or need.total <= have:
        return ""
    return (
        f"{name} needs about {in_bytes(need.total)} of memory ({in_bytes(need.weights)} for its weights, "
        f"{in_bytes(need.trace + need.work)} for a text of {positions:,} tokens), and {in_bytes(have)} are free."
    )
