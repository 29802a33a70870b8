"""Checkpoints of GPT-2's shapes with random weights, written to disk once per run."""

from pathlib import Path
from typing import Any

from tests.checkpoints import random_weights, write_checkpoint

SIZES = {  # Radford et al. 2019, table 2, and distilbert/distilgpt2's config
    "distil": (6, 768, 12),
    "small": (12, 768, 12),
    "medium": (24, 1024, 16),
    "large": (36, 1280, 20),
    "xl": (48, 1600, 25),
}


def shape(size: str, **changes: Any) -> dict[str, Any]:
    """The config.json of a size."""
    blocks, width, heads = SIZES[size]
    return {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": width,
        "n_layer": blocks,
        "n_head": heads,
        **changes,
    }


def checkpoint(root: Path, size: str, **changes: Any) -> Path:
    """A checkpoint of that shape below `root`, made unless it exists."""
    folder = root / "-".join([size, *(f"{k}{v}" for k, v in changes.items())])
    if not (folder / "config.json").exists():
        config = shape(size, **changes)
        write_checkpoint(folder, config, random_weights(config, 1, 0.02))
    return folder


def text(tokens: int) -> str:
    """A text of that many tokens for these checkpoints, whose tokens are single bytes."""
    words = "the creature roamed a forest and saw what nobody had seen before; "
    return (words * (tokens // len(words) + 1))[:tokens]
