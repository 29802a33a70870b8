"""`logitscope directions`: sums of token embeddings, such as a - b + c, and the tokens nearest to them."""

import argparse
import json
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import Opened, finish, open_model, print_table, refuse_output
from desktop_app.cli.shared import checked_text
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.analysis.directions import Nearest


def run(arguments: argparse.Namespace) -> int:
    refuse_output(arguments)
    text = checked_text(arguments.sum, "SUM")

    from desktop_app.core.analysis.directions import arithmetic
    from desktop_app.core.analysis.expression import parse_sum

    opened = open_model(arguments, None, prompt=False)
    if opened.tokenizer is None:
        raise LogitscopeError(f"{opened.engine.checkpoint.folder} has no tokenizer that could read the words.")
    for name, value, most in (
        ("--top", arguments.top, opened.engine.config.vocab_size),
        ("--without-top", arguments.without_top, opened.engine.config.n_embd - 1),
    ):
        least = int(name == "--top")
        if not least <= value <= most:
            raise LogitscopeError(f"{name} is {value}; it must be a whole number from {least} to {most:,}.")
    asked = parse_sum(text, opened.tokenizer)
    found = arithmetic(
        opened.engine.checkpoint,
        asked.terms,
        answer=asked.answer,
        without=arguments.without_top,
        top=arguments.top,
    )
    if arguments.json:
        print(json.dumps(_as_data(opened, found, asked.answer), ensure_ascii=False))
    elif arguments.out is None:
        _print(opened, found, asked.answer)
    about = {"command": "directions", "sum": text, "without_top": arguments.without_top}
    return finish(arguments, opened, found.arrays(), about, ())


def _as_data(opened: Opened, found: "Nearest", answer: int | None) -> dict[str, object]:
    assert opened.tokenizer is not None
    results = [
        {"token": opened.tokenizer.decode([int(token)]), "id": int(token), "cosine": float(cosine)}
        for token, cosine in zip(found.ids, found.cosines, strict=True)
    ]
    data: dict[str, object] = {"results": results}
    if answer is not None:
        data["answer"] = {"token": opened.tokenizer.decode([answer]), "id": answer, "rank": found.rank}
    return data


def _print(opened: Opened, found: "Nearest", answer: int | None) -> None:
    rows = [["token", "cosine", "id"]]
    for token, cosine in zip(found.ids, found.cosines, strict=True):
        rows.append([opened.quoted(int(token)), f"{cosine:.4f}", str(token)])
    print_table(rows)
    if found.left_out:
        print(f"Left out: {', '.join(map(opened.quoted, found.left_out))}.")
    if answer is not None:
        print(f"{opened.quoted(answer)} has rank {found.rank:,}.")
