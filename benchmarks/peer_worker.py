"""A peer's forward pass, timed in an environment of its own: reads a line of JSON a pass, answers with its seconds.

    {"peer": "transformers" | "transformer_lens", "ids": [...]}  ->  {"seconds": 0.1}

Runs by path with the peers' Python, so nothing of this project is imported.
"""

import json
import sys
import time
import warnings

import torch


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    folder = sys.argv[1]
    run = {}
    for line in sys.stdin:
        asked = json.loads(line)
        peer, ids = asked["peer"], torch.tensor([asked["ids"]])
        if peer not in run:
            run[peer] = PEERS[peer](folder)
        with torch.inference_mode():
            begun = time.perf_counter()
            run[peer](ids)
            print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


def transformers(folder):
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    return lambda ids: model(ids, output_attentions=True, output_hidden_states=True)


def transformer_lens(folder):
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(folder)
    return model.run_with_cache


PEERS = {"transformers": transformers, "transformer_lens": transformer_lens}

if __name__ == "__main__":
    main()
