"""Another library's forward pass, timed in its own environment: for each line of JSON read, prints its seconds.

    {"peer": "transformers", "ids": [...]}  ->  {"seconds": 0.1}

`peer` is a key of PEERS. The other environment's Python runs this file by path, so it imports nothing of this project.
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
            if peer in PREPARED:
                ids = run[peer].prepare(ids)
            begun = time.perf_counter()
            run[peer](ids)
            print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


def transformers(folder):
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    return lambda ids: model(ids, output_attentions=True, output_hidden_states=True)


def sdpa(folder):
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    return lambda ids: model(ids, use_cache=False).logits


def transformer_lens(folder):
    return lens_model(folder).run_with_cache


class Products:
    """The matrix products of a pass and nothing else, into memory allocated in advance."""

    def __init__(self, folder):
        from transformers import GPT2LMHeadModel

        self.model = GPT2LMHeadModel.from_pretrained(folder).eval()

    def prepare(self, ids):
        count, config = ids.shape[1], self.model.config
        weights = [w for name, w in self.model.named_parameters() if name.endswith(("c_attn.weight", "c_proj.weight"))]
        weights += [w for name, w in self.model.named_parameters() if name.endswith("c_fc.weight")]
        weights.append(self.model.lm_head.weight.T)
        pairs = [(torch.randn(count, len(w)), w, torch.empty(count, w.shape[1])) for w in weights]
        heads, width = config.n_head, config.n_embd // config.n_head
        q, k = torch.randn(heads, count, width), torch.randn(heads, width, count)
        return pairs, q, k, torch.empty(heads, count, count), torch.empty_like(q)

    def __call__(self, asked):
        pairs, q, k, scores, z = asked
        for x, w, out in pairs:
            torch.mm(x, w, out=out)
        for _ in range(self.model.config.n_layer):
            torch.bmm(q, k, out=scores)
            torch.bmm(scores, q, out=z)


class Lens:
    """The likeliest token at every point of the residual stream, from a cache made before timing."""

    def __init__(self, folder):
        self.model = lens_model(folder)

    def prepare(self, ids):
        return self.model.run_with_cache(ids)[1]

    def __call__(self, cache):
        stack = cache.accumulated_resid(layer=-1, incl_mid=True, apply_ln=True)
        return (stack @ self.model.W_U).softmax(-1).max(-1)


def attribution(folder):
    """Every head's contribution to a logit difference after the last token."""
    model = lens_model(folder)

    def work(ids):
        cache = model.run_with_cache(ids)[1]
        results = cache.stack_head_results(layer=-1, pos_slice=-1)
        return cache.logit_attrs(results, tokens=torch.tensor(5), incorrect_tokens=torch.tensor(6), pos_slice=-1)

    return work


def heads(folder):
    """Means of each pattern along diagonals, for a text of a begin token and the same T tokens twice."""
    model = lens_model(folder)

    def work(ids):
        cache = model.run_with_cache(ids)[1]
        count = ids.shape[1]
        repeated = (count - 1) // 2
        grids = torch.stack([cache["pattern", n][0] for n in range(model.cfg.n_layers)])
        offsets = (-1, 0, -repeated, 1 - repeated)
        means = [grids.diagonal(offset, -2, -1).mean(-1) for offset in offsets]
        entropy = -(grids * grids.clamp_min(1e-30).log()).sum(-1).mean(-1)
        distance = (grids * (torch.arange(count)[:, None] - torch.arange(count)[None])).sum(-1).mean(-1)
        return *means, grids[..., 0].mean(-1), entropy, distance

    return work


def ablation(folder):
    """Every head ablated separately, the heads of a block in one batch."""
    model = lens_model(folder)

    def work(ids):
        heads = model.cfg.n_heads
        batch = ids.repeat(heads, 1)
        for layer in range(model.cfg.n_layers):

            def mute(z, **_hook):
                rows = torch.arange(heads)
                z[rows, :, rows] = 0
                return z

            model.run_with_hooks(batch, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", mute)])

    return work


class Patching:
    """resid_pre patched from another pass at one position at a time, the positions of a block in one batch."""

    def __init__(self, folder):
        self.model = lens_model(folder)

    def prepare(self, ids):
        other = ids.clone()
        other[0, 3] = (other[0, 3] + 1) % self.model.cfg.d_vocab
        return other, self.model.run_with_cache(ids)[1]

    def __call__(self, asked):
        ids, cache = asked
        count = ids.shape[1]
        batch = ids.repeat(count, 1)
        for layer in range(self.model.cfg.n_layers):
            clean = cache["resid_pre", layer][0]

            def put(stream, clean=clean, **_hook):
                rows = torch.arange(count)
                stream[rows, rows] = clean
                return stream

            self.model.run_with_hooks(batch, fwd_hooks=[(f"blocks.{layer}.hook_resid_pre", put)])


def lens_model(folder):
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(folder)


PEERS = {
    "transformers": transformers,
    "sdpa": sdpa,
    "products": Products,
    "transformer_lens": transformer_lens,
    "transformer_lens lens": Lens,
    "transformer_lens attribution": attribution,
    "transformer_lens heads": heads,
    "transformer_lens ablation": ablation,
    "transformer_lens patching": Patching,
}
PREPARED = {"products", "transformer_lens lens", "transformer_lens patching"}

if __name__ == "__main__":
    main()
