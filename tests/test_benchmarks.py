"""What the benchmarks measure with exists: a model for growing scans can spell the texts that it is given."""

from benchmarks import evidence
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.tokenizer import Tokenizer


def test_the_model_of_growing_scans_has_a_row_for_every_token_of_its_texts(tmp_path):
    folder = tmp_path / "growth"
    evidence.write_growth(folder)
    checkpoint = load_checkpoint(folder)
    tokenizer = Tokenizer.load(folder, vocab_size=checkpoint.config.vocab_size)
    ids = tokenizer.encode((evidence.ROOT / "README.md").read_text("utf-8")).ids
    assert max(ids) < checkpoint.config.vocab_size
