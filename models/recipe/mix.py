"""Average the weights of an exported model and of one that was trained on from it, tensor by tensor.

    python mix.py BEFORE AFTER OUT --share 0.65 --head 7.0=0.2

What the average keeps of both is often better than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
models"): it still knows what the first learned well, and much of what only the second was trained on. A head that the
further training weakened can be kept: `--head BLOCK.HEAD=SHARE` gives one head's query, key, value and output weights a
share of their own, here a small one. The metadata of OUT counts the steps, tokens and minutes of both.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def training(before: Path, after: Path) -> dict[str, str]:
    """Return how the average was trained: the sums of what both models' metadata say.

    Raises:
        SystemExit: the metadata of one of them does not say how it was trained.
    """
    notes = []
    for folder in (before, after):
        with safe_open(folder / "model.safetensors", "pt") as file:
            notes.append(file.metadata() or {})
        if missing := {"parameters", "steps", "tokens", "minutes"} - notes[-1].keys():
            raise SystemExit(f"{folder}/model.safetensors does not say its {', '.join(sorted(missing))}.")
    steps, minutes = (sum(int(note[name].replace(",", "")) for note in notes) for name in ("steps", "minutes"))
    tokens = sum(float(note["tokens"].removesuffix(" million").replace(",", "")) for note in notes)
    return {
        "parameters": notes[1]["parameters"],
        "steps": f"{steps:,}",
        "tokens": f"{tokens:,.1f} million",
        "minutes": str(minutes),
    }


def mixed(
    before: dict[str, torch.Tensor],
    after: dict[str, torch.Tensor],
    share: float,
    width: int = 0,
    heads: Mapping[tuple[int, int], float] | None = None,
) -> dict[str, torch.Tensor]:
    """Return `share` of `after` and the rest of `before`, computed in float32, in the dtype of `after`.

    `heads` gives the share of single heads by block and head, each `width` wide: it counts for their columns of the
    query, key and value in `attn.c_attn` (weight and bias) and for their rows of `attn.c_proj.weight`.

    Raises:
        SystemExit: the two do not have the same tensors, or a head is named that they do not have.
    """
    if {name: t.shape for name, t in before.items()} != {name: t.shape for name, t in after.items()}:
        raise SystemExit(
            "The two models have other tensors or shapes; mix a model with one that began with its weights."
        )
    shares = {name: torch.full_like(t, share, dtype=torch.float32) for name, t in after.items()}
    for (block, head), own in (heads or {}).items():
        for name, thirds in (("c_attn.weight", 3), ("c_attn.bias", 3), ("c_proj.weight", 1)):
            found = [s for full, s in shares.items() if f".{full}".endswith(f".h.{block}.attn.{name}")]
            if not found or not 0 <= head < found[0].shape[-1 if thirds == 3 else 0] // thirds // width:
                raise SystemExit(f"The models have no head L{block}H{head}.")
            across = found[0].unflatten(-1, (thirds, -1)) if thirds == 3 else found[0].T
            across[..., head * width : (head + 1) * width] = own
    return {
        name: ((1 - shares[name]) * before[name].float() + shares[name] * t.float()).to(t.dtype)
        for name, t in after.items()
    }


def one_head(text: str) -> tuple[tuple[int, int], float]:
    """Read BLOCK.HEAD=SHARE as ((block, head), share).

    Raises:
        argparse.ArgumentTypeError: the text is not of that form.
    """
    if not (match := re.fullmatch(r"(\d+)\.(\d+)=(\d+(?:\.\d+)?)", text, re.ASCII)):
        raise argparse.ArgumentTypeError(f"{text!r} is not BLOCK.HEAD=SHARE, such as 7.0=0.2")
    return (int(match[1]), int(match[2])), float(match[3])


def main() -> None:
    """Write the average of two models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", type=Path, help="the exported model that training went on from")
    parser.add_argument("after", type=Path, help="the exported model that came of it")
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="share of AFTER in the average")
    parser.add_argument(
        "--head", type=one_head, action="append", default=[], metavar="BLOCK.HEAD=SHARE", help="share for one head"
    )
    args = parser.parse_args()
    config = json.loads((args.after / "config.json").read_text(encoding="utf-8"))
    before, after = (load_file(folder / "model.safetensors") for folder in (args.before, args.after))
    tensors = mixed(before, after, args.share, config["n_embd"] // config["n_head"], dict(args.head))
    note = training(args.before, args.after)
    args.output.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "vocab.json", "merges.txt"):
        shutil.copyfile(args.after / name, args.output / name)
    save_file(tensors, args.output / "model.safetensors", {"format": "pt", **note})
    print(f"{note} -> {args.output}")


if __name__ == "__main__":
    main()
