"""Whole passes as numpy code: the effect of an edit or a mask is in no trace, so the pass is rerun from the ids.

The lines define `run`. It takes ids and the mask of each block ([head, query, key], or broadcastable to it; true where
a query sees a key), and optionally a tensor with cells to set to a value, and a dict that collects tensors.
"""

from collections.abc import Sequence

from desktop_app.core.opening.as_numpy import program
from desktop_app.core.scene import Scene
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formulas import masked_by
from desktop_app.gpt2.mask import mask_of
from desktop_app.gpt2.weights import all_weights

_RUN = """
def norm(x, name):
    spread = np.sqrt(x.var(-1, keepdims=True) + {eps!r})
    return (x - x.mean(-1, keepdims=True)) / spread * w[name + ".w"] + w[name + ".b"]

def curve(x):
    return {curve}

def run(ids, seen, site="", cells=..., put=0.0, kept=None):  # logits after the last position
    def made(name, x):
        if name == site:
            x = x.copy()
            x[cells] = put
        if kept is not None:
            kept[name] = x
        return x
    x = w["embed.W_E"][ids] + w["pos_embed.W_pos"][: len(ids)]
    for n, divisor in enumerate({divisors}):
        b = f"blocks.{{n}}."
        x = made(b + "resid_pre", x)
        qkv = norm(x, b + "ln1") @ w[b + "attn.W_QKV"] + w[b + "attn.b_QKV"]
        q, k, v = qkv.reshape(len(x), 3, {heads}, -1).transpose(1, 2, 0, 3)
        scores = np.where(seen[n], q @ k.transpose(0, 2, 1) / divisor, -np.inf)
        e = np.exp(scores - scores.max(-1, keepdims=True))
        z = made(b + "attn.z", e / e.sum(-1, keepdims=True) @ v)
        joined = z.transpose(1, 0, 2).reshape(len(x), -1)
        x = x + made(b + "attn_out", joined @ w[b + "attn.W_O"] + w[b + "attn.b_O"])
        post = made(b + "mlp.post", curve(norm(x, b + "ln2") @ w[b + "mlp.W_in"] + w[b + "mlp.b_in"]))
        x = x + made(b + "mlp_out", post @ w[b + "mlp.W_out"] + w[b + "mlp.b_out"])
    return norm(x[-1], "ln_final") @ w["unembed.W_U"].T

def pairs(count):  # heads, queries and keys
    return np.indices(({heads}, count, count))
"""


def pass_program(scene: Scene, about: str, lines: Sequence[str]) -> str:
    """A program of `lines`, preceded by lines that define `run`, `pairs` and `tokens`, the ids of the text.

    Raises ModelError for a model rounded to int8, and for a pass that is edited already.
    """
    config = scene.config
    if config.int8:
        raise ModelError("Passes are not written as numpy for weights rounded to int8; switch that off.")
    if scene.trace.run.edits:
        raise ModelError("Passes are written as numpy for a text without edits; switch these off.")
    text = _RUN.format(
        eps=config.layer_norm_epsilon,
        curve=ACTIVATIONS[config.activation].numpy,
        divisors=[float(config.score_divisor(n)) for n in range(config.n_layer)],
        heads=config.n_head,
    )
    weights = ((f'w["{name}"]', name, "") for name, _, _ in all_weights(config))
    reads = [("tokens", "tokens", ""), *weights]
    return program(scene.checkpoint, about, reads, [*text.split("\n"), *lines], before=["w = {}"])


def seen_in(mask: str, config: Config) -> str:
    """Code for a mask: an expression in h, q and k whose value is a list with the boolean mask of each block."""
    found = mask_of(mask, config)
    if not found.heads:
        return f"[{found.rule.numpy}] * {config.n_layer}"
    rule = masked_by(found).settings
    return f"[{', '.join(str(rule(config, n)['seen_whole']) for n in range(config.n_layer))}]"
