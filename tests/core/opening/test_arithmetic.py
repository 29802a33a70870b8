"""Any number opens to operands that make it again, each of which opens in turn, back to token ids and weights."""

import itertools
import json
import math

import numpy as np
import pytest

from desktop_app.core.levels import number
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.tensors import tensor_table
from desktop_app.gpt2.trace import Trace
from tests import reference
from tests.checkpoints import TINY, random_weights, store_weights, write_checkpoint

ODD = TINY | {
    "n_inner": 37,
    "activation_function": "gelu",
    "layer_norm_epsilon": 1e-3,
    "scale_attn_by_inverse_layer_idx": True,
    "tie_word_embeddings": False,
}
ODD_IDS = (90, 3, 3, 14, 15, 92, 65, 35)
NAMES = [
    name.replace("blocks.1.", "blocks.{L}.")
    for name in tensor_table(parse_config(TINY, "test"))
    if not name.startswith("blocks.0.") and name != "tokens"
]


def odd(folder):
    (folder / "config.json").write_text(json.dumps(ODD))
    store_weights(folder, random_weights(ODD, 5), prefix="transformer.", linear=True, dtype="BF16", shards=2)
    return Engine(load_checkpoint(folder))


@pytest.fixture(scope="module", params=["odd", "odd, derived", "odd, stitched", "bundled", "bundled, derived"])
def model(request, tmp_path_factory):
    """(trace, weights): one that the graph gave whole, one that keeps a few tensors, one that grew on its cache."""
    name, _, kind = request.param.partition(", ")
    if name == "odd":
        engine, ids = odd(tmp_path_factory.mktemp("odd")), ODD_IDS
    else:
        engine = Engine(load_checkpoint(default_model()))
        ids = np.random.default_rng(0).integers(0, engine.config.vocab_size, 11).tolist()
    with pytest.MonkeyPatch.context() as patch:
        if kind == "derived":
            patch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
        trace = engine.trace(ids, reuse=engine.trace(ids[:5]) if kind == "stitched" else None)
    assert ("blocks.0.attn.pattern" in trace.captured) == (not kind)
    return trace, engine.checkpoint.weights


def cells_of(trace, name, count=12):
    """The cells at the corners of a tensor, and some in between."""
    shape = trace.table[name].spec.shape(trace.config, len(trace))
    corners = itertools.product(*({0, length - 1} for length in shape))
    rng = np.random.default_rng(len(name))
    between = (tuple(int(rng.integers(length)) for length in shape) for _ in range(count))
    return [Cell(name, index) for index in {*corners, *between}]


def openings(model, template):
    """Openings of cells of a tensor, in the first block, the last, and one between where there are blocks."""
    trace, weights = model
    last = trace.config.n_layer - 1
    layers = sorted({0, last // 2, last}) if "{L}" in template else [0]
    for layer in layers:
        for cell in cells_of(trace, template.replace("{L}", str(layer))):
            yield open_cell(trace, weights, cell)


def made_again(opening, config):
    """The number that the operands make, by the rule of their kind and nothing of the package's."""
    vectors = [vector.values for vector in opening.vectors]
    scalars = [scalar.value for scalar in opening.scalars]
    if opening.kind == "dot":
        assert len(scalars) <= 1
        return math.fsum(float(a) * float(b) for a, b in zip(*vectors, strict=True)) + sum(scalars)
    if opening.kind == "softmax":
        exponentials = [math.exp(score - max(vectors[0])) for score in vectors[0]]
        return exponentials[opening.cell.index[-1]] / math.fsum(exponentials)
    if opening.kind == "mean":
        return math.fsum(vectors[0]) / len(vectors[0])
    if opening.kind == "spread":
        mean, epsilon = scalars
        return math.sqrt(math.fsum((x - mean) ** 2 for x in vectors[0]) / len(vectors[0]) + epsilon)
    assert opening.kind in ("few", "gather", "curve")
    part = opening.cell.name.rsplit(".", 1)[-1]
    if part in ("embed", "pos_embed", "concat"):
        return scalars[-1]
    if part == "normalized":
        x, mean, scale = scalars
        return (x - mean) / scale
    if part == "out":
        x, gain, bias = scalars
        return x * gain + bias
    if part == "scaled":
        return scalars[0] / scalars[1]
    if part == "masked":
        _, query, key = opening.cell.index
        return -math.inf if key > query else scalars[0]
    if part == "post":
        return float(reference.activate(np.array(scalars[0]), config.activation_function))
    assert part in ("resid_pre", "resid_mid", "resid_post")
    return sum(scalars)


def absolute_terms(opening):
    """The sum of the absolute terms that the number was added up from, with no operand's own terms in it."""
    vectors = [np.abs(vector.values) for vector in opening.vectors]
    scalars = [abs(scalar.value) for scalar in opening.scalars]
    part = opening.cell.name.rsplit(".", 1)[-1]
    if opening.kind == "dot":
        return float((vectors[0] * vectors[1]).sum()) + sum(scalars)
    if opening.kind == "softmax":  # a probability is off by what its exponent is off by
        return max(1.0, vectors[0][np.isfinite(vectors[0])].max()) * max(opening.recomputed, 1e-9)
    if opening.kind == "mean":
        return vectors[0].mean()
    if part == "normalized":
        return (scalars[0] + scalars[1]) / scalars[2]
    if part == "out":
        return scalars[0] * scalars[1] + scalars[2]
    if part == "masked" and opening.recomputed == -math.inf:
        return math.inf
    if part in ("masked", "post"):
        return scalars[0]
    return sum(scalars) if part.startswith("resid") else abs(opening.recomputed)


def within(value, expected, limit):
    return value == expected or abs(value - expected) <= limit


@pytest.mark.parametrize("template", NAMES)
def test_operands_make_the_number_again(model, template):
    trace, _ = model
    for opening in openings(model, template):
        again = made_again(opening, trace.config)
        assert within(opening.value, again, 1e-5 * opening.magnitude), opening.cell
        assert within(opening.recomputed, again, 1e-12 * max(1, opening.magnitude)), opening.cell
        assert within(opening.difference, abs(opening.value - again), 1e-12) or opening.value == again == -math.inf
        # A derived operand counts for more than its own size, never for less.
        terms, held = absolute_terms(opening), len(trace.captured) > len(trace.table) / 2
        assert opening.magnitude == pytest.approx(terms, rel=1e-5) if held else opening.magnitude >= 0.99999 * terms
        assert opening.formula == trace.table[opening.cell.name].spec.written
        assert opening.numbers.endswith(number(opening.recomputed)) or "embed" in opening.cell.name


@pytest.mark.parametrize("template", NAMES)
def test_operands_stand_where_they_say_that_they_stand(model, template):
    trace, weights = model
    for opening in openings(model, template):
        for vector in opening.vectors:
            assert vector.values.dtype == np.float64
            whole = weights[vector.source.name] if vector.source.name in weights else trace[vector.source.name]
            for i in {0, len(vector.values) // 2, len(vector.values) - 1}:
                place = vector.source.at(0, i)
                # A row that is derived alone may round otherwise than the whole.
                assert vector.values[i] == pytest.approx(whole[place], rel=1e-5, abs=1e-5), vector.source
                assert read_cell(trace, weights, Cell(vector.source.name, place)) == pytest.approx(
                    whole[place], rel=1e-5, abs=1e-5
                )
        for scalar in opening.scalars:
            if scalar.cell is not None:
                assert scalar.value == read_cell(trace, weights, scalar.cell)


@pytest.mark.parametrize("template", NAMES)
def test_operands_are_the_inputs_that_the_table_names_and_come_before(model, template):
    trace, weights = model
    order = list(trace.table)
    for opening in openings(model, template):
        name = opening.cell.name
        used = [vector.source.name for vector in opening.vectors]
        used += [scalar.cell.name for scalar in opening.scalars if scalar.cell is not None]
        assert set(used) == set(trace.table[name].inputs), opening.cell
        for source in used:
            assert source in weights or order.index(source) < order.index(name)
        constants = [scalar.value for scalar in opening.scalars if scalar.cell is None]
        if name.endswith(".scale"):
            assert constants == [trace.config.layer_norm_epsilon]
        elif name.endswith(".scaled"):
            assert constants == [trace.config.score_divisor(trace.table[name].layer)]
        elif name.endswith(".pattern"):
            row = opening.vectors[0].values
            assert constants == pytest.approx([row.max(), np.exp(row - row.max()).sum()])
        else:
            assert constants == []


def test_a_long_walk_down_any_operands_ends_at_a_token_or_a_weight(model):
    trace, weights = model
    rng = np.random.default_rng(1)
    for start in cells_of(trace, "logits", 20):
        cell, steps = start, 0
        while (opening := open_cell(trace, weights, cell)).kind != "given":
            operands = [s.cell for s in opening.scalars if s.cell is not None]
            for vector in opening.vectors:
                i = int(rng.integers(len(vector.values)))
                operands.append(Cell(vector.source.name, vector.source.at(0, i)))
            # A tensor rather than a weight, which would be the end.
            deeper = [o for o in operands if o.name not in weights] or operands
            cell = deeper[int(rng.integers(len(deeper)))]
            steps += 1
        assert cell.name == "tokens" or cell.name in weights
        assert 4 <= steps <= len(trace.table)


def test_from_the_last_logits_every_weight_and_token_that_bears_on_them_is_reached(tmp_path):
    """Every operand of every cell on the way, opened: no dead end, no cycle, nothing left out."""
    config = {
        "model_type": "gpt2", "vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 2, "n_head": 2, "n_inner": 3
    }  # fmt: skip
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False)))
    trace, weights = engine.trace((4, 0, 2)), engine.checkpoint.weights
    seen, waiting = set(), [Cell("logits", (2, token)) for token in range(5)]
    while waiting:
        cell = waiting.pop()
        if cell in seen:
            continue
        seen.add(cell)
        opening = open_cell(trace, weights, cell)
        if opening.kind == "given":
            assert cell.name == "tokens" or cell.name in weights
            assert not opening.vectors
            assert not opening.scalars
        waiting += [s.cell for s in opening.scalars if s.cell is not None]
        waiting += [
            Cell(v.source.name, v.source.at(0, i)) for v in opening.vectors for i in range(len(v.values))
        ]  # fmt: skip
    reached = {name: {cell.index for cell in seen if cell.name == name} for name in [*trace.table, *weights]}
    assert reached["tokens"] == {(0,), (1,), (2,)}
    assert reached["embed.W_E"] == set(itertools.product((0, 2, 4), range(4)))  # the rows of the text's tokens
    assert reached["pos_embed.W_pos"] == set(itertools.product(range(3), range(4)))
    for name, array in weights.items():
        if name not in ("embed.W_E", "pos_embed.W_pos"):
            assert len(reached[name]) == array.size, name


def test_a_token_or_a_weight_opens_to_itself(model):
    trace, weights = model
    for cell in (Cell("tokens", (2,)), Cell("embed.W_E", (3, 5)), Cell("blocks.0.attn.b_QKV", (7,))):
        opening = open_cell(trace, weights, cell)
        source = weights[cell.name] if cell.name in weights else trace[cell.name]
        assert opening.kind == "given"
        assert opening.value == opening.recomputed == source[cell.index]
        assert opening.difference == 0


def test_products_are_the_terms_of_a_dot_product(model):
    trace, weights = model
    opening = open_cell(trace, weights, Cell("blocks.0.attn.scores", (1, 4, 2)))
    q, k = trace["blocks.0.attn.q"][1, 4], trace["blocks.0.attn.k"][1, 2]
    assert np.array_equal(opening.products, q.astype(float) * k)
    assert open_cell(trace, weights, Cell("embed", (0, 0))).products is None


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("blocks.0.attn.pattern", (0, 0)),
        ("blocks.0.attn.pattern", (0, 0, 0, 0)),
        ("blocks.0.attn.pattern", (99, 0, 0)),
        ("blocks.0.attn.pattern", (0, 99, 0)),
        ("blocks.0.attn.pattern", (0, 0, 99)),
        ("blocks.0.attn.pattern", (0, -1, 0)),
        ("logits", (0, -1)),
        ("logits", (99, 0)),
        ("tokens", ()),
        ("tokens", (-1,)),
        ("embed.W_E", (0,)),
        ("embed.W_E", (0, -1)),
        ("embed.W_E", (10**6, 0)),
        ("blocks.99.resid_pre", (0, 0)),
        ("attn.pattern", (0, 0, 0)),
        ("", ()),
    ],
)
def test_a_cell_that_is_not_there_is_refused(model, name, index):
    for ask in (read_cell, open_cell):
        with pytest.raises(ModelError, match=r"no cell|no tensor"):
            ask(*model, Cell(name, index))


def test_a_number_that_its_operands_do_not_make_shows_by_how_much(tmp_path):
    engine = odd(tmp_path)
    full = engine.trace(ODD_IDS)
    captured = {name: np.array(array) for name, array in full.captured.items()}
    captured["blocks.1.mlp.post"][4, 9] += 0.25
    captured["blocks.1.attn.masked"][0, 2, 5] = 1.0
    trace = Trace(full.config, captured)
    opening = open_cell(trace, engine.checkpoint.weights, Cell("blocks.1.mlp.post", (4, 9)))
    assert opening.difference == pytest.approx(0.25, rel=1e-4)
    hidden = open_cell(trace, engine.checkpoint.weights, Cell("blocks.1.attn.masked", (0, 2, 5)))
    assert (hidden.value, hidden.recomputed, hidden.difference) == (1.0, -math.inf, math.inf)
    # What follows is made from the wrong number as it should be.
    after = open_cell(trace, engine.checkpoint.weights, Cell("blocks.1.mlp_out", (4, 0)))
    assert captured["blocks.1.mlp.post"][4, 9] in after.vectors[0].values
