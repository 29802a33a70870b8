"""`logitscope generate`: continue a text."""

import argparse
import sys

from desktop_app.cli.shared import (
    asked,
    choose_provider,
    model_folder,
    open_for,
    prompt_ids,
    prompt_text,
    sampling_of,
    say,
    shown,
)
from desktop_app.gpt2.errors import LogitscopeError


def run(arguments: argparse.Namespace) -> int:
    if arguments.n < 1:
        raise LogitscopeError(f"-n is {arguments.n}; it must be at least 1.")
    text = prompt_text(arguments)

    from codecs import getincrementaldecoder

    from desktop_app.core.generate import Drawn, End, generate
    from desktop_app.core.runs import changes
    from desktop_app.gpt2.run import Run

    sampling = sampling_of(arguments)
    choose_provider(arguments)
    model = open_for(model_folder(arguments), int8=arguments.int8, text=text is not None)
    ids = prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    edits, mask = changes(model.engine, model.tokenizer, asked(arguments, model.tokenizer, ids))
    made = Run(model.checkpoint.key, ids, edits, mask).changes
    # A character may be spread over several tokens; it is printed once its last byte has arrived.
    decoder = getincrementaldecoder("utf-8")(errors="replace")

    def write(token: int | None) -> None:
        data = b"" if token is None else model.tokenizer.token_bytes(token) or "\ufffd".encode()
        piece = decoder.decode(data, final=token is None)
        print(shown(piece) if sys.stdout.isatty() else piece, end="", flush=True)

    for token in ids:
        write(token)
    count, last = 0, ids[-1]
    for event in generate(model.engine, ids, sampling, arguments.n, ends=model.ends, edits=edits, mask=mask):
        if isinstance(event, Drawn):
            count, last = count + 1, event.token
            if event.token not in model.ends:
                write(event.token)
            continue
        write(None)
        print(flush=True)
        if made:
            say(f"The passes were edited: {', '.join(made)}.")
        if model.config.int8 and not made:
            from desktop_app.core.comparing.exactness import effect_of_rounding, words_of

            logits = model.engine.trace(ids).logits(-1)
            say(words_of(effect_of_rounding(model, ids, len(ids) - 1, logits), model.tokenizer))
        if event.reason is End.END_OF_TEXT:
            say(f"The model ended the text with {model.tokenizer.label(last)}, its token {count} of {arguments.n}.")
        elif event.reason is End.CONTEXT:
            say(f"The context of {model.config.n_positions:,} tokens is full after {count} of {arguments.n} tokens.")
    return 0
