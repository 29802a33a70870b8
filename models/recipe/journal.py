"""The log of a training run: progress lines, `loss.jsonl`, the loss curve, quick evaluations on held-out text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from measure import answered
from model import GPT2
from passages import SKILLS, held_out_items
from rows import Progress
from tokenizers import Tokenizer

LOOK_ITEMS = 20


@torch.no_grad()
def bits_per_byte(model: GPT2, ids: torch.Tensor, bytes_in: int, context: int) -> float:
    """Return the bits per byte over non-overlapping windows (a quick estimate, higher than the model card's figure)."""
    nats = 0.0
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        nats += model.loss(window[None, :-1], window[None, 1:]).item() * (len(window) - 1)
    return nats / math.log(2) / bytes_in


@torch.no_grad()
def skill_accuracies(model: GPT2, tokenizer: Tokenizer, count: int, device: str) -> dict[str, float]:
    """Return the top-1 accuracy on a few held-out items of every skill."""
    result = {}
    for skill in SKILLS:
        right = 0
        items = held_out_items(skill, count)
        for item in items:
            ids = tokenizer.encode(item.prompt).ids[-model.shape.context :]
            right += answered(tokenizer, item, int(model(torch.tensor([ids], device=device))[0, -1].argmax()))
        result[skill] = right / len(items)
    return result


def draw_losses(history: Path, figure: Path) -> None:
    """Draw the loss curve from `loss.jsonl`."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in history.read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    looks = [line for line in lines if "bits_per_byte" in line]
    fig = Figure(figsize=(7, 4), layout="constrained")
    left = fig.subplots()
    left.plot([s["tokens"] / 1e6 for s in steps], [s["loss"] for s in steps], color="#7b828c", lw=0.8)
    left.set(xlabel="tokens seen (millions)", ylabel="training loss (nats per token)")
    right = left.twinx()
    right.plot([s["tokens"] / 1e6 for s in looks], [s["bits_per_byte"] for s in looks], color="#7a4fd0", marker=".")
    right.set_ylabel("held-out book, start (bits per byte)", color="#7a4fd0")
    fig.savefig(figure)


class Journal:
    """Prints the progress of a training run and records it in its working folder."""

    def __init__(self, work: Path, look: torch.Tensor, look_bytes: int, tokenizer: Tokenizer, device: str) -> None:
        self.history, self.figure = work / "loss.jsonl", work / "loss.svg"
        self.look_ids, self.look_bytes = look.to(device), look_bytes
        self.tokenizer, self.device = tokenizer, device

    def _keep(self, line: dict[str, object]) -> None:
        with self.history.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def steps(self, steps: list[tuple[int, int, float]]) -> None:
        """Record step, tokens seen and loss of some steps."""
        for step, tokens, loss in steps:
            self._keep({"step": step, "tokens": tokens, "loss": round(loss, 4)})

    def look(self, model: GPT2, progress: Progress) -> None:
        """Measure the start of the held-out book and a few items of every skill, and draw the loss curve."""
        bits = bits_per_byte(model, self.look_ids, self.look_bytes, model.shape.context)
        skills = skill_accuracies(model, self.tokenizer, LOOK_ITEMS, self.device)
        counters = {"step": progress.step, "tokens": progress.tokens}
        self._keep({**counters, "bits_per_byte": round(bits, 4), "skills": skills})
        parts = ", ".join(f"{skill} {100 * share:.0f}" for skill, share in skills.items())
        print(f"  held-out book, start: {bits:.4f} bits per byte; skills {parts}", flush=True)
        draw_losses(self.history, self.figure)
