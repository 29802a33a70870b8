"""`logitscope patch`: put cells of one prompt's pass into another's in turn, and see what brings the answer along."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output, tell
from desktop_app.cli.shared import checked_text

if TYPE_CHECKING:
    from desktop_app.core.analysis.what_if import Patch


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    texts = [checked_text(getattr(arguments, name), f"--{name}") for name in ("clean", "corrupt")]

    from desktop_app.core.analysis.what_if import patch

    opened = open_model(arguments, texts[0])
    other = opened.of(arguments, texts[1])
    target, against = opened.token(arguments, "target"), opened.token(arguments, "against")
    assert target is not None and against is not None  # argparse asks for them
    # What both prompts begin with is taken over, and so the same to the bit.
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
            progress=progress,
        )
    if arguments.out is None:
        _print(opened, other, found, target, against)
    about = {"command": "patch", "corrupt": texts[1], "target": target, "against": against}
    about |= {"what": found.what, "direction": found.direction, "refused": found.refused or None}
    return finish(arguments, opened, found.arrays(), about, ())


def _print(opened: Opened, other: Opened, found: "Patch", target: int, against: int) -> None:
    print(
        f"The logit of {opened.quoted(target)} less that of {opened.quoted(against)}: {found.clean:.4f} in the clean "
        f"prompt, {found.corrupt:.4f} in the corrupt one."
    )
    numbers = found.logit_difference if found.refused else found.effect
    said = "logit difference" if found.refused else "effect: 0 as the prompt that is patched, 1 as the other"
    if found.refused:
        print(found.refused)
    print(f"{found.what} of {'clean into corrupt' if found.direction == 'denoise' else 'corrupt into clean'}, {said}.")
    layers = [f"block {n}" for n in range(len(numbers))]
    if found.what == "heads":
        rows = [["", *(f"head {n}" for n in range(numbers.shape[1]))]]
        rows += [[name, *(f"{value:.2f}" for value in row)] for name, row in zip(layers, numbers, strict=True)]
    else:
        rows = [["position", *layers]]
        pairs = [tuple(map(opened.quoted, pair)) for pair in zip(opened.ids, other.ids, strict=True)]
        tokens = [one if one == two else f"{one} / {two}" for one, two in pairs]
        rows += [
            [f"{n} {token}", *(f"{value:.2f}" for value in column)]
            for n, (token, column) in enumerate(zip(tokens, numbers.T, strict=True))
        ]
    print_table(rows)
