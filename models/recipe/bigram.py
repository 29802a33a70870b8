"""A bigram model over the same tokenizer: the baseline that the bundled model has to beat.

    python bigram.py CORPUS TOKENIZER_FOLDER HELD_OUT_BOOK

Counts come from the training books; the mass removed by absolute discounting goes to the unigram frequencies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import corpus
import numpy as np
import tokenizer as bpe

DISCOUNT = 0.75


def bits(training: np.ndarray, ids: np.ndarray, vocab: int) -> float:
    """Return the bits that a bigram model fitted to `training` ids needs for `ids[1:]`, each given its predecessor."""
    pairs = np.bincount(training[:-1].astype(np.int64) * vocab + training[1:], minlength=vocab**2)
    pairs = pairs.reshape(vocab, vocab)
    singles = np.bincount(training, minlength=vocab) + 1.0
    totals, kinds = pairs.sum(1), (pairs > 0).sum(1)
    a, b = ids[:-1].astype(np.int64), ids[1:].astype(np.int64)
    seen = np.maximum(pairs[a, b] - DISCOUNT, 0) / np.maximum(totals[a], 1)
    handed_down = np.where(totals[a] > 0, DISCOUNT * kinds[a] / np.maximum(totals[a], 1), 1.0)
    return float(-np.log2(seen + handed_down * singles[b] / singles.sum()).sum())


def bits_per_byte(folder: Path, tokenizer_folder: Path, book: Path) -> float:
    """Fit the bigram model to the books of a folder and return its bits per byte on a held-out book."""
    tokenizer, end = bpe.load(tokenizer_folder), bpe.end_of_text(tokenizer_folder)
    text = corpus.book_text(book)
    ids = np.array([end, *tokenizer.encode(text).ids])
    return bits(corpus.book_ids(tokenizer, folder, end), ids, end + 1) / len(text.encode())


def main() -> None:
    """Print the bits per byte."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("book", type=Path)
    args = parser.parse_args()
    print(f"{bits_per_byte(args.corpus, args.tokenizer, args.book):.4f} bits per byte")


if __name__ == "__main__":
    main()
