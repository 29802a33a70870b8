"""The identity of a forward pass, as a value: two passes with equal runs have the same numbers."""

from dataclasses import dataclass
from itertools import count

from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.mask import CAUSAL

_opened = count(1)


def new_model_key() -> int:
    """A number for newly opened weights, unique within the process."""
    return next(_opened)


@dataclass(frozen=True)
class Run:
    """One pass: the weights (`Checkpoint.key`), the token ids, the edits, and the attention mask."""

    model: int
    ids: tuple[int, ...]
    edits: tuple[Edit, ...] = ()
    mask: str = CAUSAL

    @property
    def changes(self) -> tuple[str, ...]:
        """How this pass differs from the model's unedited one, in the user's notation: its edits and its mask."""
        return (*map(str, self.edits), *((f"mask {self.mask}",) if self.mask != CAUSAL else ()))

    def reusable(self, earlier: "Run") -> int:
        """The number of positions of this pass that can be reused from an earlier one; at least one is left to compute.

        0 if weights, edits or mask differ, and under any mask except the causal one, where a position may depend on
        later ones.
        """
        same = (self.model, self.edits, self.mask) == (earlier.model, earlier.edits, earlier.mask)
        if not same or self.mask != CAUSAL:
            return 0
        shared = 0
        for mine, theirs in zip(self.ids[:-1], earlier.ids, strict=False):
            if mine != theirs:
                break
            shared += 1
        return shared
