"""For TransformerLens' names the error gives ours; the pairs were found by comparing numbers (see tests/data)."""

import json
from pathlib import Path

import numpy as np
import pytest

from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.names import IN_BLOCKS, OUTSIDE_BLOCKS, answer, match_names
from desktop_app.gpt2.tensors import tensor_table
from desktop_app.gpt2.trace import Trace
from tests.checkpoints import TINY

HOOKS = json.loads((Path(__file__).parent.parent / "data" / "transformer_lens_names.json").read_text())["hooks"]
CONFIG = parse_config(TINY, "tiny")


@pytest.fixture(scope="module")
def trace():
    return Trace(CONFIG, {"tokens": np.array([1, 2])})


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_answered_with_the_tensor_that_has_its_numbers(hook, trace):
    with pytest.raises(ModelError) as told:
        trace[hook]
    words = str(told.value)
    if HOOKS[hook]:
        (ours,) = [n for n in HOOKS[hook] if f" {n}, [{', '.join(trace.table[n].axes)}]" in words]
        assert words == f"This model has no tensor {hook!r}; TransformerLens' name stands for {ours}, " + (
            f"[{', '.join(trace.table[ours].axes)}]."
        )
    else:
        assert words.endswith("the positions themselves, 0, 1, 2 and so on.")


def test_every_answer_names_a_tensor_that_is_there():
    table = tensor_table(CONFIG)
    for ours in OUTSIDE_BLOCKS.values():
        assert ours.replace("{last}", "1") in table
    for ours in IN_BLOCKS.values():
        assert f"blocks.1.{ours}" in table


@pytest.mark.parametrize(
    ("asked", "ours"),
    [
        (("pattern", 1), "blocks.1.attn.pattern, [head, query, key]"),
        (("attn", 1), "blocks.1.attn.pattern"),
        (("q", 0), "blocks.0.attn.q, [head, pos, d_head]"),
        (("resid_pre", 1), "blocks.1.resid_pre"),
        (("scale", 1, "ln1"), "blocks.1.ln1.scale"),
        (("mlp_post", 0), "blocks.0.mlp.post"),
        (("pre", 0), "blocks.0.mlp.pre"),
        (("mlp_out", 0), "blocks.0.mlp_out"),
        (("embed",), "embed, [pos, d_model]"),
        ("k1", "blocks.1.attn.k"),
        ("scale1ln2", "blocks.1.ln2.scale"),
        ("blocks.*.attn.hook_pattern", "blocks.0.attn.pattern and blocks.1.attn.pattern"),
        ("blocks.1.attn.hook_[qkv]", "blocks.1.attn.q and 2 more"),
        (("result", 1), "attn.z times the head's rows of W_O"),
        ("blocks.1.attn.hook_result", "attn.z times the head's rows of W_O"),
    ],
)
def test_shorthand_and_globs_are_answered_too(asked, ours, trace):
    with pytest.raises(ModelError, match=r"This model has no tensor .*TransformerLens' name stands for") as told:
        trace[asked]
    assert ours in str(told.value)


@pytest.mark.parametrize(
    "asked", ["blocks.7.attn.hook_pattern", ("pattern", 7), ("pattern", "x", [1]), (), 5, None, "é"]
)
def test_what_stands_for_nothing_here_is_refused_all_the_same(asked, trace):
    assert answer(asked, CONFIG) == ""
    with pytest.raises(ModelError, match="This model has no tensor"):
        trace[asked]


def test_a_glob_of_hooks_is_answered_for_files_too():
    with pytest.raises(ModelError, match=r"stands for blocks\.0\.attn\.z and blocks\.1\.attn\.z"):
        match_names(["embed", "blocks.*.attn.hook_z"], CONFIG)
    assert match_names(["*.attn.z"], CONFIG) == ["blocks.0.attn.z", "blocks.1.attn.z"]
