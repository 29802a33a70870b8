"""A compact GPT-2 in PyTorch whose state dict has the names and shapes of Hugging Face checkpoints.

Matrices have the Conv1D orientation [in, out], the unembedding is the token embedding itself, the activation is the
tanh form of GELU, and layer norms come before attention and MLP, so that a saved state dict is an ordinary GPT-2
checkpoint without renaming or transposing anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; `d_head` is `width // heads` and the MLP is four times as wide as the stream."""

    vocab: int
    context: int
    width: int
    blocks: int
    heads: int

    def hugging_face_config(self, end_of_text: int | None) -> dict[str, object]:
        """Return the `config.json` of a GPT2LMHeadModel of this shape."""
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "vocab_size": self.vocab,
            "n_positions": self.context,
            "n_ctx": self.context,
            "n_embd": self.width,
            "n_layer": self.blocks,
            "n_head": self.heads,
            "n_inner": None,
            "layer_norm_epsilon": 1e-5,
            "initializer_range": 0.02,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "reorder_and_upcast_attn": False,
            "tie_word_embeddings": True,
            "bos_token_id": end_of_text,
            "eos_token_id": end_of_text,
            "use_cache": True,
            "torch_dtype": "float16",
        }


def wave_features(context: int, width: int, longest: int) -> torch.Tensor:
    """Return sines and cosines of the position [pos, width // 4], with wavelengths from pi to `longest`."""
    lengths = torch.logspace(math.log10(math.pi), math.log10(longest), width // 8)
    phase = torch.arange(context)[:, None] * (2 * math.pi / lengths)
    return torch.cat((phase.sin(), phase.cos()), dim=1)


def waves(context: int, width: int, rms: float) -> torch.Tensor:
    """Return position vectors [pos, width] made of sinusoids, the longest twice the context, randomly rotated.

    Learned positions that start as noise take long to tell neighbours apart; with sinusoids, "one position back" is a
    rotation from the start, so previous-token heads, and with them induction heads, form early.
    """
    features = wave_features(context, width, 2 * context)
    basis = torch.linalg.qr(torch.randn(width, width)).Q[: features.shape[1]]
    positions = features @ basis
    return positions * (rms / positions.square().mean().sqrt())


class Conv1D(nn.Module):
    """A linear map whose weight has the shape [in, out], as in GPT-2 checkpoints."""

    def __init__(self, n_in: int, n_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * std)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [..., in] to [..., out]."""
        return functional.linear(x, self.weight.t(), self.bias)


class Attention(nn.Module):
    """Causal self-attention with a joint projection to queries, keys and values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        std = shape.width**-0.5 / 2
        self.c_attn = Conv1D(shape.width, 3 * shape.width, std)
        self.c_proj = Conv1D(shape.width, shape.width, std / math.sqrt(2 * shape.blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the normalized residual stream [batch, pos, width] to what attention adds to it."""
        batch, pos, width = x.shape
        q, k, v = (
            part.view(batch, pos, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(width, dim=-1)
        )
        z = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(z.transpose(1, 2).reshape(batch, pos, width))


class MLP(nn.Module):
    """The MLP: a hidden layer four times as wide as the stream, with GELU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        std = shape.width**-0.5 / 2
        self.c_fc = Conv1D(shape.width, 4 * shape.width, std)
        self.c_proj = Conv1D(4 * shape.width, shape.width, std / 2 / math.sqrt(2 * shape.blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the normalized residual stream [batch, pos, width] to what the MLP adds to it."""
        return self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each applied after its layer norm and added to the residual stream."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.ln_1 = nn.LayerNorm(shape.width, eps=1e-5)
        self.attn = Attention(shape)
        self.ln_2 = nn.LayerNorm(shape.width, eps=1e-5)
        self.mlp = MLP(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map resid_pre [batch, pos, width] to resid_post."""
        x = x + functional.dropout(self.attn(self.ln_1(x)), self.dropout, self.training)
        return x + functional.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)


def cross_entropy(features: torch.Tensor, unembedding: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats of the logits that `unembedding` makes of `features`."""
    logits = functional.linear(features, unembedding).float()
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


class GPT2(nn.Module):
    """The whole model; `state_dict()` gives the tensors of `model.safetensors`."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.wte = nn.Embedding(shape.vocab, shape.width)
        self.wpe = nn.Embedding(shape.context, shape.width)
        self.h = nn.ModuleList(Block(shape, dropout) for _ in range(shape.blocks))
        self.ln_f = nn.LayerNorm(shape.width, eps=1e-5)
        nn.init.normal_(self.wte.weight, std=0.02)
        self.wpe.weight.data = waves(shape.context, shape.width, 0.02)

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map token ids [batch, pos] to the normalized last residual stream [batch, pos, width]."""
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map token ids [batch, pos] to logits [batch, pos, vocab]."""
        return functional.linear(self.features(tokens), self.wte.weight)

    def loss(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy in nats; targets of -100 are ignored."""
        return cross_entropy(self.features(tokens), self.wte.weight, targets)
