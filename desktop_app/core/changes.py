"""The edits of a state: add them, switch them on or off, change their positions or strength, remove them.

Functions that take a state return the new one.
"""

from dataclasses import replace

from desktop_app.core.fields import Change
from desktop_app.core.recipes import strength_of, with_strength
from desktop_app.core.state import State, with_option
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import ALL, read_edit, span_words, widened
from desktop_app.gpt2.tensors import tensor_table


def with_edits(state: State, *texts: str) -> State:
    """The state with these edits added; one that the state already has is switched on."""
    edits = tuple(replace(change, on=True) if change.text in texts else change for change in state.edits)
    known = {change.text for change in edits}
    return replace(state, edits=(*edits, *(Change(text) for text in dict.fromkeys(texts) if text not in known)))


def switched(state: State, at: int) -> State:
    """The state with one edit switched off, or on again."""
    return _with(state, at, replace(state.edits[at], on=not state.edits[at].on))


def all_switched(state: State) -> State:
    """The state with every edit off, or every edit on if all are off."""
    on = not any(change.on for change in state.edits)
    return replace(state, edits=tuple(replace(change, on=on) for change in state.edits))


def removed(state: State, at: int) -> State:
    """The state without one edit."""
    return replace(state, edits=(*state.edits[:at], *state.edits[at + 1 :]))


def rewritten(state: State, at: int, text: str) -> State:
    """The state with another text for one edit."""
    return _with(state, at, replace(state.edits[at], text=text))


def is_everywhere(text: str, config: Config, positions: int) -> bool:
    """Whether an edit applies to every position. Raises ModelError if the text is not an edit of this model."""
    edit, _ = read_edit(text, config, positions)
    return edit.where[tensor_table(config)[edit.site].spec.row_axis] == ALL


def at_positions(text: str, config: Config, positions: int, position: int | None) -> str:
    """The text of an edit, changed to apply to one position, or to all if None. Raises ModelError if it is no edit."""
    edit, _ = read_edit(text, config, positions)
    where = [span_words(span) for span in edit.where]
    where[tensor_table(config)[edit.site].spec.row_axis] = ":" if position is None else str(position)
    while where and where[-1] == ":":
        where.pop()
    return widened(text, ", ".join(where))


def weighed(state: State, at: int, strength: float) -> State:
    """The state with another strength for an edit that has one."""
    return rewritten(state, at, with_strength(state.edits[at].text, strength))


def beside(state: State, text: str) -> State:
    """The state with another prompt to compare with, or without one; the view option `compare` is adapted."""
    return _compared(replace(state, other=text), there=bool(text))


def beside_model(state: State, folder: str) -> State:
    """The state with another model to compare with, or without one; the view option `compare` is adapted."""
    return _compared(replace(state, beside=folder), there=bool(folder))


def _compared(state: State, *, there: bool) -> State:
    pair = state.view.compare in ("pair", "other")
    left = bool(state.other or state.beside)
    compare = "pair" if there and not pair else "after" if not left and pair else state.view.compare
    return with_option(state, "compare", compare)


def strength(state: State, at: int) -> float | None:
    """The strength of an edit that adds a direction or scales; None for any other."""
    return strength_of(state.edits[at].text)


def _with(state: State, at: int, change: Change) -> State:
    return replace(state, edits=(*state.edits[:at], change, *state.edits[at + 1 :]))
