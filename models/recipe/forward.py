"""GPT-2's forward pass and sampling in plain numpy, for evaluation and tests without PyTorch.

It shares no code with the model used in training, so agreement between the two is evidence that both are right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


@dataclass(frozen=True)
class Model:
    """A checkpoint in memory: weights in float32 under their Hugging Face names, and the sizes that the pass needs."""

    weights: dict[str, np.ndarray]
    heads: int
    blocks: int
    context: int
    end_of_text: int | None

    def forward(
        self,
        tokens: np.ndarray,
        patterns: list[np.ndarray] | None = None,
        streams: list[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Map ids [batch, pos] to the final layer norm's output [batch, pos, d_model].

        If `patterns` is a list, each block's attention pattern [batch, head, query, key] is appended to it; if
        `streams` is one, the residual stream [batch, pos, d_model] before each block and, finally, after the last.
        """
        w = self.weights
        batch, length = tokens.shape
        x = w["wte.weight"][tokens] + w["wpe.weight"][:length]
        future = np.triu(np.full((length, length), -np.inf, np.float32), 1)
        for block in range(self.blocks):
            at = f"h.{block}."
            if streams is not None:
                streams.append(x)
            qkv = _linear(norm(x, w, at + "ln_1"), w, at + "attn.c_attn")
            q, k, v = (
                part.reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3) for part in np.split(qkv, 3, axis=-1)
            )
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(q.shape[-1])) + future
            pattern = np.exp(scores - scores.max(-1, keepdims=True))
            pattern /= pattern.sum(-1, keepdims=True)
            if patterns is not None:
                patterns.append(pattern)
            z = (pattern @ v).transpose(0, 2, 1, 3).reshape(batch, length, -1)
            x = x + _linear(z, w, at + "attn.c_proj")
            inner = _linear(norm(x, w, at + "ln_2"), w, at + "mlp.c_fc")
            x = x + _linear(_gelu(inner), w, at + "mlp.c_proj")
        if streams is not None:
            streams.append(x)
        return norm(x, w, "ln_f")

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Map ids [batch, pos] to logits [batch, pos, vocab]."""
        return self.forward(tokens) @ self.weights["wte.weight"].T

    def last_logits(self, tokens: np.ndarray) -> np.ndarray:
        """Map ids [batch, pos] to the logits of the last position [batch, vocab]."""
        return self.forward(tokens)[:, -1] @ self.weights["wte.weight"].T

    def nats(self, tokens: np.ndarray) -> np.ndarray:
        """Return -log p in nats of every id but the first, given those before it: [batch, pos - 1]."""
        logits = self.logits(tokens[:, :-1])
        logits -= logits.max(-1, keepdims=True)
        normalizer = np.log(np.exp(logits).sum(-1))
        return normalizer - np.take_along_axis(logits, tokens[:, 1:, None], -1)[..., 0]


def load(folder: Path) -> Model:
    """Read config.json and model.safetensors of a folder; names may carry the prefix `transformer.`."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("transformer."): t.astype(np.float32) for name, t in stored.items()}
    return Model(weights, config["n_head"], config["n_layer"], config["n_positions"], config.get("eos_token_id"))


def sample(model: Model, prompt: list[int], count: int, temperature: float, top_p: float, seed: int) -> list[int]:
    """Draw up to `count` ids after a prompt, stopping early at the end-of-text token."""
    rng = np.random.default_rng(seed)
    ids = list(prompt)
    while len(ids) < len(prompt) + count:
        logits = model.last_logits(np.array([ids[-model.context :]]))[0].astype(np.float64) / temperature
        order = np.argsort(-logits, kind="stable")
        probabilities = np.exp(logits[order] - logits[order[0]])
        probabilities /= probabilities.sum()
        kept = int(np.searchsorted(np.cumsum(probabilities), top_p)) + 1
        drawn = order[rng.choice(kept, p=probabilities[:kept] / probabilities[:kept].sum())]
        if drawn == model.end_of_text:
            break
        ids.append(int(drawn))
    return ids[len(prompt) :]


def norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Apply the layer norm `name` of the weights to [..., d_model]."""
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(1e-5))
    return centred / scale * w[name + ".weight"] + w[name + ".bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    cube = x * x * x  # much faster than a power
    return 0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * cube)))


def _linear(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[name + ".weight"] + w[name + ".bias"]
