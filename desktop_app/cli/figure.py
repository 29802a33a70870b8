"""`logitscope figure`: draw the view of a step, a weight, an opened number, the census or the check."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.cli.shared import (
    add_begin,
    add_edits,
    add_engine,
    add_int8,
    add_model,
    add_output,
    add_sampling,
    checked_text,
    choose_provider,
    model_folder,
    open_for,
    prompt_text,
    shown,
    size_of,
)
from desktop_app.core.choices import CHOICES
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.state import State
    from desktop_app.figures.order import Order


_LIMITS = ("view", "layer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("text", metavar="TEXT", nargs="?", help="the prompt; - reads it from standard input, as it is")
    prompt.add_argument("--ids", metavar="LIST", help="the prompt as token ids instead, like 464,3797")
    prompt.add_argument("--session", metavar="FILE", type=Path, help="prompt, place and settings of a saved session")
    prompt.add_argument("--trace", metavar="FILE", type=Path, help="a pass saved by logitscope trace, as safetensors")
    add_what(parser)
    add_engine(parser)
    add_output(parser, "SVG, PDF or PNG")


def add_listed(parser: argparse.ArgumentParser) -> None:
    """Add what an entry of a listing may say, beside its text and its files' names."""
    parser.add_argument("--ids")
    parser.add_argument("--session", type=Path)
    parser.add_argument("--trace", type=Path)
    add_what(parser)
    add_int8(parser)


def add_what(parser: argparse.ArgumentParser) -> None:
    """Add everything but the prompt and the place: what `logitscope build` shares."""
    add_model(parser)
    add_begin(parser)
    add_edits(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--step",
        metavar="NAME",
        help="what to show: a step or a tensor, like blocks.2.attn.pattern; all heads of a block, "
        "overview:blocks.2.attn.pattern; a weight, weights:blocks.0.attn.W_Q; census; check; a workspace, like lens, "
        "or workspace:heads where a step is called so, too",
    )
    what.add_argument(
        "--cell",
        metavar="CELL",
        help="open a number, like 'blocks.0.attn.pattern[3,5,1]', or one of a workspace, like 'lens.kl[4,2]'",
    )
    parser.add_argument("--layer", type=int, metavar="L", help="the block, where the step's name does not say it")
    parser.add_argument(
        "--head", metavar="H", help="the head, from 0, or several side by side, 1,5,9 (default 0; of a weight: all)"
    )
    parser.add_argument("--token", type=int, metavar="N", help="position of the token, the query (default: the last)")
    parser.add_argument("--position", type=int, metavar="N", help="the next token after this one (default: the last)")
    parser.add_argument("--tokens", metavar="A:B", help="of rows and columns of tokens those from position A to B - 1")
    parser.add_argument("--panel", action="store_true", help="the main picture alone: no thumbnails, nothing beside it")
    parser.add_argument(
        "--limits", metavar="LIMITS", help="colours by what is shown (view), all heads of a block (layer), or a number"
    )
    parser.add_argument("--keys-down", action="store_true", help="attention grids with queries as columns")
    parser.add_argument("--skip-first", action="store_true", help="leave position 0 out of the colours")
    parser.add_argument("--sort-neurons", action="store_true", help="the most active neurons first")
    parser.add_argument(
        "--target", metavar="TOKEN", help="why: the token, as text with its space (default: the likeliest)"
    )
    parser.add_argument("--against", metavar="TOKEN", help="why: measured against this token")
    parser.add_argument(
        "--pin", metavar="TOKEN", action="append", default=[], help="lens, why: a token to follow; may be given again"
    )
    add_view_options(parser)
    add_sampling(parser)
    parser.set_defaults(temperature=None, top_k=None, top_p=None, seed=None)  # a session's own, where there is one
    parser.add_argument("--size", default="slide", help="slide, half (a slide), column, page or poster")
    parser.add_argument("--theme", default="light", help="light, dark, print or projector")
    parser.add_argument("--font-size", type=float, metavar="PT", help="body text in points; the page grows to hold it")
    parser.add_argument("--lang", default="en", help="language of titles and labels: en or de (default en)")
    parser.add_argument("--dpi", type=int, default=200, help="dots per inch of a PNG (default 200)")
    parser.add_argument("--no-title", action="store_true", help="leave out headline and lead; a picture's own too")
    parser.add_argument("--no-caption", action="store_true", help="leave out prompt, model and settings at the foot")
    parser.add_argument("--transparent", action="store_true", help="no background")
    parser.add_argument(
        "--data", metavar="KINDS", default="", help="write the numbers beside it: csv, json or csv,json"
    )


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
    """What was asked for, checked as far as that needs no model. Raises LogitscopeError."""
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
        excerpt=Excerpt(arguments.panel, heads if len(heads) > 1 else (), tokens),
        target=arguments.target,
        against=arguments.against,
        pins=tuple(arguments.pin),
        limit=None if arguments.limits in (None, *_LIMITS) else read_limit(arguments.limits),
    )


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add how views, workspaces above all, show what they found: of figures and of slides."""
    for row in CHOICES.values():
        parser.add_argument(
            f"--{row.flag}", dest=row.field, choices=row.words, metavar="WORD",
            help=f"{row.help}: {', '.join(row.words)} (default {row.usual})",
        )  # fmt: skip
    parser.add_argument(
        "--unfold", metavar="LIST", default="", help="why: the blocks that are shown by parts, like 3,5"
    )
    parser.add_argument(
        "--key", type=int, metavar="N", help="look: the key that is asked about (default: the strongest)"
    )
    parser.add_argument(
        "--least", type=float, metavar="X", help="circuits: pairs from so much beyond random on (default 0.08)"
    )
    parser.add_argument("--translators", metavar="FILE", type=Path, help="lens: a safetensors file of translators")


def _blocks(text: str) -> tuple[int, ...]:
    """The blocks that a list such as `3,5` names. Raises LogitscopeError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) < 4 for part in parts):
        raise LogitscopeError(f"--unfold is {shown(text[:40])!r}; give blocks by number, like 3,5.")
    return tuple(sorted({int(part) for part in parts}))


def state_of(arguments: argparse.Namespace, text: str | None) -> "tuple[State, Path | None]":
    """The state that was asked for, on top of a session's where there is one; and the session's model.

    Raises ModelError where that model is not here, and --model does not name another in its place.
    """
    from dataclasses import replace

    from desktop_app.core.fields import Change
    from desktop_app.core.library.find import require_here
    from desktop_app.core.state import State

    state = State(text=text or "")
    if arguments.session is not None:
        from desktop_app.core.session_file import load_session

        state = load_session(arguments.session)
    given = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "seed")}
    sampling = {name: value for name, value in given.items() if value is not None}
    if arguments.greedy:
        sampling["greedy"] = True
    words = {field: value for field in CHOICES if (value := getattr(arguments, field)) is not None}
    if arguments.least is not None and not 0 <= arguments.least <= 1:
        raise LogitscopeError(f"--least is {arguments.least:g}; it must be from 0 to 1.")
    view = replace(
        state.view,
        **words,
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
    places["edits"] = (*state.edits, *map(Change, arguments.edit)) or None
    chosen = {name: value for name, value in places.items() if value is not None}
    state = replace(state, view=view, int8=state.int8 or arguments.int8, **chosen).with_sampling(**sampling)
    if arguments.model is not None or not state.model:
        return state, None
    return state, require_here(checked_text(state.model, "The session's model"))
