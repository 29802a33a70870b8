"""What the edits of a pass may have changed: steps from the first edited one on, at positions from the first one on."""

from collections.abc import Sequence
from dataclasses import dataclass

from desktop_app.core.places import Step
from desktop_app.gpt2.edited import first_of
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Cone:
    """The first step of the forward pass, and the first position, that may differ from the pass without edits."""

    step: int
    position: int

    def has(self, step: Step) -> bool:
        """Whether a step of the forward pass may have changed."""
        return step.index >= self.step


def cone_of(trace: Trace, steps: Sequence[Step]) -> Cone | None:
    """The cone of a pass; None if it has no edits and GPT-2's mask."""
    edits, mask = trace.run.edits, mask_of(trace.run.mask, trace.config)
    if not trace.run.changes:
        return None
    places = {name: step.index for step in reversed(steps) for name in step.tensors}
    first = [places[edit.site] for edit in edits if edit.site in places]
    if trace.run.mask != CAUSAL:
        layers = [0] if mask.rule.parts != (("causal", 0),) else [layer for (layer, _), _ in mask.heads]
        first += [places[f"blocks.{min(layers)}.attn.masked"]]
    return Cone(min(first, default=0), first_changed(trace))


def first_changed(trace: Trace) -> int:
    """The first position that may have changed; 0 under any mask other than GPT-2's."""
    edits = trace.run.edits
    return first_of(edits, trace.config)[1] if edits and trace.run.mask == CAUSAL else 0
