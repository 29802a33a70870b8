"""Runs the passes that a state requests: the text's pass, the edited pass, and another prompt's."""

from desktop_app.core.comparing.alignment import aligned
from desktop_app.core.edits.recipes import EditInputs, parse_recipe, resolve
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.model import Model
from desktop_app.core.passes import Asked, Passes
from desktop_app.core.session.state import State, encode
from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError, TokenizerError
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace

_COUNTED = 100_000
"""Characters: a text up to this length is tokenized to count its tokens, which takes at most a third of a second."""


def asked_of(state: State, tokenizer: Tokenizer, *, strict: bool = True) -> Asked:
    """The passes that a state requests; unless `strict`, the other prompt is left out if it cannot be encoded.

    Raises TokenizerError for a text that cannot be encoded.
    """
    try:
        other = encode_other(state, tokenizer) if state.other else None
    except TokenizerError:
        if strict:
            raise
        other = None  # it stays in the state, for a model that can encode it
    edits = tuple(change.text for change in state.edits if change.on)
    return Asked(encode(state, tokenizer), edits, state.mask, other, state.alignment, state.beside)


def too_long(state: State, tokenizer: Tokenizer, context: int) -> str:
    """A sentence if the prompt or the other one certainly has too many tokens for the context; "" if it may fit.

    A text that is slow to tokenize is judged by a lower bound on its number of tokens. For shorter texts the result is
    "", because their tokens will be counted anyway.
    """
    for what, text in (("text", state.text), ("other prompt", state.other)):
        least = tokenizer.least_tokens(text) if len(text) > _COUNTED else 0
        if least > context:
            return (
                f"The {what} has {len(text):,} characters, which are {least:,} tokens at least, and the model's "
                f"context has {context:,}; shorten it."
            )
    return ""


def encode_other(state: State, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids of the other prompt, with the same `start` and `space` as the first. Raises TokenizerError."""
    return encode(State(state.other, start=state.start, space=state.space), tokenizer)


def compute_passes(
    engine: Engine,
    tokenizer: Tokenizer | None,
    asked: Asked,
    reuse: Passes | None = None,
    stop: Stop | None = None,
    *,
    strict: bool = True,
    guest: Model | None = None,
) -> Passes:
    """Run the requested passes, reusing the earlier passes `reuse` where possible; `guest` is the second model.

    Raises ModelError for an edit of cells that do not exist, or with numbers that cannot be computed; unless `strict`,
    such an edit is left out and reported in `idle`. Raises Cancelled on a stop.
    """
    stop = stop or Stop()
    last = None if reuse is None else reuse.before
    same = last is not None and last.run == Run(engine.checkpoint.key, asked.ids)
    before = last if last is not None and same else engine.trace(asked.ids, reuse=last, stop=stop)
    other = None
    if asked.beside and guest is None and strict:
        raise ModelError(f"{asked.beside} is to be compared with this model, but is not open.")
    theirs = asked.ids if asked.other is None and guest is not None else asked.other
    if theirs is not None and (guest is not None or not asked.beside):
        try:
            runs_it = engine if guest is None else guest.engine
            runs_it.check_ids(theirs)
            other = _other(runs_it, theirs, before, reuse, stop)
        except ModelError:
            if strict:
                raise
            other = None  # it stays in the state, for a model that can run it
    idle: dict[str, str] = {}
    mask = _mask(engine, asked.mask, idle, strict=strict)
    checkpoint = None if guest is None else guest.checkpoint
    inputs = EditInputs(
        engine,
        tokenizer,
        before,
        other,
        () if other is None else aligned(asked.ids, other.ids, asked.alignment),
        mask,
        lambda: () if tokenizer is None else reference_texts(tokenizer),
        stop,
        checkpoint,
    )
    edits = resolve(asked.edits, inputs, None if strict else idle)
    trace = before
    if edits or mask != CAUSAL:
        goes_on = reuse is not None and Run(before.run.model, asked.ids, edits, mask).reusable(reuse.trace.run)
        trace = engine.trace(
            asked.ids, edits=edits, mask=mask, reuse=reuse.trace if reuse is not None and goes_on else before, stop=stop
        )
    return Passes(asked, trace, before, other, idle, guest)


def _other(engine: Engine, ids: tuple[int, ...], before: Trace, reuse: Passes | None, stop: Stop) -> Trace:
    """The other prompt's pass. Positions of the common beginning are reused, so their numbers are identical."""
    run = Run(engine.checkpoint.key, ids)
    if before.run == run:
        return before
    last = None if reuse is None else reuse.other
    if last is not None and last.run == run:
        return last
    if last is not None and before.run.model != run.model:
        before = last  # of another model, only a pass of its own can be reused
    return engine.trace(ids, reuse=before, stop=stop)


def changes(
    engine: Engine, tokenizer: Tokenizer | None, asked: Asked, stop: Stop | None = None
) -> tuple[tuple[Edit, ...], str]:
    """The requested edits and mask. Passes are run only if an edit takes its numbers from another pass.

    Raises ModelError.
    """
    mask = str(mask_of(asked.mask, engine.config))
    recipes = [parse_recipe(text, engine, len(asked.ids)) for text in asked.edits]
    if not any(recipe.source for recipe in recipes):
        return tuple(recipe.edit for recipe in recipes), mask
    run = compute_passes(engine, tokenizer, asked, stop=stop).trace.run
    return run.edits, run.mask


def _mask(engine: Engine, text: str, idle: dict[str, str], *, strict: bool) -> str:
    try:
        return str(mask_of(text, engine.config))
    except ModelError as reason:
        if strict:
            raise
        idle[text] = str(reason)
        return CAUSAL
