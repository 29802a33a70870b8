"""The edits of a state: add them, switch them on or off, change their positions or strength, remove them.

Functions that take a state return the new state.
"""

from dataclasses import replace

from desktop_app.core.edits.recipes import strength_of, with_strength
from desktop_app.core.session.fields import Change
from desktop_app.core.session.state import State, with_option
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import ALL, read_edit, span_words, widened
from desktop_app.gpt2.tensors import tensor_table


def with_edits(state: State, *texts: str) -> State:
    """The state with these edits added; an edit that the state has already is switched on."""
    edits = tuple(replace(change, on=True) if change.text in texts else change for change in state.edits)
    known = {change.text for change in edits}
    return replace(state, edits=(*edits, *(Change(text) for text in dict.fromkeys(texts) if text not in known)))


def switched(state: State, at: int) -> State:
    """The state with one edit switched off or, if it was off, on."""
    return _with(state, at, replace(state.edits[at], on=not state.edits[at].on))


def all_switched(state: State) -> State:
    """The state with every edit switched off or, if all are off, on."""
    on = not any(change.on for change in state.edits)
    return replace(state, edits=tuple(replace(change, on=on) for change in state.edits))


def removed(state: State, at: int) -> State:
    """The state without one edit."""
    return replace(state, edits=(*state.edits[:at], *state.edits[at + 1 :]))


def rewritten(state: State, at: int, text: str) -> State:
    """The state with the text of one edit replaced."""
    return _with(state, at, replace(state.edits[at], text=text))


def is_everywhere(text: str, config: Config, positions: int) -> bool:
    """Whether an edit applies to every position. Raises ModelError if the text is not an edit of this model."""
    edit, _ = read_edit(text, config, positions)
    return edit.where[tensor_table(config)[edit.site].spec.row_axis] == ALL


def at_positions(text: str, config: Config, positions: int, position: int | None) -> str:
    """The text of an edit, changed so that it applies to one position, or to all if None. Raises ModelError."""
    edit, _ = read_edit(text, config, positions)
    where = [span_words(span) for span in edit.where]
    where[tensor_table(config)[edit.site].spec.row_axis] = ":" if position is None else str(position)
    while where and where[-1] == ":":
        where.pop()
    return widened(text, ", ".join(where))


def weighed(state: State, at: int, strength: float) -> State:
    """The state with the strength of an edit replaced."""
    return rewritten(state, at, with_strength(state.edits[at].text, strength))


def beside(state: State, text: str) -> State:
    """The state with another prompt to compare with, or with none; the view option `compare` is adjusted."""
    return _compared(replace(state, other=text), there=bool(text))


def beside_model(state: State, folder: str) -> State:
    """The state with another model to compare with, or with none; the view option `compare` is adjusted."""
    return _compared(replace(state, beside=folder), there=bool(folder))


def _compared(state: State, *, there: bool) -> State:
    pair = state.view.compare in ("pair", "other")
    left = bool(state.other or state.beside)
    compare = "pair" if there and not pair else "after" if not left and pair else state.view.compare
    return with_option(state, "compare", compare)


def strength(state: State, at: int) -> float | None:
    """The strength of an edit that scales or adds a direction; None for any other edit."""
    return strength_of(state.edits[at].text)


def differ_in_strength(one: State, other: State) -> bool:
    """Whether two states ask for passes that differ in the strength of edits alone."""
    if len(one.edits) != len(other.edits) or replace(one, edits=other.edits).asked != other.asked:
        return False
    pairs = [(a, b) for a, b in zip(one.edits, other.edits, strict=True) if a != b]
    return bool(pairs) and all(a.on == b.on and _plain(a) is not None and _plain(a) == _plain(b) for a, b in pairs)


def _plain(change: Change) -> str | None:
    """The text of an edit with strength 1; None if it has no strength."""
    return None if strength_of(change.text) is None else with_strength(change.text, 1)


def _with(state: State, at: int, change: Change) -> State:
    return replace(state, edits=(*state.edits[:at], change, *state.edits[at + 1 :]))
