"""How commands change the state, where this is more than setting one option. Each function returns the new state."""

from dataclasses import replace

from desktop_app.core.analysis.rulers import parse_ruler
from desktop_app.core.edits.changes import all_switched, beside, beside_model, with_edits
from desktop_app.core.edits.editing import STRENGTH, added
from desktop_app.core.model import Model
from desktop_app.core.session.state import WALK, State, begins, encode, full_text, spaced, unplaced, with_option
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import CAUSAL


def int8(state: State, _model: Model) -> State:
    """Switch between float32 and int8 weights."""
    return replace(state, int8=not state.int8)


def is_int8(state: State, _model: Model) -> bool:
    """Whether the weights are rounded to int8."""
    return state.int8


def greedy(state: State, _model: Model) -> State:
    """Switch greedy sampling on or off."""
    return state.with_sampling(greedy=not state.sampling.greedy)


def begin_first(state: State, model: Model) -> State:
    """Put <|endoftext|> at the beginning of the text, or remove it from there."""
    return replace(unplaced(state), start=not begins(state, model.tokenizer))


def begins_there(state: State, model: Model) -> bool:
    """Whether the text begins with <|endoftext|>."""
    return begins(state, model.tokenizer)


def space_first(state: State, model: Model) -> State:
    """Put a space at the beginning of the text, or remove it from there."""
    return replace(unplaced(state), space=not spaced(state, model.tokenizer))


def is_spaced(state: State, model: Model) -> bool:
    """Whether the text begins with a space."""
    return spaced(state, model.tokenizer)


def draw_again(state: State, _model: Model) -> State:
    """Draw again, with the next random number of the seed."""
    return replace(state, draws=state.draws + 1)


def without_changes(state: State, _model: Model) -> State:
    """Remove every edit and the mask."""
    return replace(state, edits=(), mask=CAUSAL)


def switch_edits(state: State, _model: Model) -> State:
    """Switch every edit off, or on again."""
    return all_switched(state)


def keep_other(state: State, model: Model) -> State:
    """Make this text the other prompt."""
    return beside(state, full_text(state, model.tokenizer))


def without_model(state: State, _model: Model) -> State:
    """Remove the other model."""
    return beside_model(state, "")


def swap_prompts(state: State, model: Model) -> State:
    """Swap the prompt and the other prompt."""
    here = full_text(state, model.tokenizer)
    return replace(unplaced(state), text=state.other, appended=(), other=here)


def head_in_walk(state: State, _model: Model) -> State:
    """Show the selected head's pattern in the walk."""
    return replace(state, workspace=WALK, step=f"blocks.{state.layer}.attn.pattern")


def most_active(state: State, _model: Model) -> State:
    """Show the evidence of the neuron that is most active at the selected token."""
    view = replace(
        state.view, evidence_find="", evidence="strongest" if state.view.evidence == "heads" else state.view.evidence
    )
    return replace(state, neuron=None, view=view)


def keep_ruler(state: State, _model: Model) -> State:
    """Save the typed direction in the list or, if it is there, remove it."""
    text = state.view.direction.strip()
    if not text:
        return state
    others = tuple(kept for kept in state.rulers if kept != text)
    return replace(state, rulers=others if text in state.rulers else (*others, text)[-40:])


def map_text(state: State, _model: Model) -> State:
    """Centre the token map on the token selected in the text."""
    return replace(with_option(state, "map_find", ""), map_token=None)


def map_whole(state: State, _model: Model) -> State:
    """Show the whole token map again."""
    return replace(state, map_window=())


def next_ruler(state: State, _model: Model) -> State:
    """Go to the next of the saved directions, and from the last to the first."""
    if not state.rulers:
        return state
    text = state.view.direction.strip()
    at = state.rulers.index(text) + 1 if text in state.rulers else 0
    return with_option(state, "direction", state.rulers[at % len(state.rulers)])


def steer(state: State, model: Model) -> State:
    """Add the typed direction, or the selected token's, to the residual stream at the input of the displayed block.

    Raises LogitscopeError if the typed text is not a direction, or if there is no token.
    """
    text = state.view.direction.strip()
    if text:
        parse_ruler(text, model.tokenizer)
        what = added(text)
    else:
        ids = encode(state, model.tokenizer)
        if not ids:
            raise ModelError("There is no token whose direction could be added; type a text first.")
        what = f"{STRENGTH}*tokens[{ids[-1 if state.token is None else min(state.token, len(ids) - 1)]}]"
    return with_edits(state, f"blocks.{min(state.layer, model.config.n_layer - 1)}.resid_pre+={what}")
