"""Stops of a story: a prompt, the place to view it at, a sentence, and the sentence's claims. Examples are stops, too.

In a file, a stop is one table. Besides texts (`title`, `say`, `look_for`, `notes`) it may contain any field that a
session saves (text, step, workspace, layer, head, token, target ...), `sampling` and `view` with their fields, `claims`
(see `claims_file`) and a `question` (see `questions`). If the file names heads by their role, `role` sets block and
head; `{L}` in the step then stands for that block, and `{Head}` in a sentence for that head. An edit may name heads by
role, too: `blocks.{induction.block}.attn.z[{induction.head}]=0`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from desktop_app.core.lessons.claims import Claim, Heads
from desktop_app.core.lessons.claims_file import read_claims
from desktop_app.core.lessons.questions import Question, read_question
from desktop_app.core.library.find import referred
from desktop_app.core.session.fields import Reader, text
from desktop_app.core.session.session_file import read_sampling
from desktop_app.core.session.state import ASKED, State, ViewOptions, unplaced
from desktop_app.gpt2.errors import SessionError
from desktop_app.gpt2.sampling import Sampling

_NAMED_HEAD = re.compile(r"\{([\w-]{1,100})\.(block|head)\}")
_SENTENCE, _NOTES = text(600), text(4000)
_WORDS = ("title", "say", "look_for", "notes")


@dataclass(frozen=True)
class Stop:
    """One stop. `state` has its prompt and place; `chosen` are the names of the fields that the file sets.

    `chosen` includes fields of sampling. `model` is the model's name as given by `reference_of`, `role` the role of the
    head. The claims are about the stop's text and settings; settings that it does not contain have the defaults of a
    first start.
    """

    title: str
    say: str
    state: State
    chosen: frozenset[str]
    model: str = "bundled"
    look_for: str = ""
    notes: str = ""
    claims: tuple[Claim, ...] = ()
    role: str | None = None
    question: Question | None = None
    written: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The claims and the question as in the file, so that it can be saved again."""


OPENING = Sampling(0.8, 40, 0.9)
"""The sampling settings of a first start, and the defaults of a stop."""


def read_stop(raw: Any, where: str, heads: Heads | None = None) -> Stop:
    """The stop that a file's table describes. Raises SessionError that names the field at fault."""
    read = Reader(raw, where)
    known = {f.name for f in fields(State) if "kind" in f.metadata} - {"story", "stop"}
    known |= {"sampling", "view", "role", "claims", "question", *_WORDS}
    if unknown := sorted(raw.keys() - known):
        raise SessionError(
            f"{where}: {unknown[0][:60]!r} is not a field of a stop; it may have {', '.join(sorted(known))}."
        )
    words = {name: read.read(name, "", _NOTES if name == "notes" else _SENTENCE) for name in _WORDS}
    if not words["title"]:
        raise SessionError(f"{where}: title is missing.")
    state = State(**read.all_of(State), view=ViewOptions(**read.record("view").all_of(ViewOptions)), sampling=OPENING)
    state = replace(state, edits=tuple(replace(c, text=_with_heads(c.text, heads or {}, where)) for c in state.edits))
    chosen = frozenset(raw.keys() & {f.name for f in fields(State)})
    role = read.read("role", None, text(100))
    if role is not None:
        state, chosen = _at_head(state, chosen, role, heads or {}, where)
    elif state.step.startswith("blocks."):
        state, chosen = replace(state, layer=_block_of(state.step, where)), chosen | {"layer"}
    if "sampling" in raw:
        state = replace(state, sampling=read_sampling(read.record("sampling"), where, OPENING))

    def named(words: str) -> str:
        head = f"lock {state.layer}, head {state.head}"
        return words.replace("{Head}", f"B{head}").replace("{head}", f"b{head}")

    said = {name: named(words[name]) for name in _WORDS}
    claims = read_claims(raw.get("claims", []), where, heads)
    return Stop(
        **said,
        state=replace(state, model=""),
        chosen=chosen - {"model"},
        model=state.model or "bundled",
        claims=claims,
        role=role,
        question=None if "question" not in raw else _question(raw["question"], f"{where}: question", heads, named),
        written={name: raw[name] for name in ("claims", "question") if name in raw},
    )


def _with_heads(edit: str, heads: Heads, where: str) -> str:
    """An edit in which heads named by role are replaced by numbers: `blocks.{induction.block}.attn.z[...]`."""

    def stands_for(match: re.Match[str]) -> str:
        if match[1] not in heads:
            raise SessionError(
                f"{where}: an edit names {match[1][:60]!r}; the file names {', '.join(heads) or 'no heads'}."
            )
        return str(heads[match[1]][0 if match[2] == "block" else 1])

    return _NAMED_HEAD.sub(stands_for, edit)


def _question(raw: Any, where: str, heads: Heads | None, named: Callable[[str], str]) -> Question:
    found = read_question(raw, where, heads)
    return replace(found, ask=named(found.ask), nudge=named(found.nudge))


def _at_head(state: State, chosen: frozenset[str], role: str, heads: Heads, where: str) -> tuple[State, frozenset[str]]:
    if role not in heads:
        raise SessionError(f"{where}: role is {role[:60]!r}; the file names {', '.join(heads) or 'no heads'}.")
    layer, head = heads[role]
    state, chosen = replace(state, layer=layer, head=head), chosen | {"layer", "head"}
    if "step" in chosen or "workspace" in chosen:
        return replace(state, step=state.step.replace("{L}", str(layer))), chosen
    return replace(state, step=f"blocks.{layer}.attn.pattern"), chosen | {"step"}


def _block_of(step: str, where: str) -> int:
    number = step.split(".")[1]
    if not number.isdecimal() or len(number) > 3:
        raise SessionError(f"{where}: step is {step[:60]!r}; a block's step is named like blocks.5.attn.pattern.")
    return int(number)


def open_in(stop: Stop, state: State) -> State:
    """The state in which a stop is viewed: its prompt, place and settings; the rest is taken from `state`.

    Fields that refer to the previous text (position, target, opened cells, draws) are reset. The sampling settings are
    those of the stop or the defaults, because its sentence is about these.
    """
    fresh = {
        name: getattr(stop.state, name)
        for name in (*ASKED, "target", "against", "unfolded", "opened", "draws", "sampling")
    }
    fresh |= {name: getattr(stop.state, name) for name in stop.chosen | {"workspace", "token", "position", "key"}}
    if fresh["beside"]:
        fresh["beside"] = referred(fresh["beside"])
    return replace(unplaced(state), **{**fresh, "model": state.model, "int8": state.int8})


def claimed_state(stop: Stop) -> State:
    """The state that the claims are about: the stop as opened at a first start."""
    return open_in(stop, State(sampling=OPENING))
