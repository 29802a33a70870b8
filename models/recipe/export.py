"""Write a model in the Hugging Face layout: float16 weights, config, vocabulary and merges.

python export.py WORK OUTPUT_FOLDER                         the running mean of the newest checkpoint
python export.py WORK3 OUTPUT_FOLDER --after WORK1 WORK2    that of a third run, adding the earlier runs' counts
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from model import GPT2, Shape
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizer import END_OF_TEXT


def export(model: GPT2, tokenizer: Path, output: Path, training: dict[str, str] | None = None) -> None:
    """Write config.json, model.safetensors (float16), vocab.json and merges.txt into a folder.

    `training` describes how the weights were trained; it is stored in the metadata of the safetensors file.
    """
    output.mkdir(parents=True, exist_ok=True)
    vocab = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
    config = model.shape.hugging_face_config(vocab.get(END_OF_TEXT))
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("vocab.json", "merges.txt"):
        if tokenizer != output:
            shutil.copyfile(tokenizer / name, output / name)
    tensors = {name: t.detach().half().cpu().contiguous() for name, t in model.state_dict().items()}
    temporary = output / "model.safetensors.part"
    save_file(tensors, temporary, {"format": "pt", **(training or {})})
    temporary.chmod(0o644)
    temporary.replace(output / "model.safetensors")


def progress_of(work: Path) -> dict[str, float]:
    """Read the counters of a training run."""
    with safe_open(work / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["progress"])


def main() -> None:
    """Export the running mean of the weights from the newest checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="the folder that train.py works in")
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--after", type=Path, nargs="+", default=[], metavar="WORK", help="earlier rounds, each begun with --start-from"
    )
    args = parser.parse_args()
    with safe_open(args.work / "checkpoint.safetensors", "pt") as file:
        metadata = file.metadata()
        model = GPT2(Shape(**json.loads(metadata["shape"])))
        model.load_state_dict({name: file.get_tensor(f"mean/{name}") for name in model.state_dict()})
    rounds = [progress_of(work) for work in (*args.after, args.work)]
    progress = {name: sum(r[name] for r in rounds) for name in ("step", "tokens", "seconds")}
    training = {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "steps": f"{progress['step']:,}",
        "tokens": f"{progress['tokens'] / 1e6:.1f} million",
        "minutes": f"{progress['seconds'] / 60:.0f}",
    }
    export(model, args.work / "tokenizer", args.output, training)
    print(f"{training} -> {args.output}")


if __name__ == "__main__":
    with torch.no_grad():
        main()
