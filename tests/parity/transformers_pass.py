"""The forward pass of Hugging Face transformers; inputs and outputs of its modules under the tensor table's names."""

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

TENSORS = {
    *("tokens", "embed", "pos_embed", "resid_pre", "ln1.out", "attn.q", "attn.k", "attn.v", "attn.masked"),
    *("attn.pattern", "attn.z", "attn.concat", "attn_out", "resid_mid", "ln2.out", "mlp.pre", "mlp.post", "mlp_out"),
    *("resid_post", "ln_final.out", "logits"),
}
"""Tensors that are an input or output of a module of transformers; the others of the table occur inside a module."""


def build(config, weights):
    """The model for the content of a `config.json`, with `weights` under their stored names."""
    fields = {name: value for name, value in config.items() if name != "model_type"}
    model = GPT2LMHeadModel(GPT2Config(**fields, attn_implementation="eager")).eval()
    state = {
        name if name == "lm_head.weight" else f"transformer.{name}": torch.from_numpy(array.copy())
        for name, array in weights.items()
    }
    if config.get("tie_word_embeddings", True):
        state["lm_head.weight"] = state["transformer.wte.weight"]
    model.load_state_dict(state, strict=True)
    return model


def tensors(model, ids, *, edited=False):
    """Name -> array of every tensor in TENSORS, for every block, taken by hooks in one pass.

    If other hooks of the model make edits (`edited`), the hidden states that the model returns are not checked.
    """
    found, handles = {}, []

    def keep(module, name, *, taken=False):
        def hook(_module, inputs, output):
            value = inputs[0] if taken else output
            found[name] = (value[0] if isinstance(value, tuple) else value).detach()

        handles.append(module.register_forward_hook(hook))

    body = model.transformer
    keep(body.wte, "embed")
    keep(body.wpe, "pos_embed")
    keep(body.ln_f, "ln_final.out")
    for layer, block in enumerate(body.h):
        name = f"blocks.{layer}."
        keep(block, name + "resid_pre", taken=True)
        keep(block.ln_1, name + "ln1.out")
        keep(block.attn.c_attn, name + "attn.qkv")
        keep(block.attn.c_proj, name + "attn.concat", taken=True)
        keep(block.attn.c_proj, name + "attn_out")
        keep(block.ln_2, name + "resid_mid", taken=True)
        keep(block.ln_2, name + "ln2.out")
        keep(block.mlp.c_fc, name + "mlp.pre")
        keep(block.mlp.act, name + "mlp.post")
        keep(block.mlp.c_proj, name + "mlp_out")
        keep(block, name + "resid_post")
    softmax, before = torch.nn.functional.softmax, []

    def watched(values, *arguments, **options):
        before.append(values.detach())
        return softmax(values, *arguments, **options)

    torch.nn.functional.softmax = watched
    try:
        with torch.no_grad():
            output = model(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
    finally:
        torch.nn.functional.softmax = softmax
        for handle in handles:
            handle.remove()
    result = {name: value.numpy().reshape(value.shape[-2:]) for name, value in found.items()}
    heads = model.config.n_head
    for layer, (pattern, masked) in enumerate(zip(output.attentions, before, strict=True)):
        name = f"blocks.{layer}."
        later = np.triu(np.ones((len(ids), len(ids)), bool), 1)
        # Depending on its version, transformers masks later tokens by the lowest finite number or by -inf.
        result[name + "attn.masked"] = np.where(later, -np.inf, masked[0].numpy())
        result[name + "attn.pattern"] = pattern[0].numpy()
        for letter, part in zip("qkv", np.split(result.pop(name + "attn.qkv"), 3, axis=-1), strict=True):
            result[name + "attn." + letter] = by_head(part, heads)
        result[name + "attn.z"] = by_head(result[name + "attn.concat"], heads)
        assert edited or np.array_equal(output.hidden_states[layer][0].numpy(), result[name + "resid_pre"])
    assert np.array_equal(output.hidden_states[-1][0].numpy(), result["ln_final.out"])
    return result | {"tokens": np.array(ids), "logits": output.logits[0].numpy()}


def by_head(flat, heads):
    return flat.reshape(len(flat), heads, -1).transpose(1, 0, 2)
