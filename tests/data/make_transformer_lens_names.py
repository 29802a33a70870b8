"""Finds TransformerLens's name of each tensor by comparing numbers only: writes transformer_lens_names.json.

Run with transformer-lens (4.3.0), torch and transformers installed. A tiny GPT-2 runs in TransformerLens, all of its
hooks are cached, and each is compared with every tensor of a trace of the same model: hook -> names with equal numbers.
"""

import json
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, GPT2Tokenizer

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import TINY, write_checkpoint

IDS = [3, 14, 15, 92, 65]


def same(theirs, ours):
    """Whether the numbers are equal; TransformerLens may mask by a very large number, and has heads on axis 1."""
    there = np.maximum(theirs[0].numpy().astype(float), -1e30) if theirs.ndim > 1 else theirs.numpy()
    here = np.maximum(np.asarray(ours).astype(float), -1e30)
    there = np.where(there < -1e29, -1e30, there)
    turned = np.moveaxis(there, 1, 0) if there.ndim == 3 else there
    return any(a.shape == here.shape and np.allclose(a, here, atol=1e-4) for a in (there, turned))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_checkpoint(Path(scratch) / "tiny", TINY | {"vocab_size": 300})
        trace = Engine(load_checkpoint(folder)).trace(IDS)
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        tokenizer = GPT2Tokenizer.from_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(
            str(folder), hf_model=model, tokenizer=tokenizer, device="cpu", dtype=torch.float32
        )
        cache = bridge.run_with_cache(torch.tensor([IDS]))[1]
    found = {hook: [n for n in trace.table if same(cache[hook], trace[n])] for hook in cache}
    lines = ",\n".join(f"  {json.dumps(hook)}: {json.dumps(names)}" for hook, names in found.items())
    text = f'{{\n "transformer_lens": "{metadata.version("transformer-lens")}",\n "hooks": {{\n{lines}\n }}\n}}\n'
    Path(__file__).with_name("transformer_lens_names.json").write_text(text)


if __name__ == "__main__":
    main()
