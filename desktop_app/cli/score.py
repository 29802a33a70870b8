"""`logitscope score`: one attention score as a sum over query parts and key parts."""

import argparse
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output
from desktop_app.cli.shared import prompt_text
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.analysis.score import Score

_SHOWN = 12


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    text = prompt_text(arguments)

    from desktop_app.core.analysis.score import compute
    from desktop_app.figures.subject import find_cell

    opened = open_model(arguments, text)
    cell = find_cell(arguments.cell, opened.engine.config).cell
    tensor = None if cell is None else opened.engine.table.get(cell.name)
    if cell is None or tensor is None or tensor.layer is None or not tensor.name.endswith("attn.scaled"):
        raise LogitscopeError(
            f"--cell {arguments.cell[:60]!r} is not a score; give one of attn.scaled, "
            "like 'blocks.0.attn.scaled[0,1,0]'."
        )
    if len(cell.index) != 3:
        raise LogitscopeError(
            f"--cell {arguments.cell[:60]!r} needs head, query and key: 'blocks.0.attn.scaled[0,1,0]'."
        )
    head, query, key = cell.index
    found = compute(opened.engine.checkpoint, opened.trace, layer=tensor.layer, head=head, query=query, key=key)
    if arguments.out is None:
        _print(opened, found)
    return finish(arguments, opened, found.arrays(), {"command": "score", "cell": arguments.cell}, found.closings())


def _print(opened: Opened, found: "Score") -> None:
    query, key = (f"{opened.quoted(opened.ids[n])} (position {n})" for n in (found.query, found.key))
    print(
        f"Block {found.layer}, head {found.head}: how well the query of {query} matches the key of {key}.\n"
        f"The score is {found.score:.4f}, {found.relative_score:+.4f} against the mean of its row.\n"
        "Below, the mean of each term over the keys that the query may see is subtracted, since softmax ignores what "
        "is the same for a whole row."
    )
    width = len(found.key_parts)
    flat = found.relative.reshape(-1)
    order = sorted(range(len(flat)), key=lambda n: -abs(flat[n]))
    rows = [["query part", "key part", "term"]]
    for n in order[:_SHOWN]:
        row, column = divmod(n, width)
        rows.append([found.query_parts[row].name, found.key_parts[column].name, f"{flat[n]:+.4f}"])
    rest = order[_SHOWN:]
    if rest:
        rows.append([f"the other {len(rest):,}", "", f"{flat[rest].sum():+.4f}"])
    print_table([*rows, ["sum", "", f"{flat.sum():+.4f}"]], left=2)
    for title, parts, sums in (
        ("by query part", found.query_parts, found.by_query_part(relative=True)),
        ("by key part", found.key_parts, found.by_key_part(relative=True)),
    ):
        largest = sorted(range(len(parts)), key=lambda n: -abs(sums[n]))[:5]
        print(f"{title}: " + ", ".join(f"{parts[n].name} {sums[n]:+.4f}" for n in largest))
