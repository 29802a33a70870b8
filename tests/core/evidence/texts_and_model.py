"""A small model, texts for it, and what plain numpy computes for all windows of the texts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from desktop_app.core.evidence.findings import findings
from desktop_app.core.evidence.runner import Here
from desktop_app.core.evidence.saved import NAME, write_evidence
from desktop_app.core.evidence.scan import Request, count, finish, prepare
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import TINY, random_weights, write_checkpoint
from tests.reference import forward

CONFIG = TINY | {"vocab_size": 300, "n_embd": 12}
LENGTH = 16
WORDS = "the cat sat on a mat and saw the dog that bit the cat on the mat near a tree where birds sing all day ".split()  # noqa: SIM905 - words read best as a text


def write_texts(folder, count=12, seed=0):
    """Write `count` plain texts of repeated words; none is a multiple of a window long."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        words = rng.choice(WORDS, 30 + 7 * n)
        (folder / f"{n:02}.txt").write_text(" ".join(words) + "\n")
    return folder


def write_model(folder, seed=0):
    """Write a checkpoint with a token that begins texts (256)."""
    return write_checkpoint(folder, CONFIG, random_weights(CONFIG, seed))


def opened(folder):
    """A checkpoint and its tokenizer."""
    checkpoint = load_checkpoint(folder)
    return checkpoint, Tokenizer.load(folder, vocab_size=checkpoint.config.vocab_size)


def scan(model, texts, out, runner, **asked):
    """Run a whole scan; returns its findings."""
    checkpoint, tokenizer = opened(model)
    made = prepare(Request((str(texts),), out, LENGTH, **asked), checkpoint, tokenizer)
    assert made is not None
    count(made, runner)
    return finish(made)


def interrupted(request, checkpoint, tokenizer):
    """The folder of a scan that ended with everything counted, before its tables were written."""
    count(prepare(request, checkpoint, tokenizer), Here())
    return request.folder


def add_evidence(model, texts, length=LENGTH):
    """Put evidence of texts beside a model's weights, as the bundled model has it; this needs no Parquet."""
    checkpoint, tokenizer = opened(model)
    with TemporaryDirectory() as out:
        made = prepare(Request((str(texts),), Path(out, "out"), length), checkpoint, tokenizer)
        count(made, Here())
        about = {"model": checkpoint.name, "digest": checkpoint.digest, "length": length, "files": ["a book"] * 99}
        write_evidence(model / NAME, findings(made.tally), made.windows, about)
    return model


def plain_windows(texts):
    """The ids of every window, cut without the program: 256, then byte symbols as numbered by the tokenizer's file."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*visible, *(b for b in range(256) if b not in visible)]
    order.insert(0, order.pop(order.index(32)))
    found = []
    for path in sorted(texts.iterdir()):
        ids = [order.index(byte) for byte in path.read_bytes()]
        found += [[256, *ids[at : at + LENGTH - 1]] for at in range(0, len(ids), LENGTH - 1)]
    return [window for window in found if len(window) >= 3]


def plain_passes(model_seed, windows):
    """Every tensor of every window, in float64."""
    weights = random_weights(CONFIG, model_seed)
    return [forward(weights, CONFIG, ids) for ids in windows]
