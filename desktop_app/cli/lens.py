"""`logitscope lens`: what each point of the residual stream would predict."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output
from desktop_app.cli.shared import prompt_text

if TYPE_CHECKING:
    from desktop_app.core.analysis.lens import Lens


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    text = prompt_text(arguments)

    from desktop_app.core.analysis.lens import compute
    from desktop_app.core.analysis.translators import load_translators

    opened = open_model(arguments, text)
    target = opened.token(arguments, "target")
    translators = None
    if arguments.translators is not None:
        translators = load_translators(arguments.translators, opened.engine.config)
    row = opened.trace.position(arguments.position)
    lens = compute(
        opened.engine.checkpoint,
        opened.trace,
        what=arguments.of,
        targets=() if target is None else (target,),
        translators=translators,
    )
    if arguments.out is None:
        _print(opened, lens, row, target)
    about = {"command": "lens", "of": arguments.of, "target": target, "translators": arguments.translators}
    return finish(arguments, opened, lens.arrays(), about, lens.closings())


def _print(opened: Opened, lens: "Lens", row: int, target: int | None) -> None:
    followed = [] if target is None else [f"{opened.quoted(target)}: logit", "probability", "rank"]
    table = [["point", "top token", "probability", "entropy", "KL", *followed]]
    for n, point in enumerate(lens.points):
        name = f"{point} (translated)" if lens.translated[n] else point
        numbers = [f"{lens.top_probability[n, row]:.4f}", f"{lens.entropy[n, row]:.3f}", f"{lens.kl[n, row]:.3f}"]
        if target is not None:
            numbers += [
                f"{lens.target_logit[0, n, row]:.3f}",
                f"{lens.target_probability[0, n, row]:.4f}",
                f"{lens.target_rank[0, n, row] + 1}",
            ]
        table.append([name, opened.quoted(int(lens.top_id[n, row])), *numbers])
    print(f"What each point would predict {opened.where(row)}; entropy and KL(model || lens) in nats.")
    print_table(table, left=2)
    if lens.translated.any():
        print("Only the inputs of blocks have translators; points after attention are read without one.")
    if lens.own_logits is None:
        print("The output of one sublayer is not a prediction of the model: it is read as if it were the whole stream.")
