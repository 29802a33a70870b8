"""Passes under other masks, also with edits, compared with transformers whose blocks are given the same mask."""

from contextlib import contextmanager

import numpy as np
import pytest

from desktop_app.core.passes import Asked
from desktop_app.core.runs import compute_passes
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.mask import mask_of

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs torch and transformers")

from tests.parity.test_edits import COUNT, ODD, Pair, assert_close, hooked  # noqa: E402 - needs what is skipped for above
from tests.parity.transformers_pass import tensors  # noqa: E402 - as above

# Ignore warnings in libraries that only this module uses.
pytestmark = pytest.mark.filterwarnings("ignore")

MASKS = ["none", "window:3+first", "strided:4", "local:4+global:1", "causal, {last}.{head}=none", "window:5, 0.0=none"]


@pytest.fixture(scope="module", params=ODD, ids=str)
def pair(request, tmp_path_factory):
    return Pair(tmp_path_factory.mktemp("pretrained"), ODD[request.param])


@contextmanager
def masked(pair, mask):
    """The transformers model with one of our masks given to the attention of each block."""
    config, handles = pair.engine.config, []

    def give(layer):
        every = np.arange(COUNT)
        hidden = np.array(
            [[[not seen(mask.of(layer, head), q, k) for k in every] for q in every] for head in range(config.n_head)]
        )
        added = torch.zeros(hidden.shape).masked_fill(torch.tensor(hidden), -torch.inf)[None]

        def hook(_module, inputs, keywords):
            return inputs, keywords | {"attention_mask": added}

        return hook

    for layer, block in enumerate(pair.theirs.transformer.h):
        handles.append(block.attn.register_forward_pre_hook(give(layer), with_kwargs=True))
    try:
        yield pair.theirs
    finally:
        for handle in handles:
            handle.remove()


def seen(rule, q, k):
    """Whether a query sees a key, from the rule's definition."""
    for name, n in rule.parts:
        if name == "none":
            return True
        if k <= q and (
            name == "causal"
            or (name == "window" and q - k < n)
            or (name == "strided" and (q - k < n or (q - k) % n == 0))
            or (name == "local" and q // n == k // n)
            or (name == "global" and k < n)
        ):
            return True
    return False


def theirs(pair, mask, edits=()):
    with masked(pair, mask), hooked(pair.theirs, edits):
        found = tensors(pair.theirs, pair.ids, edited=True)
    # `tensors` assumes for attn.masked that later tokens are hidden, which is not so here.
    return {name: array for name, array in found.items() if not name.endswith("attn.masked")}


@pytest.mark.parametrize("text", MASKS)
def test_every_tensor_is_what_transformers_gives_under_that_mask(pair, text):
    last = pair.config["n_layer"] - 1
    mask = mask_of(text.format(last=last, head=pair.config["n_head"] - 1), pair.engine.config)
    expected = theirs(pair, mask)
    trace = pair.engine.trace(pair.ids, mask=str(mask))
    graph = dict(zip(trace.table, pair.engine.tensors(pair.ids, list(trace.table), mask=str(mask)), strict=True))
    for name, array in expected.items():
        assert_close(trace[name], array, name)
        assert_close(graph[name], array, name)


def test_edits_are_made_under_a_mask_too(pair):
    mask = mask_of("window:4", pair.engine.config)
    edits = pair.edits("blocks.0.attn.z[{head}]=0", "blocks.{last}.mlp.post[:, 3]=1", "blocks.0.resid_mid[6]*=2")
    expected = theirs(pair, mask, edits)
    trace = pair.engine.trace(pair.ids, edits=edits, mask=str(mask))
    for name in ("logits", "blocks.0.attn_out", "blocks.0.attn.pattern"):
        assert_close(trace[name], expected[name], name)


def test_a_head_that_reads_across_has_the_other_prompts_keys_and_values(pair):
    last, head = pair.config["n_layer"] - 1, pair.config["n_head"] - 1
    others = tuple(int(i) for i in np.random.default_rng(3).integers(0, pair.config["vocab_size"], 7))
    site = f"blocks.{last}.attn.z"
    texts = ("blocks.0.mlp_out[2]*=2", f"{site}[{head}]=across")
    passes = compute_passes(pair.engine, None, Asked(pair.ids, texts, other=others))
    first = parse_edits(texts[:1], pair.engine.config, COUNT)
    with hooked(pair.theirs, first):
        here = tensors(pair.theirs, pair.ids, edited=True)
    there = tensors(pair.theirs, others)
    scores = here[f"blocks.{last}.attn.q"][head] @ there[f"blocks.{last}.attn.k"][head].T
    if pair.config.get("scale_attn_weights", True):
        scores /= np.sqrt(pair.engine.config.d_head)
    if pair.config.get("scale_attn_by_inverse_layer_idx"):
        scores /= last + 1
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ there[f"blocks.{last}.attn.v"][head]
    assert_close(passes.trace[site][head], expected, site)
    assert passes.trace.run.changes == texts
