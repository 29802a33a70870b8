"""Runs the conversions printed in docs/models.md, unchanged, on models written here in torch, and compares results."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.vocabulary import BYTE_ALPHABET
from tests.checkpoints import write_byte_tokenizer

torch = pytest.importorskip("torch", reason="the conversions need torch")
from torch import nn  # noqa: E402 - needs what is skipped for above

pytestmark = pytest.mark.filterwarnings("ignore")
DOC = Path(__file__).resolve().parents[2] / "docs" / "models.md"
LAYERS, HEADS, WIDTH, VOCAB, CONTEXT = 3, 3, 48, 3, 11  # the sizes that docs/models.md names
IDS = [0, 2, 1, 1, 0, 2]


def snippet(title):
    """The lines of docs/models.md below this comment."""
    (found,) = re.findall(rf"```python\n# {title}\n(.*?)```", DOC.read_text(), re.DOTALL)
    return found


class Block(nn.Module):
    """A pre-norm block over separate or joined projections; names are given by the caller."""

    def __init__(self, activation, joined, bias=True):
        super().__init__()
        self.activation, self.joined = activation, joined
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH, bias=bias), nn.LayerNorm(WIDTH, bias=bias)
        linear = {"c_attn": nn.Linear(WIDTH, 3 * WIDTH, bias=bias)} if joined else {
            name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")
        }  # fmt: skip
        self.attn = nn.ModuleDict({**linear, "c_proj": nn.Linear(WIDTH, WIDTH, bias=bias)})
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(WIDTH, 4 * WIDTH, bias=bias), "c_proj": nn.Linear(4 * WIDTH, WIDTH, bias=bias)}
        )

    def forward(self, x):
        y = self.ln_1(x)
        parts = (
            self.attn["c_attn"](y).split(WIDTH, -1)
            if self.joined
            else [self.attn[n](y) for n in ("query", "key", "value")]
        )
        q, k, v = (part.view(len(x), HEADS, -1).transpose(0, 1) for part in parts)
        scores = (q @ k.transpose(1, 2)) / (WIDTH // HEADS) ** 0.5
        mask = torch.triu(torch.ones(len(x), len(x), dtype=torch.bool), 1)
        z = scores.masked_fill(mask, float("-inf")).softmax(-1) @ v
        x = x + self.attn["c_proj"](z.transpose(0, 1).reshape(len(x), WIDTH))
        return x + self.mlp["c_proj"](self.activation(self.mlp["c_fc"](self.ln_2(x))))


class Gpt(nn.Module):
    def __init__(self, activation, *, joined=True, tied=False, bias=True):
        super().__init__()
        torch.manual_seed(0)
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(VOCAB, WIDTH),
                "wpe": nn.Embedding(CONTEXT, WIDTH),
                "h": nn.ModuleList([Block(activation, joined, bias) for _ in range(LAYERS)]),
                "ln_f": nn.LayerNorm(WIDTH, bias=bias),
            }
        )
        self.lm_head = nn.Linear(WIDTH, VOCAB, bias=False)
        if tied:
            self.transformer["wte"].weight = self.lm_head.weight

    def forward(self, ids):
        x = self.transformer["wte"](ids) + self.transformer["wpe"](torch.arange(len(ids)))
        for block in self.transformer["h"]:
            x = block(x)
        return self.lm_head(self.transformer["ln_f"](x))


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor(IDS)).numpy()


def opened(folder):
    write_byte_tokenizer(folder, VOCAB)
    return Engine(load_checkpoint(folder)).trace(IDS)["logits"]


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_nanogpt(tmp_path, monkeypatch, bias, prefix):
    monkeypatch.chdir(tmp_path)
    model = Gpt(nn.GELU(), tied=True, bias=bias)
    args = {
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_embd": WIDTH,
        "block_size": CONTEXT,
        "bias": bias,
        "vocab_size": VOCAB,
    }
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    torch.save(
        {"model": state, "model_args": args | {"dropout": 0.0}, "iter_num": 3, "config": {"dataset": "x"}}, "ckpt.pt"
    )
    exec(snippet("nanoGPT"), {})
    assert close(opened(tmp_path), logits(model))


@dataclass
class GPTConfig:
    """As in build-nanogpt, whose checkpoints contain one that was pickled by a script."""

    block_size: int = CONTEXT
    vocab_size: int = VOCAB
    n_layer: int = LAYERS
    n_head: int = HEADS
    n_embd: int = WIDTH


def test_build_nanogpt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = Gpt(nn.GELU("tanh"), tied=True)
    monkeypatch.setattr(GPTConfig, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "GPTConfig", GPTConfig, raising=False)
    ckpt = {"model": model.state_dict(), "config": GPTConfig(), "step": 19072, "val_loss": 3.0}
    torch.save(ckpt, "model_19072.pt")
    exec(snippet("build-nanogpt"), {"__name__": "__main__"})
    assert close(opened(tmp_path), logits(model))


def test_mingpt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = Gpt(nn.GELU("tanh"))
    state = model.state_dict()
    for n in range(LAYERS):
        state[f"transformer.h.{n}.attn.bias"] = torch.tril(torch.ones(1, 1, CONTEXT, CONTEXT))
    torch.save(state, "model.pt")
    exec(snippet("minGPT"), {})
    assert close(opened(tmp_path), logits(model))


def test_old_mingpt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = Gpt(nn.GELU(), joined=False)
    renamed = {"wte.": "tok_emb.", "ln_1": "ln1", "ln_2": "ln2", "c_fc": "0", "lm_head": "head", "h.": "blocks."}
    old = {}
    for name, tensor in model.state_dict().items():
        own = name.removeprefix("transformer.")
        own = own.replace("attn.c_proj", "attn.proj").replace("mlp.c_proj", "mlp.2")
        for new, before in renamed.items():
            own = before + own.removeprefix(new) if own.startswith(new) else own.replace(f".{new}.", f".{before}.")
        old[own] = tensor
    old["pos_emb"] = old.pop("wpe.weight")[None]
    for n in range(LAYERS):
        old[f"blocks.{n}.attn.mask"] = torch.tril(torch.ones(1, 1, CONTEXT, CONTEXT))
    torch.save(old, "model.pt")
    exec(snippet("old minGPT"), {})
    assert close(opened(tmp_path), logits(model))


TEXTS = {
    "English": "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll: $3 & 'tis-so?!\n",
    "German": "Größe über Äpfel – §1: süß & öd.\n",
    "Chinese": "床前明月光，\n疑是地上霜。\n",
    "tabs": "a\tb c\n",
    "Portuguese": "NÃO É ÂNGULO.\n",
    "emoji": "🙂🙃 \u00a0\u2028é e\u0301\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_model_of_characters_reads_its_text(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text = TEXTS[name]
    Path("input.txt").write_text(text)
    exec(snippet("characters"), {})
    chars = sorted(set(text))
    args = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 128, "bias": True, "vocab_size": len(chars)}
    Path("config.json").write_text(json.dumps(args))
    from safetensors.numpy import save_file

    from tests.checkpoints import random_weights

    save_file(random_weights({**args, "n_positions": 128}), "model.safetensors")
    tokenizer = open_model(tmp_path).tokenizer
    encoding = tokenizer.encode(text)
    assert [chars[i] for i in encoding.ids] == list(text)
    assert tokenizer.decode(encoding.ids) == text
    assert encoding.spans == tuple((n, n + 1) for n in range(len(text)))
    with pytest.raises(TokenizerError, match="cannot be spelled"):
        tokenizer.encode("Ω")
    transformers = pytest.importorskip("transformers")
    assert transformers.GPT2Tokenizer.from_pretrained(tmp_path)(text)["input_ids"] == list(encoding.ids)


@pytest.mark.parametrize("name", ["German", "Chinese", "tabs", "emoji"])
def test_a_vocabulary_of_characters_as_they_are_is_known_by_their_order(tmp_path, name):
    """As the recipe was before it treated characters outside ASCII separately."""
    chars = sorted(set(TEXTS[name]))
    ids = {{" ": "Ġ", "\n": "Ċ"}.get(c, c): n for n, c in enumerate(chars)}
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = Tokenizer.load(tmp_path, vocab_size=len(chars))
    assert [chars[i] for i in tokenizer.encode(TEXTS[name]).ids] == list(TEXTS[name])


def test_a_vocabulary_of_the_bytes_of_a_text_is_none_of_characters(tmp_path):
    """As in byte-level models trained on one file: the bytes that occur in it, in order."""
    data = sorted(set(TEXTS["German"].encode()))
    (tmp_path / "vocab.json").write_text(json.dumps({BYTE_ALPHABET[byte]: n for n, byte in enumerate(data)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = Tokenizer.load(tmp_path, vocab_size=len(data))
    assert [data[i] for i in tokenizer.encode(TEXTS["German"]).ids] == list(TEXTS["German"].encode())
