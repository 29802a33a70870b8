"""Questions in stories: asked before a view's numbers are shown, and graded by the pass, so they suit any model.

    question = { ask = "Which token comes first?", next = true, nudge = "Read the first sentence again." }
    question = { ask = "Which token does this head look at most?", look = true }
    question = { ask = "Does ' Paris' stay first without it?", choices = [
        { say = "yes", claims = [{ next = " Paris", rank = 1, mute = [4, 1] }] },
        { say = "no", claims = [{ next = " London", rank = 1, mute = [4, 1] }] } ] }

No answer depends on a random draw: it is the likeliest token, the key with the most attention, or the claim that holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from desktop_app.core.lessons.claims import Claim, Heads
from desktop_app.core.lessons.claims_file import read_claims
from desktop_app.core.levels import percent
from desktop_app.core.model import Model
from desktop_app.core.scene import Scene
from desktop_app.core.session.fields import Reader, flag, text
from desktop_app.gpt2.errors import SessionError

NEXT, LOOK, CHOICE = "next", "look", "choice"
_MOST_CHOICES = 6


@dataclass(frozen=True)
class Choice:
    """One of several answers: its text, and the claims that hold if it is right."""

    say: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Question:
    """The question, how it is answered (`kind`), and the hint after a wrong first answer."""

    ask: str
    kind: str
    nudge: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether an answer was right, and a sentence with the right answer."""

    right: bool
    truth: str


def read_question(raw: Any, where: str, heads: Heads | None = None) -> Question:
    """The question that a table in a file describes. Raises SessionError that names the field at fault."""
    read = Reader(raw, where)
    if unknown := sorted(raw.keys() - {"ask", "nudge", NEXT, LOOK, "choices"}):
        raise SessionError(f"{where}: {unknown[0][:60]!r} is not a field of a question.")
    ask, nudge = read.read("ask", "", text(400)), read.read("nudge", "", text(400))
    kinds = [kind for kind in (NEXT, LOOK) if read.read(kind, False, flag)] + [CHOICE] * ("choices" in raw)
    if not ask or len(kinds) != 1:
        raise SessionError(f"{where} must have `ask`, and one of next = true, look = true and choices.")
    return Question(ask, kinds[0], nudge, _choices(raw["choices"], where, heads) if kinds == [CHOICE] else ())


def _choices(raw: Any, where: str, heads: Heads | None) -> tuple[Choice, ...]:
    if not isinstance(raw, list) or not 2 <= len(raw) <= _MOST_CHOICES:
        raise SessionError(f"{where}: choices must be a list of 2 to {_MOST_CHOICES} tables.")
    found = []
    for n, row in enumerate(raw, 1):
        own = f"{where}: choice {n}"
        say = Reader(row, own).read("say", "", text(200))
        claims = read_claims(row.get("claims", []), own, heads)
        if not say or not claims:
            raise SessionError(f"{own} must have `say` and claims that decide whether it is right.")
        found.append(Choice(say, claims))
    return tuple(found)


def truth_of(question: Question, model: Model, scene: Scene) -> tuple[Callable[[int | str], bool], str]:
    """The right answer, as a predicate on answers and as a sentence.

    An answer is a text (a token), a position, or the index of a choice, depending on the kind of the question. Raises
    LogitscopeError if the question is about something that the model lacks.
    """
    if question.kind == NEXT:
        best = int(scene.ranked.order[0])
        share = percent(float(scene.ranked.probs[0]))
        words = scene.tokenizer.decode([best])
        return (
            lambda answer: isinstance(answer, str) and answer.strip() == words.strip(),
            f"{scene.tokenizer.quoted(best)} is the likeliest, with {share} at temperature 1.",
        )
    if question.kind == LOOK:
        row = scene.trace.read(f"blocks.{scene.layer}.attn.pattern", head=scene.head, row=scene.token)
        most = int(np.argmax(row))
        share = percent(float(row[most]))
        return (
            lambda answer: answer == most,
            f"Block {scene.layer}, head {scene.head} gives {scene.labels[most]} (position {most}) the most, {share}.",
        )
    holding = [n for n, choice in enumerate(question.choices) if _all_hold(choice, model, scene)]
    if not holding:
        return lambda _answer: False, f"None of these is true of {scene.name}."
    return lambda answer: answer in holding, f"Correct: {' / '.join(question.choices[n].say for n in holding)}."


def _all_hold(choice: Choice, model: Model, scene: Scene) -> bool:
    try:
        return all(claim.check(model, scene.state).holds for claim in choice.claims)
    except SessionError:
        return False  # the choice names a text that is not one token in this model


def grade(question: Question, answer: int | str, model: Model, scene: Scene) -> Verdict:
    """Check an answer against the pass. Raises LogitscopeError as `truth_of` does."""
    is_right, truth = truth_of(question, model, scene)
    return Verdict(is_right(answer), truth)
