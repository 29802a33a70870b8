"""`logitscope circuits`: composition scores of pairs of heads and copying scores of heads, from the weights alone."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import finish, open_model, print_table, refuse_output, tell

if TYPE_CHECKING:
    from desktop_app.core.analysis.circuits import Circuits

_SHOWN = 12
_WHAT = {"q": "query", "k": "key", "v": "value"}


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)

    from desktop_app.core.analysis.circuits import compute

    opened = open_model(arguments, None, prompt=False)
    with tell("composing heads") as progress:
        found = compute(opened.engine.checkpoint, progress=progress)
    if arguments.out is None:
        _print(found)
    return finish(arguments, opened, found.arrays(), {"command": "circuits"}, ())


def _print(found: "Circuits") -> None:
    from desktop_app.core.analysis.circuits import strongest

    print(f"Composition scores; random matrices of this shape have {found.random:.4f} ± {found.random_spread:.4f}:")
    rows = [["read as", "from", "in", "composition", "above random"]]
    for kind, earlier, later, value in strongest(found, _SHOWN):
        name = "L{}H{}".format
        rows.append(
            [f"its {_WHAT[kind]}", name(*earlier), name(*later), f"{value:.4f}", f"{value - found.random:+.4f}"]
        )
    print_table(rows, left=3)
    layers, heads = found.copying.shape
    print("Copying scores: 1 if every token that is read is made likelier (from W_E; through block 0's MLP):")
    table = [["head", "of W_E", "through the MLP"]]
    for layer in range(layers):
        for head in range(heads):
            both = (found.copying[layer, head], found.copying_through_mlp[layer, head])
            table.append([f"L{layer}H{head}", *(f"{value:+.3f}" for value in both)])
    print_table(table)
