"""Names of tensors as users give them: globs over the table, and TransformerLens' names for the same tensors.

Hook names are those of TransformerLens 4.3 for a GPT-2 (`TransformerBridge.boot_transformers`), and the few that only
its older HookedTransformer has. They are not accepted as aliases, because layouts differ ([batch, pos, head, d_head]
there, [head, pos, d_head] here); the error says what the tensor is called here.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.tensors import tensor_table

OUTSIDE_BLOCKS = {
    "hook_tokens": "tokens",
    "embed.hook_in": "tokens",
    "embed.hook_out": "embed",
    "hook_embed": "embed",
    "pos_embed.hook_out": "pos_embed",
    "hook_pos_embed": "pos_embed",
    "ln_final.hook_in": "blocks.{last}.resid_post",
    "ln_final.hook_scale": "ln_final.scale",
    "ln_final.hook_normalized": "ln_final.normalized",
    "ln_final.hook_out": "ln_final.out",
    "unembed.hook_in": "ln_final.out",
    "unembed.hook_out": "logits",
    "hook_unembed": "logits",
}
"""TransformerLens' name -> this program's, for tensors outside the blocks."""

IN_BLOCKS = {
    "hook_in": "resid_pre",
    "hook_resid_pre": "resid_pre",
    "hook_attn_in": "resid_pre",
    "hook_q_input": "resid_pre",
    "hook_k_input": "resid_pre",
    "hook_v_input": "resid_pre",
    "ln1.hook_in": "resid_pre",
    "ln1.hook_scale": "ln1.scale",
    "ln1.hook_normalized": "ln1.normalized",
    "ln1.hook_out": "ln1.out",
    "attn.hook_in": "ln1.out",
    **{f"attn.{letter}.hook_in": "ln1.out" for letter in "qkv"},
    **{f"attn.{letter}.hook_out": f"attn.{letter}" for letter in "qkv"},
    **{f"attn.hook_{letter}": f"attn.{letter}" for letter in "qkv"},
    "attn.hook_attn_scores": "attn.masked",  # TransformerLens' scores are scaled and masked
    "attn.hook_pattern": "attn.pattern",
    "attn.hook_z": "attn.z",
    "attn.o.hook_in": "attn.z",
    "attn.o.hook_out": "attn_out",
    "attn.hook_hidden_states": "attn_out",
    "attn.hook_out": "attn_out",
    "hook_attn_out": "attn_out",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "ln2.hook_in": "resid_mid",
    "ln2.hook_scale": "ln2.scale",
    "ln2.hook_normalized": "ln2.normalized",
    "ln2.hook_out": "ln2.out",
    "mlp.hook_in": "ln2.out",
    "mlp.in.hook_in": "ln2.out",
    "mlp.in.hook_out": "mlp.pre",
    "mlp.hook_pre": "mlp.pre",
    "mlp.out.hook_in": "mlp.post",
    "mlp.hook_post": "mlp.post",
    "mlp.out.hook_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "hook_mlp_out": "mlp_out",
    "hook_out": "resid_post",
    "hook_resid_post": "resid_post",
}
"""TransformerLens' name -> this program's, for tensors within a block, without `blocks.L.`."""

NOT_HERE = {
    "pos_embed.hook_in": "TransformerLens' name stands for the positions themselves, 0, 1, 2 and so on.",
    "attn.hook_result": "TransformerLens' name stands for what each head writes: attn.z times the head's rows of W_O.",
}
"""Tensors that TransformerLens has and the table lacks, by the end of the name."""

_SHORT = {"attn": "pattern", "attn_logits": "attn_scores", "key": "k", "query": "q", "value": "v"}
"""Shorthand of TransformerLens' caches, as in `cache["pattern", 5]`, where it differs from the hook's name."""


def match_names(patterns: list[str], config: Config, edited: frozenset[str] = frozenset()) -> list[str]:
    """The names in the table that match any of the glob `patterns`, in the table's order.

    `edited` tensors have additional rows. Raises ModelError for a pattern that matches nothing.
    """
    names = list(tensor_table(config, edited))
    chosen = set()
    for pattern in patterns:
        found = [n for n in names if fnmatchcase(n, pattern)]
        if not found:
            raise ModelError(no_such_tensor(pattern, config))
        chosen.update(found)
    return [n for n in names if n in chosen]


def no_such_tensor(name: object, config: Config) -> str:
    """The error for a name or glob that matches no tensor: what TransformerLens means by it, or similar names."""
    said = f"This model has no tensor {_quoted(name)}"
    if theirs := answer(name, config):
        return f"{said}; {theirs}"
    near = get_close_matches(str(name), list(tensor_table(config)), 3, 0.5)
    return f"{said}; did you mean {' or '.join(near)}?" if near else f"{said}; try blocks.0.attn.pattern."


def answer(name: object, config: Config) -> str:
    """This program's tensors for TransformerLens' `name`, as the rest of a sentence; "" for any other name.

    A name is a hook's, a glob over hooks' names, or a key of its caches: ("pattern", 5), ("scale", 4, "ln1"), "k6".
    """
    table = tensor_table(config)
    words = name if isinstance(name, tuple) and name else (name,)
    for hook, said in NOT_HERE.items():
        if str(words[0]).endswith(hook) or words[0] == hook.removeprefix("attn.hook_"):
            return said
    ours = [n for n in dict.fromkeys(_ours(name, config)) if n in table]
    if not ours:
        return ""
    listed = f"{ours[0]} and {len(ours) - 1} more" if len(ours) > 1 else ours[0]
    if len(ours) == 2:
        listed = " and ".join(ours)
    return f"TransformerLens' name stands for {listed}, [{', '.join(table[ours[0]].axes)}]."


def _ours(name: object, config: Config) -> Iterator[str]:
    """This program's names for what TransformerLens calls `name`, whether or not this model has such a block."""
    if isinstance(name, tuple) and name:
        yield from _shorthand(*name[:3])
        return
    text = str(name)
    last = config.n_layer - 1
    for hook, ours in OUTSIDE_BLOCKS.items():
        if fnmatchcase(hook, text):
            yield ours.replace("{last}", str(last))
    for layer in range(config.n_layer):
        for hook, ours in IN_BLOCKS.items():
            if fnmatchcase(f"blocks.{layer}.{hook}", text):
                yield f"blocks.{layer}.{ours}"
    short = re.fullmatch(r"([a-z_]+?)(\d+)([a-z]\w*)?", text)
    if short is not None:
        yield from _shorthand(short[1], int(short[2]), short[3] or "")


def _shorthand(word: object, layer: object = None, kind: object = "") -> Iterator[str]:
    known = _SHORT.get(str(word), str(word)).removeprefix("hook_").removeprefix("mlp_" if word != "mlp_out" else "")
    if layer is None:
        if f"hook_{known}" in OUTSIDE_BLOCKS:
            yield OUTSIDE_BLOCKS[f"hook_{known}"]
        return
    places = {"a": "attn", "m": "mlp", "attention": "attn"}
    for place in (places.get(str(kind), str(kind)), "", "attn", "mlp"):
        hook = f"{place}.hook_{known}" if place else f"hook_{known}"
        if hook in IN_BLOCKS:
            yield f"blocks.{layer}.{IN_BLOCKS[hook]}"
            return


def _quoted(name: object) -> str:
    return repr(name[:80] if isinstance(name, str) else name)[:100]
