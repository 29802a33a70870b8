"""`logitscope ablate`: ablate heads, MLPs or neurons one at a time, and measure the difference of two logits."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output, tell
from desktop_app.cli.shared import prompt_text

if TYPE_CHECKING:
    from desktop_app.core.analysis.what_if import Ablation

_SHOWN = 20


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    text = prompt_text(arguments)

    from desktop_app.core.analysis.what_if import ablate
    from desktop_app.core.edits.reference import reference_texts

    opened = open_model(arguments, text)
    target, against = opened.token(arguments, "target"), opened.token(arguments, "against")
    assert target is not None and against is not None  # argparse requires them
    tokenizer = opened.tokenizer
    reference = [] if tokenizer is None else reference_texts(tokenizer)
    with tell("muted") as progress:
        found = ablate(
            opened.engine,
            opened.trace,
            target=target,
            against=against,
            what=arguments.what,
            how=arguments.how,
            reference=reference,
            progress=progress,
        )
    if arguments.out is None:
        _print(opened, found, target, against)
    about = {"command": "ablate", "target": target, "against": against, "what": found.what, "how": found.how}
    return finish(arguments, opened, found.arrays(), about, found.closings())


def _print(opened: Opened, found: "Ablation", target: int, against: int) -> None:
    flat = found.logit_difference.reshape(-1)
    heads = opened.engine.config.n_head
    kind = "MLP of block" if found.what == "mlps" else "neuron"
    order = sorted(range(len(flat)), key=lambda n: -abs(flat[n] - found.base))
    names = [f"L{n // heads}H{n % heads}" if found.what == "heads" else f"{kind} {n}" for n in range(len(flat))]
    rows = [["muted", "logit difference", "change"]]
    rows += [[names[n], f"{flat[n]:.4f}", f"{flat[n] - found.base:+.4f}"] for n in order[:_SHOWN]]
    put = "0" if found.how == "zero" else "the mean over the example texts"
    print(
        f"The logit of {opened.quoted(target)} minus that of {opened.quoted(against)}, "
        f"{opened.where(len(opened.ids) - 1)}, is {found.base:.4f}.\n"
        f"One at a time, each is replaced by {put} at every position; biases stay."
    )
    print_table(rows)
    if len(order) > _SHOWN:
        print(f"The other {len(order) - _SHOWN:,} change it less; --out writes them all.")
