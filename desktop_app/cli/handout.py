"""`logitscope handout`: a text or a story as one interactive HTML file that works offline."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.deck import Models
from desktop_app.cli.shared import (
    checked_text,
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
    from desktop_app.core.scene import Scene
    from desktop_app.figures.deck.lecture import Lecture


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.core.lessons.stories import find_story
    from desktop_app.figures.handout.leaves import of_lecture, of_story
    from desktop_app.figures.handout.make import handout
    from desktop_app.gpt2.files import refuse_existing, whole_file

    if arguments.out.suffix.lower() not in (".html", ".htm"):
        raise ExportError(f"{arguments.out} does not end in .html; name an HTML file.")
    refuse_existing(arguments.out, force=arguments.force)
    if arguments.story is not None:
        story = find_story(checked_text(arguments.story, "--story"))
        choose_provider(arguments)
        models = Models(arguments)
        made = list(of_story(story, models.open, arguments.lang))
        name = " / ".join(dict.fromkeys(leaf.scene.name for leaf in made if leaf.scene is not None))
        data, count, left = handout(made, name, arguments.lang)
    else:
        lecture, scene = _lecture(arguments)
        data, count, left = handout(of_lecture(lecture, scene), scene.name, arguments.lang)
    with whole_file(arguments.out) as file:
        file.write(data)
    more = f", {len(left)} part{'s' * (len(left) != 1)} left out, as listed at its end" if left else ""
    print(f"{shown(str(arguments.out))}: {count} sections, {size_of(arguments.out)}{more}")
    return 0


def _lecture(arguments: argparse.Namespace) -> "tuple[Lecture, Scene]":
    """The lecture about the text, and the scene from which it is made."""
    text, sampling = prompt_text(arguments), sampling_of(arguments)

    from desktop_app.core.scene import make_scene
    from desktop_app.core.session.state import State
    from desktop_app.figures.deck.lecture import Lecture
    from desktop_app.figures.order import check_index

    choose_provider(arguments)
    model = open_for(model_folder(arguments), int8=arguments.int8, text=text is not None)
    ids = prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    layer, head = arguments.layer, arguments.head
    check_index("layer", layer, model.config.n_layer)
    check_index("head", head, model.config.n_head)
    check_index("token", arguments.token, len(ids))
    state = State(text or "", layer=layer or 0, head=head or 0, token=arguments.token, sampling=sampling)
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    chosen = None if layer is None and head is None else (layer or 0, head or 0)
    return Lecture(scene, model, arguments.lang, chosen), scene
