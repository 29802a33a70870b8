"""`logitscope worksheet`: exercises to compute by hand on a pass, with their answers."""

import argparse

from desktop_app.cli.shared import model_folder, open_for, prompt_ids, prompt_text, sampling_of, shown, size_of
from desktop_app.gpt2.errors import LogitscopeError


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.errors import ExportError
    from desktop_app.gpt2.files import refuse_existing, whole_file

    if arguments.out.suffix.lower() != ".pdf":
        raise ExportError(f"{arguments.out} does not end in .pdf; name a PDF file.")
    refuse_existing(arguments.out, force=arguments.force)
    text, sampling = prompt_text(arguments), sampling_of(arguments)

    from desktop_app.core.lessons.worksheet import LEVELS, exercises
    from desktop_app.core.scene import make_scene
    from desktop_app.core.session.state import State
    from desktop_app.figures.worksheet import worksheet_pdf

    model = open_for(model_folder(arguments), int8=False, text=text is not None)
    config = model.config
    ids = prompt_ids(arguments, config, text, model.tokenizer)
    model.engine.check_ids(ids)
    given = (
        ("layer", arguments.layer, config.n_layer),
        ("head", arguments.head, config.n_head),
        ("token", arguments.token, len(ids)),
    )
    for name, value, count in given:
        if value is not None and not 0 <= value < count:
            raise LogitscopeError(f"--{name} is {value}; there are {name}s 0 to {count - 1}.")
    state = State(text or "", layer=arguments.layer, head=arguments.head, token=arguments.token, sampling=sampling)
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    made = exercises(scene, arguments.level or tuple(LEVELS))
    prompt = text if text is not None else f"ids {', '.join(map(str, ids))}"
    # Characters that the fonts lack, or that would move a line, are shown as escapes.
    about = (f"Prompt: {shown(' '.join(prompt.split()))}", f"Model: {model.name}. All numbers were computed by it.")
    data = worksheet_pdf(made, about)
    with whole_file(arguments.out) as file:
        file.write(data)
    print(f"{shown(str(arguments.out))}: {len(made)} exercises and their answers, {size_of(arguments.out)}")
    return 0
