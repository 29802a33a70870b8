"""The state of a training run in one safetensors file: weights, their running mean, momenta; counters as metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from model import GPT2
from optimizer import Optimizer
from rows import Progress
from safetensors import safe_open
from safetensors.torch import save_file


def save(path: Path, model: GPT2, mean: GPT2, optimizer: Optimizer, progress: Progress) -> None:
    """Write weights, running mean, momenta and counters as one file, atomically."""
    tensors = {f"model/{name}": t for name, t in model.state_dict().items()}
    tensors |= {f"mean/{name}": t for name, t in mean.state_dict().items()}
    tensors |= {f"optimizer/{name}": t for name, t in optimizer.state().items()}
    metadata = {"progress": json.dumps(asdict(progress)), "shape": json.dumps(asdict(model.shape))}
    temporary = path.with_suffix(".part")
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, temporary, metadata)
    temporary.replace(path)


def restore(path: Path, model: GPT2, mean: GPT2, optimizer: Optimizer) -> Progress:
    """Read back what `save` wrote."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        if json.loads(metadata["shape"]) != asdict(model.shape):
            raise SystemExit(f"{path} has another shape, {metadata['shape']}; choose another folder, or that shape.")
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "mean": {}, "optimizer": {}}
        for key in file.keys():  # noqa: SIM118 (a safetensors file is not a dict)
            group, name = key.split("/", 1)
            groups[group][name] = file.get_tensor(key)
    model.load_state_dict(groups["model"])
    mean.load_state_dict(groups["mean"])
    progress = Progress(**json.loads(metadata["progress"]))
    optimizer.load(groups["optimizer"], progress.step)
    return progress
