"""`logitscope figure`: draw the view of a step."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.steps import Step
    from desktop_app.gpt2.config import Config


from desktop_app.cli.shared import (
    add_model,
    add_output,
    add_prompt,
    add_sampling,
    model_folder,
    prompt_ids,
    prompt_text,
    sampling_of,
    shown,
    size_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_prompt(parser)
    add_model(parser)
    parser.add_argument(
        "--step", metavar="NAME", required=True, help="what to show: a step or a tensor, like blocks.2.attn.pattern"
    )
    parser.add_argument("--layer", type=int, metavar="L", help="the block, where the step's name does not say it")
    parser.add_argument("--head", type=int, default=0, metavar="H", help="the head, counted from 0 (default 0)")
    parser.add_argument("--token", type=int, metavar="N", help="position of the token, the query (default: the last)")
    parser.add_argument("--position", type=int, metavar="N", help="the next token after this one (default: the last)")
    parser.add_argument("--scale", choices=("linear", "sqrt", "log"), default="linear", help="colours of a pattern")
    add_sampling(parser)
    parser.add_argument("--size", default="slide", help="slide, half (a slide), column, page or poster")
    parser.add_argument("--theme", default="light", help="light, dark or print")
    parser.add_argument("--dpi", type=int, default=200, help="dots per inch of a PNG (default 200)")
    parser.add_argument("--no-caption", action="store_true", help="leave out prompt, model and settings at the foot")
    parser.add_argument("--transparent", action="store_true", help="no background")
    add_output(parser, "SVG, PDF or PNG")


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.figures.export import Options, kind_of, make_job, render, write
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)
    options = Options(
        kind=kind_of(arguments.out),
        size=arguments.size,
        theme=arguments.theme,
        dpi=arguments.dpi,
        caption=not arguments.no_caption,
        transparent=arguments.transparent,
    )
    sampling = sampling_of(arguments)
    text = prompt_text(arguments)

    from desktop_app.core.model import open_model
    from desktop_app.core.scene import make_scene
    from desktop_app.core.state import State, ViewOptions

    model = open_model(model_folder(arguments))
    step = _step(arguments.step, arguments.layer, model.config)
    _check_index("head", arguments.head, model.config.n_head)
    ids = prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    _check_index("token", arguments.token, len(ids))
    _check_index("position", arguments.position, len(ids))
    state = State(
        text=text or "",
        step=step.key,
        layer=arguments.layer or 0 if step.layer is None else step.layer,
        head=arguments.head,
        token=arguments.token,
        position=arguments.position,
        sampling=sampling,
        view=ViewOptions(pattern_scale=arguments.scale),
    )
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    job = make_job(scene, step)
    write(arguments.out, render(job, options))
    print(f"{shown(str(arguments.out))}: {job.view.title}, {size_of(arguments.out)}")
    return 0


def _step(name: str, layer: int | None, config: "Config") -> "Step":
    """The step of that name; with a layer `pattern` will do. Raises ExportError."""
    from desktop_app.core.steps import find_step, step_list
    from desktop_app.gpt2.errors import ExportError

    _check_index("layer", layer, config.n_layer)
    if layer is not None:
        own = [step for step in step_list(config) if step.layer == layer]
        full = [name, f"blocks.{layer}.{name}", f"blocks.{layer}.attn.{name}"]
        for step in own:
            if step.spec.op == name or step.key in full or not set(full).isdisjoint(step.tensors):
                return step
    step = find_step(name, config)
    if None not in (layer, step.layer) and step.layer != layer:
        raise ExportError(f"{name} stands in block {step.layer}, not in block {layer}; leave --layer out.")
    return step


def _check_index(what: str, number: int | None, count: int) -> None:
    if number is not None and not 0 <= number < count:
        whole = "prompt's tokens" if what in ("token", "position") else f"model's {what}s"
        only = "only 0 is there" if count == 1 else f"they go from 0 to {count - 1}"
        raise LogitscopeError(f"--{what} {number} is outside the {whole}; {only}.")
