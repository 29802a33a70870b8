"""Circuits by the weights: against the full [d_model, d_model] and [d_vocab, d_vocab] matrices in float64."""

import tracemalloc

import numpy as np
import pytest

from desktop_app.core.analysis import circuits, folding, head_circuits
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.session import Stop
from tests.checkpoints import TINY, random_weights, write_checkpoint

CONFIG = TINY | {"n_layer": 3, "tie_word_embeddings": False}


class Reference:
    """The definitions, word for word, with every matrix whole."""

    def __init__(self, checkpoint):
        self.c = checkpoint.config
        self.w = {name: array.astype(np.float64) for name, array in checkpoint.weights.items()}
        self.centre = np.eye(self.c.n_embd) - 1 / self.c.n_embd
        self.unembed = self.centre @ np.diag(self.w["ln_final.w"]) @ self.w["unembed.W_U"].T

    def head(self, layer, head):
        """(W_QK, W_OV), ln1 folded in."""
        d, h = self.c.n_embd, self.c.d_head
        qkv = self.w[f"blocks.{layer}.attn.W_QKV"]
        fold = self.centre @ np.diag(self.w[f"blocks.{layer}.ln1.w"])
        q, k, v = (fold @ qkv[:, part * d + head * h : part * d + (head + 1) * h] for part in range(3))
        return q @ k.T, v @ self.w[f"blocks.{layer}.attn.W_O"][head * h : (head + 1) * h]

    def embedded(self, *, through_mlp):
        e = self.w["embed.W_E"]
        if through_mlp:
            block = {name.removeprefix("blocks.0."): array for name, array in self.w.items() if "blocks.0." in name}
            x = self.norm(e) * block["ln2.w"] + block["ln2.b"]
            pre = x @ block["mlp.W_in"] + block["mlp.b_in"]
            post = 0.5 * pre * (1 + np.tanh(np.sqrt(2 / np.pi) * (pre + 0.044715 * pre**3)))
            e = e + post @ block["mlp.W_out"] + block["mlp.b_out"]
        return e

    def norm(self, x):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.c.layer_norm_epsilon)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return load_checkpoint(write_checkpoint(folder, CONFIG, random_weights(CONFIG, 5), tokenizer=False))


@pytest.fixture(scope="module")
def reference(checkpoint):
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def found(checkpoint):
    return circuits.compute(checkpoint)


def test_composition_is_that_of_the_whole_matrices(found, reference):
    layers, heads = CONFIG["n_layer"], CONFIG["n_head"]
    size = np.linalg.norm
    for layer1, head1, layer2, head2 in np.ndindex(layers, heads, layers, heads):
        at = layer1, head1, layer2, head2
        if layer1 >= layer2:
            assert all(np.isnan(found.composition[kind][at]) for kind in circuits.KINDS)
            continue
        (_, ov1), (qk2, ov2) = reference.head(layer1, head1), reference.head(layer2, head2)
        expected = {"q": (qk2, qk2), "k": (qk2.T, qk2), "v": (ov2, ov2)}
        for kind, (read, whole) in expected.items():
            score = size(ov1 @ read) / (size(ov1) * size(whole))
            assert found.composition[kind][at] == pytest.approx(score, abs=1e-6), (kind, at)


def test_copying_is_that_of_the_matrix_over_the_whole_vocabulary(found, reference):
    for through_mlp, scores in ((False, found.copying), (True, found.copying_through_mlp)):
        for layer, head in np.ndindex(scores.shape):
            rows = reference.embedded(through_mlp=through_mlp and layer > 0)
            if through_mlp:
                rows = reference.norm(rows)
            values = np.linalg.eigvals(rows @ reference.head(layer, head)[1] @ reference.unembed)
            assert scores[layer, head] == pytest.approx(values.sum().real / np.abs(values).sum(), abs=1e-5)


def test_the_baseline_is_measured_and_near_one_over_the_root_of_the_width(checkpoint, found):
    expected = checkpoint.config.n_embd**-0.5
    assert found.random == pytest.approx(expected, rel=0.1)
    assert 0 < found.random_spread < 0.2 * expected
    # Random weights are what the baseline is of: they lie about it.
    every = np.concatenate([found.composition[kind][np.isfinite(found.composition[kind])] for kind in circuits.KINDS])
    assert abs(float(np.median(every)) - found.random) < 2 * found.random_spread


def test_a_planted_composition_stands_out(tmp_path):
    """A head that writes exactly what a later head's keys read composes with it by K, above every other pair."""
    weights = random_weights(CONFIG, 8)
    for name in ("h.0.attn.c_proj.weight", "h.2.attn.c_attn.weight"):
        weights[name] = weights[name].copy()
    key = weights["h.2.attn.c_attn.weight"][:, 24 + 8 : 24 + 16]  # block 2, head 1
    centred = weights["h.2.ln_1.weight"][:, None] * key
    weights["h.0.attn.c_proj.weight"][16:24] = (centred - centred.mean(0)).T  # block 0, head 2
    made = circuits.compute(load_checkpoint(write_checkpoint(tmp_path, CONFIG, weights, tokenizer=False)))
    kind, earlier, later, score = circuits.strongest(made, 1)[0]
    assert (kind, earlier, later) == ("k", (0, 2), (2, 1))
    assert score > 2 * made.random


def test_composition_keeps_one_matrix_of_the_streams_width_a_block(tmp_path):
    """So GPT-2 XL takes 48 times 10 MB and twenty more of them, below 1 GB, beside its weights."""
    config = TINY | {"n_layer": 8, "n_embd": 192}
    made = load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False))
    circuits.compositions(made)  # what is allocated once
    tracemalloc.start()
    try:
        circuits.compositions(made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    matrix = 4 * 192**2
    assert 8 * matrix < peak < (8 + 20) * matrix
    assert (48 + 20) * 4 * 1600**2 < 1e9


def test_copying_keeps_one_vector_a_token(tmp_path):
    """So GPT-2 XL takes 322 MB of vectors and seven times 52 MB of hidden ones, below 1 GB, beside its weights."""
    config = TINY | {"n_embd": 96, "vocab_size": 9000}
    made = load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False))
    vectors, hidden = 4 * 9000 * 96, 4 * 2048 * 4 * 96  # 2,048 tokens are taken through the MLP at once
    tracemalloc.start()
    try:
        circuits.copying(made, through_mlp=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert vectors < peak < vectors + 7 * hidden
    scores = 3 * 8 * (48 * 25) ** 2  # of all pairs, computed before
    assert 4 * 50257 * 1600 + 7 * 4 * 2048 * 4 * 1600 + scores < 1e9


def test_one_block_has_no_pairs(tmp_path):
    config = TINY | {"n_layer": 1}
    made = circuits.compute(load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False)))
    assert all(np.isnan(made.composition[kind]).all() for kind in circuits.KINDS)
    assert circuits.strongest(made, 5) == []
    assert np.isfinite(made.copying).all()


def test_it_stops_between_two_pairs(checkpoint):
    stop, heard = Stop(), []

    def progress(share):
        heard.append(share)
        stop.set()

    with pytest.raises(Cancelled):
        circuits.compositions(checkpoint, stop=stop, progress=progress)
    assert len(heard) == 1


# One head


@pytest.mark.parametrize("through_mlp", [True, False])
@pytest.mark.parametrize(("layer", "head"), [(0, 1), (2, 2)])
def test_tables_are_rows_of_the_matrices_over_the_whole_vocabulary(checkpoint, reference, layer, head, through_mlp):
    qk, ov = reference.head(layer, head)
    rows = reference.norm(reference.embedded(through_mlp=through_mlp and layer > 0))
    whole = {"OV": rows @ ov @ reference.unembed, "QK": rows @ qk @ rows.T / checkpoint.config.d_head**0.5}
    ids = (5, 0, 96)
    for circuit, matrix in whole.items():
        made = head_circuits.table(checkpoint, circuit, layer, head, ids, through_mlp=through_mlp, top=4)
        assert made.through_mlp == (through_mlp and layer > 0)
        for n, token in enumerate(ids):
            order = np.argsort(-matrix[token])
            assert made.promoted[n].tolist() == order[:4].tolist()
            assert made.suppressed[n].tolist() == order[::-1][:4].tolist()
            assert made.promoted_number[n] == pytest.approx(matrix[token][order[:4]], rel=1e-4)
            assert made.own[n] == pytest.approx(matrix[token, token], rel=1e-3, abs=1e-4)
            assert made.own_rank[n] == (matrix[token] > matrix[token, token]).sum()


def test_typical_tokens_are_those_that_most_is_written_for(checkpoint, reference):
    rows = reference.norm(reference.embedded(through_mlp=True))
    lengths = np.linalg.norm(rows @ reference.head(1, 0)[1], axis=1)
    assert head_circuits.typical(checkpoint, 1, 0, count=6).tolist() == np.argsort(-lengths)[:6].tolist()


@pytest.mark.parametrize("circuit", ["OV", "QK"])
def test_singular_directions_make_the_matrix_again(checkpoint, reference, circuit):
    made = head_circuits.singular(checkpoint, circuit, 1, 2)
    matrix = reference.head(1, 2)[circuit == "OV"]
    assert made.reads.T @ np.diag(made.values) @ made.writes == pytest.approx(matrix, abs=1e-5)
    assert made.values == pytest.approx(np.linalg.svd(matrix)[1][: len(made.values)], rel=1e-5)
    for side in (made.reads, made.writes):
        assert side @ side.T == pytest.approx(np.eye(len(side)), abs=1e-9)
    few = head_circuits.singular(checkpoint, circuit, 1, 2, 3)
    assert few.values.tolist() == made.values[:3].tolist()


def test_the_projection_kernel_is_what_two_subspaces_share(checkpoint, reference):
    d, h = checkpoint.config.n_embd, checkpoint.config.d_head
    kernel = head_circuits.projection_kernel(checkpoint, 0, 1, "o", "k")

    def projector(columns):
        return columns @ np.linalg.pinv(columns)

    written = projector(reference.w["blocks.0.attn.W_O"][h : 2 * h].T)
    for layer, head in np.ndindex(kernel.shape):
        key = reference.w[f"blocks.{layer}.attn.W_QKV"][:, d + head * h : d + (head + 1) * h]
        read = projector(reference.centre @ np.diag(reference.w[f"blocks.{layer}.ln1.w"]) @ key)
        assert kernel[layer, head] == pytest.approx(np.trace(written @ read) / h, abs=1e-5)
    same = head_circuits.projection_kernel(checkpoint, 1, 0, "v", "v")
    assert same[1, 0] == pytest.approx(1, abs=1e-5)
    assert same.min() >= 0


def test_a_head_of_lower_rank_shares_what_it_has_and_nothing_that_it_has_not(tmp_path):
    weights = random_weights(CONFIG, 6)
    d, heads = CONFIG["n_embd"], CONFIG["n_head"]
    h = d // heads
    o, qkv = weights["h.0.attn.c_proj.weight"], weights["h.1.attn.c_attn.weight"]
    o[1] = 2 * o[0]  # head 0 of block 0 writes along one direction less
    o[h : 2 * h] = 0  # head 1 writes nothing
    # Head 0 of block 1 has a value that reads exactly what head 0 of block 0 writes, and one direction twice.
    scale = weights["h.1.ln_1.weight"][:, None]
    centred = o[:h].T - o[:h].T.mean(0)
    qkv[:, 2 * d : 2 * d + h] = centred / scale
    made = load_checkpoint(write_checkpoint(tmp_path, CONFIG, weights, tokenizer=False))
    reference = Reference(made)

    def projector(columns):
        left, sizes, _ = np.linalg.svd(columns)
        kept = left[:, : int((sizes > 1e-5 * max(sizes[0], 1e-9)).sum())] if sizes[0] > 1e-9 else left[:, :0]
        return kept @ kept.T, kept.shape[1]

    for head in range(heads):
        written, own = projector(reference.w["blocks.0.attn.W_O"][head * h : (head + 1) * h].T)
        assert own == {0: h - 1, 1: 0}.get(head, h)
        kernel = head_circuits.projection_kernel(made, 0, head, "o", "v")
        for other in range(heads):
            value = reference.w["blocks.1.attn.W_QKV"][:, 2 * d + other * h : 2 * d + (other + 1) * h]
            read, rank = projector(reference.centre @ np.diag(reference.w["blocks.1.ln1.w"]) @ value)
            expected = np.trace(written @ read) / max(min(own, rank), 1)
            assert kernel[1, other] == pytest.approx(expected, abs=1e-4)
    itself = head_circuits.projection_kernel(made, 0, 0, "o", "o")
    assert itself[0, 0] == pytest.approx(1, abs=1e-5) and itself[0, 1] == 0


def test_what_is_not_there_is_refused(checkpoint):
    with pytest.raises(ModelError, match=r"no block 3"):
        head_circuits.table(checkpoint, "OV", 3, 0, [1])
    with pytest.raises(ModelError, match=r"no head 3; this model's heads are 0 to 2"):
        head_circuits.singular(checkpoint, "QK", 0, 3)
    with pytest.raises(ModelError, match="97"):
        head_circuits.table(checkpoint, "QK", 0, 0, [97])


def test_what_stands_for_every_token_is_made_once_for_a_model(checkpoint):
    made = folding.kept_embeddings(checkpoint)
    assert made is folding.kept_embeddings(checkpoint)
    assert made[[3, 90]] == pytest.approx(folding.embeddings(checkpoint, np.array([3, 90])), abs=1e-6)


def test_the_bundled_models_induction_heads_copy():
    checkpoint = load_checkpoint(default_model())
    scores = circuits.copying(checkpoint, through_mlp=True)
    induction = {(5, 1), (5, 4), (6, 2), (7, 2)}
    for found in (scores, circuits.copying(checkpoint)):
        assert {divmod(int(at), found.shape[1]) for at in np.argsort(-found.ravel())[:4]} == induction
        assert min(found[head] for head in induction) > 0.95
