#!/usr/bin/env python3
"""Make the evidence file of the bundled model, from its training books and the held-out one.

    ./run scan --help                       # once: installs Dask
    .venv/bin/python packaging/evidence.py FOLDER
    .venv/bin/python packaging/sums.py

FOLDER holds the books as described in models/recipe/README.md: pgN.txt, and a README.md whose table lists each number
N. About CHARACTERS characters of each book are read, in whole lines, starting at a third of its length. The result is
written next to the model's weights and contains their digest: make it again whenever the weights change.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CHARACTERS = 20_000
LIMIT = 12_000_000  # bytes


def titles(folder):
    """Book number -> title, from the table in README.md."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    return {number: re.sub(r" s\b", "'s", title) for number, title in rows}


def stretch(text, characters):
    """A part of a text that starts at a third of its length: whole lines, about `characters` characters."""
    start = text.find("\n", len(text) // 3) + 1
    end = text.find("\n", min(len(text), start + characters)) + 1
    return text[start:end] if end else text[start:]


def main():
    """Scan a part of every book with the bundled model, and write the evidence file into its folder."""
    from desktop_app.core.evidence.cluster import Cluster
    from desktop_app.core.evidence.saved import NAME
    from desktop_app.core.evidence.scan import Request, count, finish, prepare
    from desktop_app.core.program.bundle import default_model
    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.tokenizer import Tokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--characters", type=int, default=CHARACTERS)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    model = default_model()
    checkpoint = load_checkpoint(model)
    with tempfile.TemporaryDirectory() as made:
        texts, out = Path(made, "texts"), Path(made, "out")
        texts.mkdir()
        for number, title in titles(given.folder).items():
            book = given.folder / f"pg{number}.txt"
            if book.is_file():
                part = stretch(book.read_text("utf-8"), given.characters)
                (texts / f"{title}.txt").write_text(part, encoding="utf-8")
        scan = prepare(
            Request((str(texts),), out, lens=True),
            checkpoint,
            Tokenizer.load(model, vocab_size=checkpoint.config.vocab_size),
        )
        with Cluster(workers=given.workers) as cluster:
            count(scan, cluster, lambda done, total: print(f"\r{done / total:.0%}", end="", flush=True))
        finish(scan)
        data = (out / NAME).read_bytes()
    if len(data) > LIMIT:
        raise SystemExit(f"{len(data):,} bytes are more than {LIMIT:,}: give fewer --characters.")
    (model / NAME).write_bytes(data)
    print(f"\n{model / NAME}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
