"""`logitscope trace`: write the tensors of a forward pass to a file."""

import argparse

from desktop_app import __version__
from desktop_app.cli.shared import (
    asked_pass,
    open_checkpoint,
    prompt_text,
    shown,
    size_of,
)


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)
    text = prompt_text(arguments)

    from desktop_app.core.library.catalogue import title_of
    from desktop_app.gpt2.edit import sites_of
    from desktop_app.gpt2.names import match_names
    from desktop_app.gpt2.trace_file import names_to_save, save_tensors

    checkpoint = open_checkpoint(arguments)
    config = checkpoint.config
    engine, run = asked_pass(arguments, checkpoint, text)
    ids, edits, mask = run.ids, run.edits, run.mask
    edited = sites_of(edits)
    names = names_to_save(config, match_names(arguments.names, config, edited) if arguments.names else None, edits)
    note = {"model": title_of(checkpoint.folder) or checkpoint.name, "logitscope": __version__} | (
        {"weights": "int8"} if config.int8 else {}
    )
    if text is not None:
        note["prompt"] = text
    arrays = engine.tensors(ids, names, edits=edits, mask=mask)
    save_tensors(arguments.out, config, len(ids), names, arrays, note, digest=checkpoint.digest, edits=edits, mask=mask)
    made = run.changes
    said = f", edited: {shown(', '.join(made))}" if made else ""
    print(f"{shown(str(arguments.out))}: {len(names)} tensors of {len(ids)} tokens, {size_of(arguments.out)}{said}")
    return 0
