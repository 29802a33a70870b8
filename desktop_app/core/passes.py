"""The passes that a moment is made of, as values: the text's own, that once changed, and another prompt's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from desktop_app.core.alignment import TOKENS, Alignment, aligned
from desktop_app.core.model import Model
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Asked:
    """What a person asks for: a text, edits as they are written, a mask, and another prompt with how it is aligned.

    `beside` is the folder of another model that runs the other prompt, or where there is none this one; "" for none.
    """

    ids: tuple[int, ...]
    edits: tuple[str, ...] = ()
    mask: str = CAUSAL
    other: tuple[int, ...] | None = None
    alignment: str = TOKENS
    beside: str = ""


@dataclass(frozen=True, eq=False)
class Passes:
    """`trace` is the pass that was asked for, `before` that without edits and under GPT-2's mask (the same one where
    nothing is changed), `other` the other prompt's, as it is, by the model `guest` where that stands beside. `idle` are
    edits that this text or model has no place for, each with the reason.
    """

    asked: Asked
    trace: Trace
    before: Trace
    other: Trace | None = None
    idle: Mapping[str, str] = field(default_factory=dict)
    guest: Model | None = None

    @property
    def alignment(self) -> Alignment:
        """For each position of the text the one of the other prompt."""
        return () if self.other is None else aligned(self.trace.ids, self.other.ids, self.asked.alignment)

    @property
    def every(self) -> tuple[Trace, ...]:
        """All passes, each once."""
        return tuple(dict.fromkeys(trace for trace in (self.trace, self.before, self.other) if trace is not None))

    @property
    def beside(self) -> tuple[object, ...]:
        """What stands beside the text, as a thing to compare: the other prompt's pass and the alignment."""
        return (None if self.other is None else self.other.run, self.asked.alignment)

    def of(self, which: str) -> Trace:
        """The pass of that name: "" for the one that was asked for, "before" or "other"."""
        found = {"": self.trace, BEFORE: self.before, OTHER: self.other}[which]
        assert found is not None  # nobody asks for what is not there
        return found


BEFORE, OTHER = "before", "other"
"""Names of the passes beside the one that was asked for."""


def alone(trace: Trace) -> Passes:
    """A pass with nothing beside it."""
    return Passes(Asked(trace.ids), trace, trace)
