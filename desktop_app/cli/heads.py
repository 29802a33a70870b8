"""`logitscope heads`: where each head attends on repeated random tokens, and its labels."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output
from desktop_app.cli.shared import say
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.analysis.heads import Heads


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    if arguments.seed < 0:
        raise LogitscopeError(f"--seed is {arguments.seed}; it must be a whole number from 0.")

    from desktop_app.core.analysis.heads import compute

    opened = open_model(arguments, None, prompt=False)
    begin = None if opened.tokenizer is None else next(iter(opened.tokenizer.first), None)
    if begin is None:
        say(f"The vocabulary has no token that begins a text; texts begin with the first id, {opened.quoted(0)}.")
    heads = compute(
        opened.engine, begin=begin, seed=arguments.seed, edits=arguments.edit, mask=arguments.mask or "causal"
    )
    if arguments.out is None:
        if arguments.edit:
            print(f"Every pass is edited: {', '.join(arguments.edit)}.")
        _print(opened, heads)
    about = {"command": "heads", "seed": arguments.seed, "begin": heads.begin, "repeated": heads.repeated}
    return finish(arguments, opened, heads.arrays(), about, ())


def _print(opened: Opened, heads: "Heads") -> None:
    from desktop_app.core.analysis.labels import labels_of
    from desktop_app.core.analysis.measures import MEASURES, PATTERNS

    layers, count = heads.scores["first"].shape
    rows = [["head", "label", *MEASURES]]
    for layer in range(layers):
        for head in range(count):
            words = ", ".join(
                label.words
                if label.score == "first"
                else f"{label.words} ({label.without_first:.2f} beyond the first token)"
                for label in labels_of(heads, layer, head)
            )
            numbers = (f"{heads.scores[name][layer, head]:.3f}" for name in MEASURES)
            rows.append([f"L{layer}H{head}", words or "-", *numbers])
    print(
        f"Means over {len(heads.tokens)} texts of {opened.quoted(heads.begin)}, {heads.repeated} random tokens, and "
        "the same tokens again."
    )
    print_table(rows, left=2)
    chance = ", ".join(f"{name} {heads.uniform[name]:.3f}" for name in PATTERNS)
    print(f"Uniform attention would give: {chance}.")
