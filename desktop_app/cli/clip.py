"""`logitscope clip`: the operation of a step as an animated picture, a film or a storyboard."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.cli.shared import (
    choose_provider,
    model_folder,
    open_for,
    prompt_ids,
    prompt_text,
    sampling_of,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import ExportError

if TYPE_CHECKING:
    from desktop_app.core.session.state import State


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.core.motion.operations import motion_of
    from desktop_app.core.scene import make_scene
    from desktop_app.core.session.state import State
    from desktop_app.core.steps import find_step
    from desktop_app.figures.clips import CLIPS, clip_times, moment, motion_words, write_clip
    from desktop_app.figures.export import Options, job_of, kind_of, render, write
    from desktop_app.figures.order import check_index
    from desktop_app.figures.theme import THEMES
    from desktop_app.gpt2.files import refuse_existing

    text, sampling = prompt_text(arguments), sampling_of(arguments)
    kind = arguments.out.suffix.lower().removeprefix(".")
    if kind not in CLIPS:
        kind_of(arguments.out)
    if not 0.1 <= arguments.pace <= 20:
        raise ExportError(f"--pace is {arguments.pace:g}; it must be from 0.1 to 20 beats a second.")
    if arguments.theme not in THEMES:
        raise ExportError(f"There is no theme {arguments.theme[:40]!r}; choose one of {', '.join(THEMES)}.")
    refuse_existing(arguments.out, force=arguments.force)
    choose_provider(arguments)
    model = open_for(model_folder(arguments), int8=arguments.int8, text=text is not None)
    ids = prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    check_index("layer", arguments.layer, model.config.n_layer)
    check_index("head", arguments.head, model.config.n_head)
    check_index("token", arguments.token, len(ids))
    layer, head = arguments.layer or 0, arguments.head or 0
    name = _in_block(arguments.step, layer)
    step = find_step(name, model.config)
    state = State(
        text or "",
        step=step.key,
        layer=layer if step.layer is None else step.layer,
        head=head,
        token=arguments.token,
        sampling=sampling,
        int8=arguments.int8,
    )
    if arguments.training or arguments.snapshots is not None:
        return _of_training(arguments, model.folder, name, tuple(ids), state)
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    motion = motion_of(scene, step, arguments.by)
    words = "" if arguments.no_caption else motion_words(scene, step)
    if kind not in CLIPS:
        options = Options(kind, "slide", arguments.theme, caption=not arguments.no_caption)
        write(arguments.out, render(job_of(motion.storyboard(), words), options))
    else:
        write_clip(clip_times(motion, arguments.pace), moment(motion, words), arguments.out, theme=arguments.theme)
    beats = f"{len(motion.beats)} beat{'s' if len(motion.beats) > 1 else ''}"
    print(f"{shown(str(arguments.out))}: {motion.title}, {beats}, {size_of(arguments.out)}")
    return 0


def _of_training(arguments: argparse.Namespace, folder: Path, name: str, ids: tuple[int, ...], state: "State") -> int:
    """A clip of the same view at each snapshot, or a figure of a few side by side."""
    from desktop_app.core.library.training import training_of
    from desktop_app.core.passes import Asked
    from desktop_app.figures.clips import CLIPS, write_clip
    from desktop_app.figures.export import Options, kind_of, render, write
    from desktop_app.figures.trainings import beside_of, ends_of, frames_of, some_of, views_of

    training = training_of(folder)
    if training is None:
        raise ExportError(f"{folder.name} has no snapshots of its training here, so --training has nothing to show.")
    clip = arguments.out.suffix.lower().removeprefix(".") in CLIPS
    chosen = training.snapshots if clip else ends_of(training)
    if arguments.snapshots is not None:
        chosen = some_of(training, _steps(arguments.snapshots))
    views = views_of(training, chosen, name, Asked(ids), state)
    captions = not arguments.no_caption
    if clip:
        jobs = frames_of(views, captions=captions)
        seconds = 1 / arguments.pace
        write_clip(range(len(jobs)), jobs.__getitem__, arguments.out, seconds=seconds, theme=arguments.theme)
    else:
        options = Options(kind_of(arguments.out), "slide", arguments.theme, caption=captions)
        write(arguments.out, render(beside_of(views, captions=captions), options))
    said = training.range if len(chosen) == len(training.snapshots) else f"{len(chosen)} of {training.range}"
    print(f"{shown(str(arguments.out))}: {name}, {said}, {size_of(arguments.out)}")
    return 0


def _steps(text: str) -> tuple[int, ...]:
    """The steps of a list like 0,320,700. Raises ExportError."""
    if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", text):
        raise ExportError(f"--snapshots is {text[:40]!r}; it must be steps of the training, like 0,320,700.")
    return tuple(int(part) for part in text.split(","))


def _in_block(op: str, layer: int) -> str:
    """The name of the step with the operation `op`, in block `layer` if it belongs to a block."""
    from desktop_app.core.places import BLOCK
    from desktop_app.core.steps import STEPS
    from desktop_app.gpt2.weights import expand

    return next((expand(spec.key, layer) for spec in STEPS if spec.op == op and spec.part == BLOCK), op)
