"""`logitscope patch`: patch cells of one prompt's pass into another's, one at a time, and measure the effects."""

import argparse
from math import isnan
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output, tell
from desktop_app.cli.shared import checked_text
from desktop_app.core.comparing.alignment import TOKENS, aligned

if TYPE_CHECKING:
    from desktop_app.core.analysis.what_if import Patch


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    texts = [checked_text(getattr(arguments, name), f"--{name}") for name in ("clean", "corrupt")]

    from desktop_app.core.analysis.what_if import patch

    opened = open_model(arguments, texts[0])
    other = opened.of(arguments, texts[1])
    target, against = opened.token(arguments, "target"), opened.token(arguments, "against")
    assert target is not None and against is not None  # argparse requires them
    # The common prefix of the prompts is not computed again, so that its numbers are identical in both passes.
    corrupt = opened.engine.trace(other.ids, edits=other.edits, mask=other.mask, reuse=opened.trace)
    with tell("patched") as progress:
        found = patch(
            opened.engine,
            opened.trace,
            corrupt,
            target=target,
            against=against,
            what=arguments.what,
            direction=arguments.direction,
            alignment=arguments.align or TOKENS,
            progress=progress,
        )
    if arguments.out is None:
        _print(opened, other, found, (target, against), arguments.align or TOKENS)
    about = {"command": "patch", "corrupt": texts[1], "target": target, "against": against}
    about |= {"what": found.what, "direction": found.direction, "refused": found.refused or None}
    return finish(arguments, opened, found.arrays(), about, ())


def _written(value: float) -> str:
    """A number of the table as text; empty where a token has no counterpart."""
    return "" if isnan(value) else f"{value:.2f}"


def _print(opened: Opened, other: Opened, found: "Patch", tokens_: tuple[int, int], align: str) -> None:
    target, against = tokens_
    print(
        f"The logit of {opened.quoted(target)} minus that of {opened.quoted(against)}: {found.clean:.4f} in the clean "
        f"prompt, {found.corrupt:.4f} in the corrupt one."
    )
    numbers = found.logit_difference if found.refused else found.effect
    said = "effect: 0 as in the prompt that is patched, 1 as in the other prompt"
    said = "logit difference" if found.refused else said
    if found.refused:
        print(found.refused)
    print(f"{found.what} of {'clean into corrupt' if found.direction == 'denoise' else 'corrupt into clean'}, {said}.")
    layers = [f"block {n}" for n in range(len(numbers))]
    if found.what == "heads":
        rows = [["", *(f"head {n}" for n in range(numbers.shape[1]))]]
        rows += [[name, *map(_written, row)] for name, row in zip(layers, numbers, strict=True)]
    else:
        rows = [["position", *layers]]
        base, source = (other.ids, opened.ids) if found.direction == "denoise" else (opened.ids, other.ids)
        tokens = []
        for own, place in zip(base, aligned(base, source, align), strict=True):
            one, two = opened.quoted(own), "none" if place is None else opened.quoted(source[place])
            tokens.append(one if one == two else f"{one} / {two}")
        rows += [
            [f"{n} {token}", *map(_written, column)]
            for n, (token, column) in enumerate(zip(tokens, numbers.T, strict=True))
        ]
    print_table(rows)
