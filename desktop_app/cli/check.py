"""`logitscope check`: recompute every tensor from its inputs, and check the results of the analyses."""

import argparse
import os
import sys
from collections.abc import Sequence

from desktop_app.cli.shared import (
    asked_pass,
    open_checkpoint,
    prompt_text,
    shown,
)


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    if arguments.json is not None:
        refuse_existing(arguments.json, force=arguments.force)
    text = prompt_text(arguments)

    from desktop_app.core.analysis.checks import check_analyses
    from desktop_app.core.analysis.closing import TOLERANCE as CLOSES
    from desktop_app.core.check import TOLERANCE, as_json, check_pass
    from desktop_app.gpt2.edit import sites_of
    from desktop_app.gpt2.files import whole_file
    from desktop_app.gpt2.tensors import tensor_table

    checkpoint = open_checkpoint(arguments)
    config = checkpoint.config
    engine, run = asked_pass(arguments, checkpoint, text)
    ids, edits, mask = run.ids, run.edits, run.mask
    made = run.changes
    table = tensor_table(config, sites_of(edits), mask)
    print(
        f"Every tensor recomputed from its direct inputs in float64; tolerance {TOLERANCE:g} of the sum of absolute "
        f"terms.{_edited_words(made)}\n{'tensor':{_NAME}}  {'worst':>8}  {'of sum':>8}  cell"
    )
    findings = []
    for finding in check_pass(engine, ids, edits=edits, mask=mask):
        axes = table[finding.name].axes
        cell = ", ".join(f"{axis} {i}" for axis, i in zip(axes, finding.index, strict=True) if axis != "one")
        line = f"{finding.name:{_NAME}}  {finding.absolute:8.2g}  {finding.relative:8.2g}  "
        if finding.good:
            line += cell if finding.absolute else "exact"
        else:
            line += f"{cell}: WRONG, is {finding.traced:.9g}, should be {finding.recomputed:.9g}"
        print(line if finding.good else _red(line), flush=True)
        findings.append(finding)
    wrong = [finding.name for finding in findings if not finding.good]
    verdicts = [_verdict(f"{len(findings)} tensors of {len(ids)} tokens", wrong, "all agree with their formulas")]
    print(f"\nResults of the analyses, compared with the model's numbers; tolerance {CLOSES:g} of the largest term.")
    closings = []
    for closing in check_analyses(engine, ids, edits=edits, mask=mask):
        line = f"{closing.difference:8.2g}  {closing.name}"
        if not closing.good:
            line = _red(f"{line}: WRONG, is {closing.found:.9g}, should be {closing.own:.9g}")
        print(line, flush=True)
        closings.append(closing)
    if arguments.json is not None:
        with whole_file(arguments.json) as file:
            file.write(as_json(findings, table, checkpoint.name, ids, closings, made).encode())
    amiss = [closing.name for closing in closings if not closing.good]
    verdicts.append(_verdict(f"{len(closings)} results of the analyses", amiss, "all are correct"))
    print("\n".join(["", *verdicts]))
    return 1 if wrong or amiss else 0


def _edited_words(made: Sequence[str]) -> str:
    return f"\nThe pass is edited: {shown(', '.join(made))}." if made else ""


def _verdict(what: str, wrong: Sequence[str], right: str) -> str:
    if not wrong:
        return f"{what}: {right}, up to rounding."
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return _red(f"{what}: {len(wrong)} wrong: {', '.join(wrong[:3])}{more}")


_NAME = 26  # wide enough for blocks.11.attn.pattern


def _red(line: str) -> str:
    """`line` in red on a terminal where colour is allowed (https://no-color.org)."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if plain else f"\x1b[31m{line}\x1b[0m"
