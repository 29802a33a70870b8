"""Makes tests/data/golden_sampling.json with transformers' logits processors, run in float64.

    python tests/data/make_sampling_golden.py [FILE.npz with logits of GPT-2 small]

"small": random logits of 40 tokens with the kept tokens and their probabilities after temperature, top-k and top-p.
"gpt2": the same for logits of GPT-2 small, but only the number of kept tokens, and the first and last of them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

HERE = Path(__file__).resolve().parent
GPT2_LOGITS = HERE.parents[2] / "shared" / "data" / "real_gpt2_logits.npz"
SHOWN = 5


def processed(logits: np.ndarray, temperature: float, top_k: int, top_p: float) -> tuple[list[int], list[float]]:
    """The ids that are kept, in descending order of their logits, and their probabilities."""
    scores = torch.from_numpy(logits.astype(np.float64))[None]
    scores = TemperatureLogitsWarper(temperature)(None, scores)
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    kept = [int(number) for number in torch.argsort(scores[0], descending=True) if scores[0, number] > -torch.inf]
    return kept, [float(p) for p in torch.softmax(scores[0], dim=-1)[kept]]


def settings(rng: np.random.Generator) -> dict[str, float | int]:
    """Random sampling settings; top-k and top-p are off in some."""
    return {
        "temperature": round(float(np.exp(rng.uniform(np.log(0.01), np.log(100)))), 4),
        "top_k": int(rng.choice([0, rng.integers(1, 45)])),
        "top_p": round(float(rng.choice([1.0, rng.uniform(0.01, 1)])), 4),
    }


def small_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Cases with all their numbers."""
    cases = []
    for number in range(60):
        offset = (0.0, -150.0, 90.0)[number % 3]
        logits = (rng.normal(0, rng.uniform(0.1, 8), 40) + offset).astype(np.float32)
        chosen = settings(rng) if number % 2 else settings(rng) | {"temperature": 1.0}
        kept, final = processed(logits, **chosen)
        cases.append({"logits": [float(x) for x in logits], "settings": chosen, "kept": kept, "final": final})
    return cases


def gpt2_cases(path: Path) -> list[dict[str, object]]:
    """Cases with logits that are not in the repository."""
    cases = []
    with np.load(path) as logits:
        for name in sorted(logits):
            for temperature in (0.01, 0.7, 1.0, 3.0, 100.0):
                for top_k, top_p in ((0, 1.0), (40, 1.0), (0, 0.9), (40, 0.9), (1000, 0.37)):
                    kept, final = processed(logits[name], temperature, top_k, top_p)
                    cases.append(
                        {
                            "logits": name,
                            "settings": {"temperature": temperature, "top_k": top_k, "top_p": top_p},
                            "n_kept": len(kept),
                            "first_ids": kept[:SHOWN],
                            "first": final[:SHOWN],
                            "last": final[-1],
                        }
                    )
    return cases


if __name__ == "__main__":
    random = np.random.default_rng(2026)
    golden = {
        "small": small_cases(random),
        "gpt2": gpt2_cases(Path(sys.argv[1]) if len(sys.argv) > 1 else GPT2_LOGITS),
    }
    lines = [f'"{part}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for part, rows in golden.items()]
    (HERE / "golden_sampling.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
