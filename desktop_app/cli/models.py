"""`logitscope models`: list, download, add and remove models, as the models dialog does, and check one for faults."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.progress_line import ProgressLine
from desktop_app.cli.shared import shown
from desktop_app.gpt2.errors import ModelError

if TYPE_CHECKING:
    from desktop_app.core.library.progress import Progress


_MAX_TOKENS = 1_000_000


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand `arguments.action`; return the exit code, which is 1 if `check` finds a fault."""
    return {"list": _list, "get": _get, "add": _add, "remove": _remove, "check": _check}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from desktop_app.core.library.listing import list_models
    from desktop_app.core.library.progress import in_bytes
    from desktop_app.gpt2.errors import LogitscopeError

    if not 1 <= arguments.tokens <= _MAX_TOKENS:
        raise LogitscopeError(f"--tokens {arguments.tokens} is out of range; choose from 1 to {_MAX_TOKENS}.")
    rows = list_models()
    if arguments.json:
        import json

        facts = [
            {
                "reference": row.reference,
                "title": row.title,
                "kind": row.kind,
                "folder": None if row.folder is None else str(row.folder),
                "parameters": row.parameters,
                "blocks": None if row.config is None else row.config.n_layer,
                "heads": None if row.config is None else row.config.n_head,
                "width": None if row.config is None else row.config.n_embd,
                "bytes": row.disk,
                "memory": row.memory(arguments.tokens),
                "state": row.state,
                "ready": row.ready,
                "snapshots": None if row.training is None else list(row.training.steps),
            }
            for row in rows
        ]
        print(json.dumps(facts, indent=1))
        return 0
    lines = [("model", "parameters", "blocks × heads × width", "disk", "memory", "state")]
    for row in rows:
        memory = row.memory(arguments.tokens)
        lines.append(
            (
                row.reference,
                "" if row.parameters is None else f"{row.parameters:,}",
                row.shape,
                in_bytes(row.disk),
                "" if memory is None else in_bytes(memory),
                row.state,
            )
        )
    widths = [max(len(line[n]) for line in lines) for n in range(6)]
    for line in lines:
        cells = [
            # The columns between name and state hold numbers.
            cell.rjust(w) if 0 < n < 5 else cell.ljust(w)
            for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        print(shown("  ".join(cells).rstrip()))
    print(f"Memory is for a text of {arguments.tokens:,} tokens. --model accepts the names in the first column.")
    return 0


def _get(arguments: argparse.Namespace) -> int:
    from desktop_app.core.library.find import full_name
    from desktop_app.core.library.references import parse_hub_name
    from desktop_app.core.library.worker import load_download
    from desktop_app.core.program.bundle import program

    names = [full_name(parse_hub_name(name)) for name in arguments.name]
    for name in names:
        with ProgressLine(stay=True) as line:
            # `line` is a default so that the function has this model's line, not that of a later one.
            def show(progress: "Progress", line: ProgressLine = line) -> None:
                share = progress.done / progress.total if progress.total else 0.0
                line.show(progress.words(), share, at_once=progress.held)

            folder = load_download()(name, show)
        print(shown(f"{name} is on this machine: {folder}"))
    print(shown(f"Open {names[-1]} with: {program()} --model {names[-1]}"))
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from desktop_app.core.library.folders import remember_folder

    if not arguments.folder.is_dir():
        raise ModelError(f"{arguments.folder} is not a folder; give the one that holds config.json and the weights.")
    remember_folder(arguments.folder)
    print(shown(f"{arguments.folder.absolute()} is in the list of models."))
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from desktop_app.core.library.remove import remove_model

    print(shown(remove_model(arguments.name)))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from desktop_app.core.library.find import find_model
    from desktop_app.gpt2.diagnosis import diagnose

    diagnosis = diagnose(find_model(arguments.model))
    for line in diagnosis.lines(everything=arguments.all):
        print(shown(line))
    return 1 if diagnosis.faults else 0
