"""What can be edited and how, as values: targets, actions, and the edits that result from them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from desktop_app.gpt2.phrase import Phrase


@dataclass(frozen=True)
class Place:
    """Cells of the tensor `site`; as a text, "SITE[INDEX]", as edits name them.

    `index` has a number, or ":" for all, for each of the tensor's first axes; the axes after them are whole.
    """

    site: str
    index: tuple[int | str, ...] = ()

    def __str__(self) -> str:
        return f"{self.site}[{self.indices}]" if self.index else self.site

    @property
    def indices(self) -> str:
        """The index as an edit writes it, without brackets."""
        return ", ".join(map(str, self.index))


@dataclass(frozen=True)
class Target:
    """Something that can be edited: its title, and its cells.

    `kind` says which actions it allows: a "look" (one query's attention to one key) can be set to no attention, a
    "head" can read the other prompt's keys, a "row" of the residual stream can be steered, and an "input" is one head's
    q, k or v.
    """

    words: str
    places: tuple[Place, ...]
    kind: str = ""


@dataclass(frozen=True)
class Field:
    """An input field: its label, its initial value, and whether its value is a text, which is written in quotes."""

    label: str
    usual: str
    quoted: bool = False


@dataclass(frozen=True)
class Action:
    """Something to do with a target: the text that follows "SITE[INDEX]", where `{0}` is the value of the first field.

    `kinds` are the kinds of target to which the action applies; if empty, it applies to all kinds except looks. `about`
    says what an action with fields does, and how they are written.
    """

    id: str
    title: str
    text: str
    kinds: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    other: bool = False  # needs another prompt
    about: str = ""


LOOK, HEAD, ROW, NUMBER, MLP, INPUT = "look", "head", "row", "number", "mlp", "input"

_TEXTS = (Field("Strength", "2"), Field("Towards the text", "", True), Field("Away from the text", "", True))
_STEERED = (
    "Adds a direction times its strength: the mean of the tensor over the first text's tokens less that over the "
    "second's. Its chip has a slider for the strength."
)
_EDGE = (
    "Adds what the earlier head writes in the other prompt less what it writes here, by the direct path alone and with "
    "the layer norm's scale as it is without edits: an approximation of that edge."
)
_READ = (
    "The head's own queries attend to the other prompt's keys, none of them masked, and read its values, as in "
    "cross-attention."
)

ACTIONS: tuple[Action, ...] = (
    Action("cut", "Cut it", "=-inf", (LOOK,)),
    Action("mean", "Mute: its mean over the example texts", "=mean"),
    Action("zero", "Mute: 0", "=0"),
    Action("scale", "Scale …", "*={0}", fields=(Field("Multiply it by", "0.5"),)),
    Action(
        "set",
        "Set to …",
        "={0}",
        fields=(Field("Set it to", "1"),),
        about="A number, mean (over the example texts), or other (the other prompt's); docs/what-if.md lists the rest.",
    ),
    Action("shift", "Add to the score …", "+={0}", (LOOK,), (Field("Add to the score", "-2"),)),
    Action(
        "add",
        "Add a direction …",
        "+={0}",
        (ROW,),
        (Field("Direction", '4*tokens[" yes", " no"]'),),
        about='A strength times one token\'s embedding less another\'s; also like 2*prompts["one", "two"], '
        '3*direction["woman - man"] or 5*neuron[3, 120], what that neuron writes.',
    ),
    Action("prompts", "Steer from one text to another …", "+={0}*prompts[{1}, {2}]", (ROW,), _TEXTS, about=_STEERED),
    Action("other", "Take it from the other prompt", "=other", other=True),
    Action("across", "Read the other prompt's keys and values", "=across", (HEAD,), other=True),
    Action(
        "edge",
        "Add what an earlier head writes in the other prompt …",
        "+=edge[{0}, {1}]",
        (INPUT,),
        (Field("The earlier head's block", "0"), Field("Its number", "0")),
        other=True,
        about=_EDGE,
    ),
)
"""The actions, in the order of the menus."""

STEER = Action(
    "steer",
    "Steer from one text to another",
    "{0}+={1}*prompts[{2}, {3}]",
    fields=(Field("Add it at", "blocks.0.resid_pre"), *_TEXTS),
    about=_STEERED,
)
EDGE = Action(
    "edge",
    "From one head into another",
    "blocks.{0}.attn.{2}[{1}]+=edge[{3}, {4}]",
    fields=(
        Field("Into the block", "0"),
        Field("Into its head", "0"),
        Field("Into its q, k or v", "q"),
        Field("From the block", "0"),
        Field("From its head", "0"),
    ),
    other=True,
    about=_EDGE,
)
READ_ACROSS = Action(
    "across",
    "Heads that read the other prompt",
    "blocks.{0}.attn.z[{1}]=across",
    fields=(Field("Block", "0"), Field("Heads", ":")),
    other=True,
    about=f"{_READ} Heads are a number, a range like 2:5, or : for all of the block.",
)
"""Actions that need no target."""


def actions_for(target: Target, *, other: bool, kept: Sequence[str] = ()) -> tuple[Action, ...]:
    """The actions that a target allows.

    `other` says whether there is another prompt to take values from; `kept` are the directions that the user saved.
    """
    found = [
        action
        for action in ACTIONS
        if (target.kind in action.kinds if action.kinds else target.kind != LOOK) and (other or not action.other)
    ]
    if target.kind == ROW:
        at = next(n for n, action in enumerate(found) if action.id == "prompts")
        found[at:at] = [Action(f"kept:{text}", f"Add {text}", f"+={added(text)}") for text in kept]
    return tuple(found)


STRENGTH = 4
"""The initial strength of an added direction."""


def added(direction: str) -> str:
    """The VALUE of an edit that adds a direction, which is given as typed."""
    return f"{STRENGTH}*direction[{json.dumps(direction, ensure_ascii=False)}]"


_GIVEN = re.compile(r"\{(\d)\}")


def filled(action: Action, given: Sequence[str]) -> str:
    """The text of an action with its fields replaced by their values."""
    if not action.fields:
        return action.text
    words = [
        json.dumps(text, ensure_ascii=False) if field.quoted else text.strip()
        for field, text in zip(action.fields, given, strict=True)
    ]
    return _GIVEN.sub(lambda match: words[int(match[1])], action.text)


def texts_of(target: Target, action: Action, *given: str) -> tuple[str, ...]:
    """The edits that perform an action on a target, with the values of the action's fields."""
    return tuple(f"{place}{filled(action, given)}" for place in target.places)


def head(layer: int, n: int) -> Target:
    """The target for a head's output `z`, at every position."""
    return Target(Phrase("head {1} of block {2}", n, layer), (Place(f"blocks.{layer}.attn.z", (n,)),), HEAD)


def heads(layer: int) -> Target:
    """The target for the outputs `z` of all heads of a block."""
    return Target(Phrase("every head of block {1}", layer), (Place(f"blocks.{layer}.attn.z"),), HEAD)


def inputs(layer: int, n: int) -> tuple[Target, ...]:
    """The targets for a head's queries, keys and values, at every position."""
    return tuple(
        Target(Phrase("{1} of head {2}", words, n), (Place(f"blocks.{layer}.attn.{letter}", (n,)),), INPUT)
        for letter, words in (("q", Phrase("queries")), ("k", Phrase("keys")), ("v", Phrase("values")))
    )


def mlp(layer: int) -> Target:
    """The target for the MLP of a block."""
    return Target(Phrase("MLP of block {1}", layer), (Place(f"blocks.{layer}.mlp.post"),), MLP)


def block(layer: int) -> Target:
    """The target for everything that a block adds to the stream."""
    return Target(Phrase("block {1}", layer), (Place(f"blocks.{layer}.attn_out"), Place(f"blocks.{layer}.mlp_out")))
