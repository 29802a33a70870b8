"""One figure as requested (model and prompt, what to show, how to draw it, where to write it), and how it is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from desktop_app.core.analysis.translators import load_translators
from desktop_app.core.comparing.beside import passes_of as run_passes
from desktop_app.core.model import Model
from desktop_app.core.passes import Asked, Passes, alone
from desktop_app.core.runs import asked_of
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.session.state import State, encode
from desktop_app.core.views.limits import limit_field, with_limits
from desktop_app.figures.data import WRITERS
from desktop_app.figures.excerpt import Excerpt, within
from desktop_app.figures.export import Job, Options, kind_of, render
from desktop_app.figures.subject import (
    Subject,
    excerpt_job,
    find_cell,
    find_subject,
    heads_job,
    subject_job,
    wants_of,
)
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.files import refuse_existing, whole_files
from desktop_app.gpt2.token_ids import parse_ids
from desktop_app.gpt2.trace import Trace

_COUNTED = {"unfold": "block"}


@dataclass(frozen=True)
class Order:
    """What the user requested.

    The prompt is `state`'s, `ids` or `trace`. `head` None: the state's, or a whole weight.
    """

    out: Path
    step: str | None = None
    cell: str | None = None
    layer: int | None = None
    head: int | None = None
    model: Path | None = None
    prompted: bool = True
    ids: str | None = None
    trace: Path | None = None  # the file of a saved pass, used in place of a prompt
    state: State = field(default_factory=State)
    options: Options = field(default_factory=Options)
    data: tuple[str, ...] = ()
    excerpt: Excerpt = field(default_factory=Excerpt)
    limit: float | None = None  # the limit of the colour scale, whatever the values
    target: str | None = None  # texts of the token to explain, and of the token to compare it with
    against: str | None = None
    pins: tuple[str, ...] = ()  # texts of the pinned tokens

    @property
    def needs_text(self) -> bool:
        """Whether a text will be tokenized, so that the model's tokenizer is needed."""
        typed = self.prompted and self.ids is None and self.trace is None
        named = self.target is not None or self.against is not None or bool(self.pins)
        return typed or named or bool(self.state.other)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files to be written: the figure, and its data files."""
        return (self.out, *(self.out.with_suffix(f".{kind}") for kind in self.data))


def find(order: Order, config: Config) -> Subject:
    """The subject of the order. Raises LogitscopeError, if it cannot be shown, before anything is computed."""
    check_index("layer", order.layer, config.n_layer)
    for head in (order.head, *order.excerpt.heads):
        check_index("head", head, config.n_head)
    if order.cell is not None:
        subject = find_cell(order.cell, config, order.state.position)
    else:
        subject = find_subject(order.step or order.state.step, config, layer=order.layer, head=order.head)
    if subject.needs_prompt and not order.prompted:
        raise ExportError("This figure needs a prompt: give one, or --ids.")
    if order.excerpt.heads and not (subject.route.heads and subject.step.spec.per_head):
        raise ExportError("--head names several heads, and this figure cannot show several; give one.")
    if order.excerpt.tokens is not None and not subject.needs_prompt:
        raise ExportError("--tokens selects a part of a text, and this figure shows none; leave it out.")
    return subject


def ids_of(order: Order, model: Model) -> tuple[int, ...]:
    """The token ids of the order's prompt. Raises LogitscopeError if the model cannot take them."""
    if order.ids is not None:
        return parse_ids(order.ids, model.config.vocab_size)
    ids = encode(order.state, model.tokenizer)
    model.engine.check_ids(ids)
    return ids


def scene_of(order: Order, subject: Subject, model: Model, passes: Passes) -> Scene:
    """The scene that the figure shows. Raises LogitscopeError for a token or a position that does not exist."""
    count = len(passes.trace)
    check_index("token", order.state.token, count)
    check_index("position", order.state.position, count)
    check_index("key", order.state.key, count)
    query = count - 1 if order.state.token is None else order.state.token
    if order.state.key is not None and order.state.key > query:
        raise ExportError(f"Key {order.state.key} comes after token {query}; choose a key from 0 to {query}.")
    layer = subject.step.layer
    for block in order.state.unfolded:
        check_index("unfold", block, model.config.n_layer)
    target, against = (
        getattr(order.state, name) if text is None else _token(model, name, text)
        for name, text in (("target", order.target), ("against", order.against))
    )
    state = replace(
        order.state,
        target=target,
        against=against,
        pinned=tuple(_token(model, "pin", text) for text in order.pins) or order.state.pinned,
        step=subject.step.key,
        layer=(order.layer if order.layer is not None else order.state.layer) if layer is None else layer,
        head=order.state.head if order.head is None else order.head,
    )
    return make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)


def _token(model: Model, name: str, text: str) -> int:
    """The single token to which a text is encoded. Raises ExportError if it is not exactly one."""
    ids = model.tokenizer.encode(text).ids
    if len(ids) != 1:
        count = model.tokenizer.counted(ids)
        raise ExportError(f"--{name} {text[:40]!r} {count}; give one token, with its space.")
    return ids[0]


PassesOf = Callable[[Asked], Passes]
"""Runs the requested passes."""


def make(order: Order, model: Model, passes_of: PassesOf | None = None) -> Job:
    """Compute the requested figure; `passes_of` runs passes, by default with the model's engine."""
    job = _make(order, find(order, model.config), model, passes_of)
    options = order.state.view
    if order.limit is not None:
        name = limit_field(job.view)
        if name is None:
            raise ExportError("--limits sets where colours end, and nothing in this figure is coloured; leave it out.")
        patterns = name == "pattern_limit"
        options = replace(options, pattern_limit=order.limit) if patterns else replace(options, limit=order.limit)
    return replace(job, view=with_limits(job.view, options))


def _make(order: Order, subject: Subject, model: Model, passes_of: PassesOf | None = None) -> Job:
    if order.state.translators:
        load_translators(Path(order.state.translators), model.config)
    state = order.state
    if state.changed and (not subject.needs_prompt or order.trace is not None):
        raise ExportError("--edit changes a pass that is computed, and this figure shows none; leave it out.")
    if not order.prompted:
        return excerpt_job(subject_job(subject, model, None), order.excerpt, subject.step, None)
    saved = None if order.trace is None else Trace.load(order.trace, model.checkpoint)
    ids = ids_of(order, model) if saved is None else saved.ids
    model.engine.check_ids(ids)
    for what in ("token", "position"):
        check_index(what, getattr(order.state, what), len(ids))
    within(order.excerpt.tokens, len(ids))
    asked = replace(asked_of(replace(state, text="", appended=ids), model.tokenizer), ids=ids)
    compute = passes_of or (lambda asked: run_passes(model, asked, text=order.needs_text))
    scene = scene_of(order, subject, model, alone(saved) if saved is not None else compute(asked))
    if scene.trace.run.changes and saved is None and any(not want.product.of_text for want in wants_of(subject, scene)):
        raise ExportError(f"{subject.step.key} shows passes over its own texts, to which --edit does not apply.")
    job = heads_job(subject, model, scene, order.excerpt) if order.excerpt.heads else subject_job(subject, model, scene)
    return excerpt_job(job, order.excerpt, subject.step, scene)


def files_of(job: Job, options: Options, data: Sequence[str]) -> list[bytes]:
    """The bytes of the figure and of its data files; runs in a worker process."""
    return [render(job, options), *(WRITERS[kind](job) for kind in data)]


def write_files(order: Order, made: Sequence[bytes]) -> None:
    """Write figure and data: all of them or none. Raises ExportError."""
    write_together(order.files, made)


def write_together(paths: Sequence[Path], made: Sequence[bytes]) -> None:
    """Write files that belong together: all of them or none. Raises ExportError."""
    with whole_files(list(paths)) as folder:
        for path, data in zip(paths, made, strict=True):
            (folder / path.name).write_bytes(data)


def refuse(order: Order, *, force: bool) -> None:
    """Raise ExportError if it is already certain that the files cannot be written, or if one exists without `force`."""
    kind_of(order.out)
    for path in order.files:
        refuse_existing(path, force=force)


def check_index(what: str, number: int | None, count: int) -> None:
    """Raise LogitscopeError if the model or the prompt has no such head, layer, token or position."""
    if number is not None and not 0 <= number < count:
        whole = "prompt's tokens" if what in ("token", "position", "key") else f"model's {_COUNTED.get(what, what)}s"
        only = "only 0 exists" if count == 1 else f"they go from 0 to {count - 1}"
        raise LogitscopeError(f"{what.capitalize()} {number} is outside the {whole}; {only}.")
