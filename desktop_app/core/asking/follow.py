"""How an intent changes the state, and which intents share one undo entry."""

from dataclasses import replace

from desktop_app.core.asking import intents as ask
from desktop_app.core.asking.commands import find_command
from desktop_app.core.asking.intents import Intent
from desktop_app.core.asking.navigation import at_step, at_workspace
from desktop_app.core.edits.changes import weighed, with_edits
from desktop_app.core.edits.editing import STRENGTH
from desktop_app.core.lessons.stops import open_in
from desktop_app.core.library.find import at_step as at_step_of_training
from desktop_app.core.model import Model
from desktop_app.core.session.state import State, append, with_option
from desktop_app.core.steps import find_step
from desktop_app.gpt2.sampling import MAX_SEED


def follow(intent: Intent, state: State, model: Model | None) -> State:
    """The state after `intent`; unchanged if that does not concern the state, or if it needs a model and none is open.

    Raises LogitscopeError if the intent cannot be applied: the model has no such step, or a setting is out of range.
    """
    match intent:
        case ask.Do(command) if model is not None:
            change = find_command(command).change
            return state if change is None else change(state, model)
        case ask.GoTo(step) if model is not None:
            return at_step(state, find_step(step.replace("*", str(state.layer)), model.config))
        case ask.Select(position):
            return replace(state, token=position, key=None)
        case ask.Predict(position, last):
            return replace(state, position=None if last else position, token=position, key=None)
        case ask.ShowHead(head, None):
            return replace(state, head=head)
        case ask.ShowHead(head, layer) if model is not None:
            pattern = find_step(f"blocks.{layer}.attn.pattern", model.config)
            return at_step(replace(state, head=head), pattern)
        case ask.Visit(tensor, head, token) if model is not None:
            there = at_step(state, find_step(tensor, model.config))
            there = there if head is None else replace(there, head=head)
            return there if token is None else replace(there, token=token, key=None)
        case ask.AskKey(key):
            return replace(state, key=None if state.key == key else key)
        case ask.Append(token) if model is not None:
            return append(state, token, model.tokenizer)
        case ask.Pin(token):
            others = tuple(t for t in state.pinned if t != token)
            return replace(state, pinned=others if token in state.pinned else (*state.pinned, token))
        case ask.Explain(target, against):
            asked = at_workspace(state, "why")
            asked = asked if target is None else replace(asked, target=target)
            return asked if against is None else replace(asked, against=against)
        case ask.Steer(token):
            return with_edits(state, f"blocks.{state.layer}.resid_pre+={STRENGTH}*tokens[{token}]")
        case ask.Measure(direction):
            asked = with_option(at_workspace(state, "directions"), "direction", direction)
            return replace(with_option(asked, "directions", "ruler"), opened=())
        case ask.Edit(texts):
            return with_edits(state, *texts)
        case ask.Weigh(at, strong):
            return weighed(state, at, strong)
        case ask.Open(cell):
            way = state.opened[: state.opened.index(cell)] if cell in state.opened else state.opened
            return replace(state, opened=(*way, cell))
        case ask.Evidence(layer, neuron, head):
            shows = "heads" if head is not None else "strongest" if state.view.evidence == "heads" else None
            asked = at_workspace(replace(with_option(state, "evidence_find", ""), layer=layer, opened=()), "evidence")
            asked = asked if shows is None else with_option(asked, "evidence", shows)
            return replace(asked, head=head) if head is not None else replace(asked, neuron=neuron)
        case ask.Frame(window):
            return replace(state, map_window=window)
        case ask.Sample(name, value):
            return state.with_sampling(**{name: value})
        case ask.Reseed():
            return replace(state.with_sampling(seed=(state.sampling.seed + 1) % (MAX_SEED + 1)), draws=0)
        case ask.AtStep(step) if model is not None:
            return replace(state, model=str(at_step_of_training(model.folder, step)))
        case ask.UseModel(folder):
            return replace(state, model=folder)
        case ask.Show(stop):
            return open_in(stop, state)
        case _:
            return state


def joined(intent: Intent) -> object:
    """A key that is equal for intents which are undone together; None for an intent that is undone separately."""
    match intent:
        case ask.Sample(name, _):
            return "sampling", name
        case ask.Weigh(at, _):
            return "strength", at
        case ask.Do(command) if find_command(command).joined:
            return (command,)
        case _:
            return None
