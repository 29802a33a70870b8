"""Masks by name: which pairs they show, how many, and what is refused; the graph without a mask does not change."""

import hashlib

import numpy as np
import pytest

from desktop_app.core.check import check, check_pass
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.as_numpy import as_numpy
from desktop_app.core.opening.cells import Cell
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.edited import finals
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.graph import build_graph
from desktop_app.gpt2.mask import CAUSAL, parse_mask
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.trace import Trace
from tests.checkpoints import TINY, write_checkpoint

IDS = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
PLAIN_GRAPH = "00983c3aee42ff406096e13990710b6a9cb1f0c15861d4a971b91d42f6294f5f"
CONFIG = parse_config(TINY | {"n_layer": 3}, "test")
MASKS = [
    "none",
    "window:3",
    "window:2+first",
    "strided:3",
    "local:4+global:2",
    "causal, 1.2=window:2, 2.0=none",
    "window:4, 0.1=strided:2+first",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return Engine(load_checkpoint(write_checkpoint(folder, TINY | {"n_layer": 3}, tokenizer=False)))


def by_hand(rule, q, k):
    """Whether a query sees a key, from the definition of each rule."""
    if rule == "none":
        return True
    if k > q:
        return False
    seen = False
    for part in rule.split("+"):
        name, _, n = part.partition(":")
        n = int(n or 0)
        if name == "causal":
            seen = True
        elif name == "window":
            seen = seen or q - k < n
        elif name == "strided":
            seen = seen or q - k < n or (q - k) % n == 0
        elif name == "local":
            seen = seen or q // n == k // n
        elif name == "global":
            seen = seen or k < n
        elif name == "first":
            seen = seen or k == 0
    return seen


@pytest.mark.parametrize(
    "rule",
    ["causal", "none", "window:1", "window:3", "window:2+first", "strided:3", "local:4+global:2", "strided:2+first"],
)
def test_a_rule_shows_the_pairs_that_its_words_say_and_counts_them(rule):
    count = 13
    expected = np.array([[by_hand(rule, q, k) for k in range(count)] for q in range(count)])
    made = parse_mask(rule, CONFIG).rule
    every = np.arange(count)
    assert np.array_equal(made.seen(every, every), expected)
    assert made.pairs(count) == expected.sum()
    assert expected.diagonal().all()
    q, k = np.indices(expected.shape)
    assert np.array_equal(eval(made.numpy, {"q": q, "k": k}), expected)


def test_pairs_of_long_texts_are_counted_without_making_their_grid():
    mask = parse_mask("local:512+global:4", CONFIG).rule
    blocks = 131_072 // 512
    inside, outside = blocks * 512 * 513 // 2, (131_072 - 512) * 4
    assert mask.pairs(131_072) == inside + outside
    assert parse_mask("causal", CONFIG).rule.pairs(131_072) == 131_072 * 131_073 // 2


def test_masks_of_single_heads_are_theirs_alone():
    mask = parse_mask("window:3, 1.2=window:1 , 1.0=window:3", CONFIG)
    assert str(mask) == "window:3, 1.2=window:1"  # a head's rule that equals the common one is dropped
    every = np.arange(5)
    hidden = mask.hidden(CONFIG, 1, every, every)
    assert hidden.shape == (3, 5, 5)
    assert np.array_equal(hidden[0], ~np.array([[by_hand("window:3", q, k) for k in range(5)] for q in range(5)]))
    assert np.array_equal(hidden[2], ~np.eye(5, dtype=bool))
    assert mask.hidden(CONFIG, 0, every, every).shape == (1, 5, 5)
    assert mask.pairs(CONFIG, 5) == pytest.approx((8 * 12 + 5) / 9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sliding:3", "'sliding:3' is not a rule; choose from causal, none, window:N"),
        ("window", "window needs a number, like window:16"),
        ("none:3", "none does not take a number"),
        ("window:0", "window:0 is out of range"),
        ("first", "does not let every token see itself; add window:1"),
        ("causal, 3.0=none", "no head 0 in block 3"),
        ("causal, none", "every rule after the first must name a head, like 3.1=window:4"),
        ("", "'' is not a rule"),
    ],
)
def test_a_bad_mask_is_refused_with_the_part_at_fault(text, sentence):
    with pytest.raises(ModelError) as refused:
        parse_mask(text, CONFIG)
    assert sentence in str(refused.value)


def test_the_plain_graph_is_the_same_to_the_byte_as_before_there_were_masks():
    graph = build_graph(CONFIG).SerializeToString(deterministic=True)
    assert hashlib.sha256(graph).hexdigest() == PLAIN_GRAPH


def test_under_gpt2s_own_mask_a_pass_is_the_plain_one(engine):
    plain = engine.trace(IDS)
    same = engine.trace(IDS, mask="causal, 1.2=causal")
    assert same.run == plain.run
    assert same.run.mask == CAUSAL
    for name in plain.table:
        assert plain[name].tobytes() == same[name].tobytes()


@pytest.mark.parametrize("mask", MASKS)
def test_every_tensor_of_a_masked_pass_passes_its_check_and_opens(engine, mask):
    assert [f.name for f in check_pass(engine, IDS, mask=mask) if not f.good] == []
    trace = engine.trace(IDS, mask=mask)
    assert [f.name for f in check(trace, engine.checkpoint.weights) if not f.good] == []
    for head, query, key in ((0, 4, 2), (2, 7, 7), (1, 3, 9)):
        for layer in range(3):
            opening = open_cell(
                trace, engine.checkpoint.weights, Cell(f"blocks.{layer}.attn.masked", (head, query, key))
            )
            assert opening.recomputed == opening.value or abs(opening.recomputed - opening.value) < 1e-5
            pattern = trace.read(f"blocks.{layer}.attn.pattern")
            hidden = parse_mask(mask, engine.config).hidden(engine.config, layer, np.arange(10), np.arange(10))
            assert (pattern[np.broadcast_to(hidden, pattern.shape)] == 0).all()
            # A single head is read under its own mask.
            assert np.array_equal(trace.read(f"blocks.{layer}.attn.pattern", head=head), pattern[head])


@pytest.mark.parametrize("mask", MASKS)
def test_lines_of_numpy_make_a_masked_score_again(engine, mask, tmp_path, monkeypatch):
    trace = engine.trace(IDS, mask=mask)
    trace.save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    for index in (None, (1, 4, 2), (2, 3, 9)):
        lines = as_numpy(engine.checkpoint, "blocks.1.attn.masked", index, mask=trace.run.mask)
        found = {}
        exec(lines.replace("print(", "result = ("), found)
        expected = trace["blocks.1.attn.masked"]
        assert np.array_equal(found["result"], expected if index is None else expected[index])


def test_a_masked_trace_is_saved_with_its_mask_and_read_again(engine, tmp_path):
    trace = engine.trace(IDS, mask="causal, 1.2=window:2")
    trace.save(tmp_path / "masked.safetensors")
    again = Trace.load(tmp_path / "masked.safetensors", engine.checkpoint)
    assert again.run.mask == trace.run.mask
    assert again.run.changes == ("mask causal, 1.2=window:2",)
    assert np.array_equal(again["blocks.1.attn.pattern"], trace["blocks.1.attn.pattern"])


def test_nothing_is_taken_over_under_another_mask():
    one, longer = Run(1, IDS, mask="none"), Run(1, (*IDS, 7), mask="none")
    assert longer.reusable(one) == 0


@pytest.mark.parametrize("mask", MASKS)
def test_many_edited_passes_under_a_mask_are_each_what_they_are_alone(engine, mask):
    plain = engine.trace(IDS, mask=mask)
    texts = ["blocks.1.attn.z[0]=0", "blocks.1.attn.z[2, 4:]=0.5", "blocks.0.mlp_out[9]=0", "blocks.2.attn.z[1]=0"]
    variants = [parse_edits([text], engine.config, len(IDS)) for text in texts]
    found = finals(engine, plain, variants)
    for edits, row in zip(variants, found, strict=True):
        own = engine.trace(IDS, edits=edits, mask=mask).read("ln_final.out", row=-1)
        assert np.abs(row - own).max() < 1e-5


def test_a_row_that_loses_every_key_that_its_mask_shows_is_refused(engine):
    edits = parse_edits(["blocks.0.attn.scaled[1, 5, 4:6]=-inf"], engine.config, len(IDS))
    engine.trace(IDS, edits=edits, mask="window:3")
    with pytest.raises(ModelError, match="query 5 of head 1 has every key cut"):
        engine.trace(IDS, edits=edits, mask="window:2")
