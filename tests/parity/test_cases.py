"""Folders that users reported, in the reference data next to the repository: each opens with the right numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.core.session.state import State, encode

torch = pytest.importorskip("torch", reason="the live comparison needs torch")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.shared]
CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
TEXTS = ("Hello the world", "<s>Hello the world</s>", "<pad>a<mask>", "a <|endoftext|> b", " é\n\tHello")


@pytest.fixture(scope="module")
def cases():
    if not CASES.is_dir():
        pytest.skip(f"needs the reference data in {CASES}, which is not part of the repository")
    return {path.name: path for path in CASES.iterdir() if (path / "config.json").is_file()}


def test_every_folder_opens_with_the_ids_and_logits_that_are_its_own(cases):
    """In character vocabularies the ids are indices in the sorted set; in others, those of transformers."""
    assert cases
    for name, folder in sorted(cases.items()):
        model = open_model(folder)
        if (folder / "truth.json").exists():
            truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
            assert list(encode(State(truth["prompt"]), model.tokenizer)) == truth["ids"], name
            assert len(truth["chars"]) == model.config.vocab_size == model.tokenizer.size, name
            continue
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for text in TEXTS:
            ids = encode(State(text), model.tokenizer)
            assert list(ids) == tokenizer(text)["input_ids"], (name, text)
            with torch.no_grad():
                logits = reference(torch.tensor([ids])).logits[0].numpy()
            assert np.abs(model.engine.trace(ids)["logits"] - logits).max() < 1e-4, (name, text)
        ends = reference.generation_config.eos_token_id
        if ends is not None:
            assert model.ends == set(ends if isinstance(ends, list) else [ends]), name
