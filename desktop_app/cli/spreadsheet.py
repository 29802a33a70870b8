"""`logitscope spreadsheet`: one head of one block as live formulas."""

import argparse

from desktop_app import __version__
from desktop_app.cli.shared import (
    model_folder,
    open_for,
    prompt_ids,
    prompt_text,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.errors import ExportError
    from desktop_app.gpt2.files import refuse_existing

    if arguments.out.suffix.lower() != ".xlsx":
        raise ExportError(f"{arguments.out} does not end in .xlsx; name a spreadsheet.")
    refuse_existing(arguments.out, force=arguments.force)
    text = prompt_text(arguments)

    from desktop_app.figures.spreadsheet import sheets_of, write_spreadsheet

    model = open_for(model_folder(arguments), int8=False, text=text is not None)
    config, layer, head = model.config, arguments.layer, arguments.head
    for name, given, count in (("layer", layer, config.n_layer), ("head", head, config.n_head)):
        if not 0 <= given < count:
            raise LogitscopeError(f"--{name} is {given}; {model.name} has {name}s 0 to {count - 1}.")
    ids = prompt_ids(arguments, config, text, model.tokenizer)
    model.engine.check_ids(ids)
    trace = model.engine.trace(ids)
    sheets = sheets_of(trace, model.checkpoint, layer, head, tuple(map(model.tokenizer.label, ids)))
    about = (
        ("Logitscope", f"{__version__}: one attention head, computed cell by cell from the residual stream"),
        ("model", model.name),
        ("block, head", f"block {layer}, head {head}"),
        ("prompt", text if text is not None else ", ".join(map(str, ids))),
        ("how to read it", "Each sheet below is made from those above it; click a cell to see its formula."),
    )
    count = write_spreadsheet(arguments.out, sheets, about)
    print(f"{shown(str(arguments.out))}: {len(sheets)} sheets, {count:,} formulas, {size_of(arguments.out)}")
    return 0
