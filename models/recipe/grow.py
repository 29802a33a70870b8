"""Initialize a larger model from a trained one: more blocks, more positions, another vocabulary.

Initially the larger model computes the same as the small one: a new block adds nothing to the residual stream (its
output projections start at zero, and are trained), a known token keeps its embedding, and a new one starts as the mean
of the old tokens that spell it. Width and number of heads stay the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tokenizer as bpe
import torch
from model import GPT2, Shape, wave_features
from safetensors.torch import load_file

RIDGE = 1.0


def embeddings(small: torch.Tensor, folder: Path, tokenizer: Path) -> torch.Tensor:
    """Return the embedding [vocab, width] of another tokenizer's tokens, from that of the model in `folder`."""
    old = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    new = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
    pieces = bpe.load(folder).model
    known = {token: [old[token]] for token in new.keys() & old.keys()}
    made = {token: [piece.id for piece in pieces.tokenize(token)] for token in new.keys() - old.keys()}
    rows = known | made
    return torch.stack([small[rows[token]].mean(0) for token in sorted(new, key=new.__getitem__)])


def positions(small: torch.Tensor, context: int) -> torch.Tensor:
    """Return position vectors [context, width]: the known ones, extended by the sinusoids that fit them best.

    The fit is regularized (ridge): long waves, of which the known positions cover only a part, would otherwise diverge.
    """
    known = len(small)
    features = wave_features(context, small.shape[1], 2 * context).numpy().astype(np.float64)
    seen = features[:known]
    fit = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ small.numpy().astype(np.float64))
    return torch.cat((small, torch.from_numpy(features[known:] @ fit).float()))[:context]


def places(few: int, many: int) -> list[int]:
    """Return where the blocks of a small model go in a deeper one: indices spread from the first to the last block."""
    return [round(at * (many - 1) / max(1, few - 1)) for at in range(few)]


@torch.no_grad()
def grown(folder: Path, tokenizer: Path, shape: Shape, dropout: float = 0.0) -> GPT2:
    """Return a model of `shape` initialized from the exported model in `folder`.

    Raises:
        SystemExit: the shape differs in width or heads, or has fewer blocks or positions.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    few = config["n_layer"]
    if (shape.width, shape.heads) != (config["n_embd"], config["n_head"]):
        raise SystemExit(
            f"{folder} is {config['n_embd']} wide with {config['n_head']} heads; a model that begins with its "
            f"weights cannot be {shape.width} wide with {shape.heads}. Keep its --width and --heads."
        )
    if shape.blocks < few or shape.context < config["n_positions"]:
        raise SystemExit(f"{folder} has more blocks or positions than asked for; a model only grows.")
    stored = load_file(folder / "model.safetensors")
    small = {name.removeprefix("transformer."): tensor.float() for name, tensor in stored.items()}
    model = GPT2(shape, dropout)
    for block in model.h:
        block.attn.c_proj.weight.zero_()
        block.mlp.c_proj.weight.zero_()
    state = model.state_dict()
    for name, tensor in small.items():
        if name.startswith("h."):
            _, block_number, rest = name.split(".", 2)
            state[f"h.{places(few, shape.blocks)[int(block_number)]}.{rest}"] = tensor
        elif name.startswith("ln_f"):
            state[name] = tensor
    state["wte.weight"] = embeddings(small["wte.weight"], folder, tokenizer)
    state["wpe.weight"] = positions(small["wpe.weight"], shape.context)
    model.load_state_dict(state)
    return model
