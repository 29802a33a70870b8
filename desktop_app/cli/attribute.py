"""`logitscope attribute`: what each part of the residual stream adds to a logit, or to the difference of two."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output
from desktop_app.cli.shared import prompt_text

if TYPE_CHECKING:
    from desktop_app.core.analysis.attribution import Attribution

_SHOWN = 20


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    text = prompt_text(arguments)

    from desktop_app.core.analysis.attribution import compute

    opened = open_model(arguments, text)
    target, against = opened.token(arguments, "target"), opened.token(arguments, "against")
    assert target is not None  # argparse requires it
    found = compute(
        opened.engine.checkpoint,
        opened.trace,
        target=target,
        against=against,
        baseline=arguments.baseline,
        position=arguments.position,
    )
    if arguments.out is None:
        _print(opened, found)
    about = {
        "command": "attribute",
        "target": target,
        "against": against,
        "baseline": found.baseline,
        "position": found.position,
    }
    return finish(arguments, opened, found.arrays(), about, found.closings())


def _print(opened: Opened, found: "Attribution") -> None:
    target = opened.quoted(found.target)
    against = {"mean": ", minus the mean of all logits", "none": ""}.get(found.baseline, "")
    if found.against is not None:
        against = f", minus that of {opened.quoted(found.against)}"
    order = sorted(range(len(found.parts)), key=lambda n: -abs(found.contribution[n]))
    rest = order[_SHOWN:]
    rows = [[found.parts[n].name, f"{found.contribution[n]:+.4f}"] for n in order[:_SHOWN]]
    if rest:
        rows.append([f"the other {len(rest)} parts", f"{found.contribution[rest].sum():+.4f}"])
    rows += [
        ["constant, from ln_final.b", f"{found.constant:+.4f}"],
        ["sum", f"{found.total:+.4f}"],
        ["the model's own number", f"{found.own:+.4f}"],
    ]
    print(f"The logit of {target}{against}, {opened.where(found.position)}.")
    print_table(rows)
    print("A contribution is what a part adds to this number, not what it causes: a later part may erase it.")
