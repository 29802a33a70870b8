"""The passes of a scene, as values: the pass over the text, with and without edits, and the other prompt's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from desktop_app.core.comparing.alignment import TOKENS, Alignment, aligned
from desktop_app.core.model import Model
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Asked:
    """A request: a text, edits as typed, a mask, and another prompt with the rule that aligns it.

    `beside` is the folder of a second model, which runs the other prompt or, if there is none, the same text; "" if
    there is no second model.
    """

    ids: tuple[int, ...]
    edits: tuple[str, ...] = ()
    mask: str = CAUSAL
    other: tuple[int, ...] | None = None
    alignment: str = TOKENS
    beside: str = ""


@dataclass(frozen=True, eq=False)
class Passes:
    """The passes of one request.

    `trace` is the requested pass. `before` is the pass without edits and under GPT-2's mask (the same object if nothing
    is changed). `other` is the other prompt's pass, unedited, computed by the second model `guest` if there is one.
    `idle` maps edits that do not apply to this text or model to the reason.
    """

    asked: Asked
    trace: Trace
    before: Trace
    other: Trace | None = None
    idle: Mapping[str, str] = field(default_factory=dict)
    guest: Model | None = None

    @property
    def alignment(self) -> Alignment:
        """For each position of the text, the corresponding position of the other prompt."""
        return () if self.other is None else aligned(self.trace.ids, self.other.ids, self.asked.alignment)

    @property
    def every(self) -> tuple[Trace, ...]:
        """All different passes."""
        return tuple(dict.fromkeys(trace for trace in (self.trace, self.before, self.other) if trace is not None))

    @property
    def beside(self) -> tuple[object, ...]:
        """A key that identifies the comparison: the other prompt's pass and the alignment."""
        return (None if self.other is None else self.other.run, self.asked.alignment)

    def of(self, which: str) -> Trace:
        """The pass of that name: "" for the requested one, "before" or "other"."""
        found = {"": self.trace, BEFORE: self.before, OTHER: self.other}[which]
        assert found is not None  # callers only ask for passes that exist
        return found


BEFORE, OTHER = "before", "other"
"""Names of the passes besides the requested one."""


def alone(trace: Trace) -> Passes:
    """The passes of a scene that has only one, without edits."""
    return Passes(Asked(trace.ids), trace, trace)
