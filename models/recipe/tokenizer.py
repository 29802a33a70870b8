"""Train the byte-level BPE of the bundled model and write it as vocab.json and merges.txt.

python tokenizer.py CORPUS_FOLDER OUTPUT_FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from corpus import book_text, passage_texts, training_books
from passages import answer_words, first_words
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
VOCAB_SIZE = 6144
PASSAGES = 40_000
WHOLE_WORD_COUNT = 1_500


def train(folder: Path, size: int = VOCAB_SIZE, *, plain: bool = False) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return vocabulary and merges learned from books and generated passages, or with `plain` from the books only.

    The key words of the passages are repeated so often that each becomes one token. All 256 bytes are in the
    vocabulary, so any text can be encoded; the end-of-text token has the last id.
    """

    def texts() -> Iterator[str]:
        yield from (book_text(path) for path in training_books(folder))
        if plain:
            return
        yield from passage_texts(PASSAGES, seed=0)
        yield from (f" {word}" * WHOLE_WORD_COUNT for word in answer_words())
        yield from (f"\n{word}" * WHOLE_WORD_COUNT for word in first_words())

    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = dict(sorted(model["vocab"].items(), key=lambda pair: pair[1]))
    vocab[END_OF_TEXT] = len(vocab)
    return vocab, [tuple(merge) for merge in model["merges"]]


def save(folder: Path, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Write the two files of a Hugging Face GPT-2 tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(folder: Path) -> Tokenizer:
    """Build the tokenizer from a folder's vocab.json and merges.txt."""
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    return _byte_level(models.BPE(vocab=vocab, merges=merges))


def end_of_text(folder: Path) -> int:
    """Return the id of the end-of-text token in a folder's vocab.json."""
    return int(json.loads((folder / "vocab.json").read_text(encoding="utf-8"))[END_OF_TEXT])


def _byte_level(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description="Train the byte-level BPE on a folder of books.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=VOCAB_SIZE, help="number of tokens")
    args = parser.parse_args()
    save(args.output, *train(args.corpus, args.size))


if __name__ == "__main__":
    main()
