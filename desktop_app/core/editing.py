"""What can be edited and what can be done with it, as values: targets and actions, and the edits that these make."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Something that can be edited: how it is called, and its cells as edits name them, "SITE[INDEX]".

    `kind` says what can be done with it: a "look" can be cut, a "head" can read across, a "row" of the residual stream
    can be steered.
    """

    words: str
    places: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True)
class Action:
    """Something to do with a target, by the text that follows its places; `{0}` is what a person is asked for.

    `kinds` are those of the targets that it is for, all but looks where there are none.
    """

    id: str
    title: str
    text: str
    kinds: tuple[str, ...] = ()
    asks: str = ""
    usual: str = ""
    other: bool = False  # takes from the other prompt


LOOK, HEAD, ROW, NUMBER, MLP = "look", "head", "row", "number", "mlp"

ACTIONS: tuple[Action, ...] = (
    Action("cut", "Cut it", "=-inf", (LOOK,)),
    Action("mean", "Mute: its mean over the example texts", "=mean"),
    Action("zero", "Mute: 0", "=0"),
    Action("scale", "Scale …", "*={0}", asks="Multiply it by", usual="0.5"),
    Action("set", "Set to …", "={0}", asks="Put there (a number, or as docs/what-if.md says)", usual="1"),
    Action("shift", "Add to the score …", "+={0}", (LOOK,), "Add to the score", "-2"),
    Action("add", "Add a direction …", "+={0}", (ROW,), "Add a direction", '4*tokens[" yes", " no"]'),
    Action("other", "Take it from the other prompt", "=other", other=True),
    Action("across", "Read the other prompt's keys and values", "=across", (HEAD,), other=True),
)
"""What can be done, in the order of menus."""


def actions_for(target: Target, *, other: bool) -> tuple[Action, ...]:
    """What can be done with a target; `other` says whether there is another prompt to take from."""
    return tuple(
        action
        for action in ACTIONS
        if (target.kind in action.kinds if action.kinds else target.kind != LOOK) and (other or not action.other)
    )


def texts_of(target: Target, action: Action, given: str = "") -> tuple[str, ...]:
    """The edits that an action makes of a target."""
    return tuple(f"{place}{action.text.replace('{0}', given.strip())}" for place in target.places)


def place(site: str, *index: int | str) -> str:
    """ "SITE[INDEX]", less what all of at the end."""
    found = [str(i) for i in index]
    while found and found[-1] == ":":
        found.pop()
    return f"{site}[{', '.join(found)}]" if found else site


def head(layer: int, n: int) -> Target:
    """What a head read, at every position."""
    return Target(f"head {n} of block {layer}", (place(f"blocks.{layer}.attn.z", n),), HEAD)


def mlp(layer: int) -> Target:
    """The MLP of a block."""
    return Target(f"MLP of block {layer}", (f"blocks.{layer}.mlp.post",), MLP)


def block(layer: int) -> Target:
    """All that a block writes."""
    return Target(f"block {layer}", (f"blocks.{layer}.attn_out", f"blocks.{layer}.mlp_out"))
