"""`logitscope figure`: draw the view of a step, a weight, an opened number, the census or the check."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.cli.shared import (
    checked_text,
    choose_provider,
    model_folder,
    open_for,
    prompt_text,
    shown,
    size_of,
)
from desktop_app.core.asking.choices import CHOICES
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.session.state import State
    from desktop_app.figures.order import Order


_LIMITS = ("view", "layer")


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.figures.order import files_of, make, refuse, write_files

    choose_provider(arguments)
    order = order_of(arguments, prompt_text(arguments))
    refuse(order, force=arguments.force)

    folder = order.model or model_folder(arguments)
    job = make(order, open_for(folder, int8=order.state.int8, text=order.needs_text))
    write_files(order, files_of(job, order.options, order.data))
    more = "".join(f", {shown(path.name)}" for path in order.files[1:])
    print(f"{shown(str(order.out))}{more}: {shown(job.view.title)}, {size_of(order.out)}")
    return 0


def order_of(arguments: argparse.Namespace, text: str | None) -> "Order":
    """The figure that the arguments describe, checked as far as possible without a model. Raises LogitscopeError."""
    from desktop_app.core.views.limits import read_limit
    from desktop_app.figures.data import data_kinds
    from desktop_app.figures.excerpt import Excerpt, read_heads, read_tokens
    from desktop_app.figures.export import Options, kind_of
    from desktop_app.figures.order import Order

    options = Options(
        kind=kind_of(arguments.out),
        size=arguments.size,
        theme=arguments.theme,
        dpi=arguments.dpi,
        caption=not arguments.no_caption,
        transparent=arguments.transparent,
        font_size=arguments.font_size,
        language=arguments.lang,
        title=not arguments.no_title,
    )
    heads = () if arguments.head is None else read_heads(arguments.head)
    tokens = None if arguments.tokens is None else read_tokens(arguments.tokens)
    state, model = state_of(arguments, text)
    if arguments.step is None and arguments.cell is None and arguments.session is None:
        raise LogitscopeError("Say what to show: --step NAME, like blocks.0.attn.pattern, or --cell.")
    return Order(
        arguments.out,
        step=arguments.step,
        cell=arguments.cell,
        layer=arguments.layer,
        head=heads[0] if heads else None,
        model=model if arguments.model is None else model_folder(arguments),
        prompted=any(p is not None for p in (text, arguments.ids, arguments.session, arguments.trace)),
        ids=arguments.ids,
        trace=arguments.trace,
        state=state,
        options=options,
        data=data_kinds(arguments.data),
        excerpt=Excerpt(
            arguments.panel,
            heads if len(heads) > 1 else (),
            tokens,
            only="" if arguments.only is None else checked_text(arguments.only, "--only"),
        ),
        target=arguments.target,
        against=arguments.against,
        pins=tuple(arguments.pin),
        limit=None if arguments.limits in (None, *_LIMITS) else read_limit(arguments.limits),
    )


def _blocks(text: str) -> tuple[int, ...]:
    """The blocks that a list such as `3,5` names. Raises LogitscopeError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) < 4 for part in parts):
        raise LogitscopeError(f"--unfold is {shown(text[:40])!r}; give blocks by number, like 3,5.", option="unfold")
    return tuple(sorted({int(part) for part in parts}))


def state_of(arguments: argparse.Namespace, text: str | None) -> "tuple[State, Path | None]":
    """The state that the arguments describe, based on that of --session if given, and the folder of its model.

    The folder is None if --model is given or the state names no model. Raises ModelError if the session's model is
    needed but not on this machine.
    """
    from dataclasses import replace

    from desktop_app.core.library.find import find_model, require_here
    from desktop_app.core.session.fields import Change
    from desktop_app.core.session.state import State

    state = State(text=text or "")
    if arguments.session is not None:
        from desktop_app.core.session.session_file import load_session

        state = load_session(arguments.session)
    given = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "seed")}
    sampling = {name: value for name, value in given.items() if value is not None}
    if arguments.greedy:
        sampling["greedy"] = True
    words = {field: value for field in CHOICES if (value := getattr(arguments, field)) is not None}
    if arguments.least is not None and not 0 <= arguments.least <= 1:
        raise LogitscopeError(f"--least is {arguments.least:g}; it must be from 0 to 1.", option="least")
    direction = state.view.direction
    if arguments.direction is not None:
        direction = checked_text(arguments.direction, "--direction")
    view = replace(
        state.view,
        **words,
        direction=direction,
        circuits_least=state.view.circuits_least if arguments.least is None else arguments.least,
        limits=arguments.limits if arguments.limits in _LIMITS else state.view.limits,
        skip_first=arguments.skip_first or state.view.skip_first,
        keys_down=arguments.keys_down or state.view.keys_down,
        sort_neurons=arguments.sort_neurons or state.view.sort_neurons,
    )
    places = {"token": arguments.token, "position": arguments.position, "key": arguments.key}
    places["translators"] = None if arguments.translators is None else str(arguments.translators)
    places |= {"start": arguments.bos, "space": arguments.prefix_space}
    places["unfolded"] = _blocks(arguments.unfold) or None
    places |= {"mask": arguments.mask, "other": arguments.other, "alignment": arguments.align}
    if arguments.beside is not None:
        places["beside"] = str(find_model(checked_text(arguments.beside, "--beside")))
    places["edits"] = (*state.edits, *map(Change, arguments.edit)) or None
    chosen = {name: value for name, value in places.items() if value is not None}
    state = replace(state, view=view, int8=state.int8 or arguments.int8, **chosen).with_sampling(**sampling)
    if arguments.model is not None or not state.model:
        return state, None
    return state, require_here(checked_text(state.model, "The session's model"))
