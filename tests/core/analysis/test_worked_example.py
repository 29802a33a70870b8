"""One block, one head, two dimensions, two tokens: every number worked out by hand.

Token 0 is the vector (1, -1), token 1 is (2, -2), positions add nothing; layer norm maps both to (1, -1). W_Q, W_K, W_V
and W_O are identities, and queries get a bias of (1, 0). Both keys are equal, so a query attends to both equally. The
MLP ignores its input and writes its bias, (0.5, -0.5). W_U has the rows (1, 0) and (0, 1).

At position 1: (2, -2) + (1, -1) from the head + (0.5, -0.5) = (3.5, -3.5), whose scale is 3.5. The logits are 1 and -1.
"""

import math

import numpy as np
import pytest

from desktop_app.core.analysis import attribution, flow, heads, lens, parts, rollout, score
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import write_checkpoint

CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 2,
    "n_positions": 8,
    "n_embd": 2,
    "n_layer": 1,
    "n_head": 1,
    "n_inner": 1,
    "layer_norm_epsilon": 1e-12,
    "tie_word_embeddings": False,
}
ONE = [[1, 0], [0, 1]]
ROOT2 = math.sqrt(2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    weights = {
        "wte.weight": [[1, -1], [2, -2]],
        "wpe.weight": np.zeros((8, 2)),
        "h.0.attn.c_attn.weight": np.hstack([ONE, ONE, ONE]),
        "h.0.attn.c_attn.bias": [1, 0, 0, 0, 0, 0],
        "h.0.attn.c_proj.weight": ONE,
        "h.0.attn.c_proj.bias": [0, 0],
        "h.0.mlp.c_fc.weight": [[0], [0]],
        "h.0.mlp.c_fc.bias": [0],
        "h.0.mlp.c_proj.weight": [[3, 4]],
        "h.0.mlp.c_proj.bias": [0.5, -0.5],
        "lm_head.weight": ONE,
    }
    for norm in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
        weights |= {f"{norm}.weight": [1, 1], f"{norm}.bias": [0, 0]}
    weights = {name: np.array(array, np.float32) for name, array in weights.items()}
    folder = write_checkpoint(tmp_path_factory.mktemp("worked"), CONFIG, weights, tokenizer=False)
    return Engine(load_checkpoint(folder))


@pytest.fixture(scope="module")
def trace(engine):
    return engine.trace([0, 1])


NAMES = ["embed", "pos_embed", "blocks.0.attn.result.0", "blocks.0.attn.b_O", "blocks.0.mlp", "blocks.0.mlp.b_out"]


def test_parts(engine, trace):
    made = parts.compute(engine.checkpoint, trace, layer=1, position=1)
    assert made.arrays()["parts"].tolist() == NAMES
    expected = [[2, -2], [0, 0], [1, -1], [0, 0], [0, 0], [0.5, -0.5]]
    assert made.vectors == pytest.approx(np.array(expected), abs=1e-6)
    assert made.whole == pytest.approx(np.array([3.5, -3.5]), abs=1e-6)


@pytest.mark.parametrize(
    ("level", "names", "sums"),
    [
        ("parts", NAMES, [2, 0, 1, 0, 0, 0.5]),
        (
            "heads and MLPs",
            ["embed", "pos_embed", "blocks.0.attn.result.0", "blocks.0 biases", "blocks.0.mlp"],
            [2, 0, 1, 0.5, 0],
        ),
        ("sublayers", ["embed", "pos_embed", "blocks.0.attn", "blocks.0.mlp"], [2, 0, 1, 0.5]),
        ("blocks", ["embed", "pos_embed", "blocks.0"], [2, 0, 1.5]),
        (
            "kinds",
            ["token embedding", "position embedding", "heads", "attention biases", "MLPs", "MLP biases"],
            [2, 0, 1, 0, 0, 0.5],
        ),
    ],
)
def test_folds_keep_the_sum(engine, trace, level, names, sums):
    made = parts.compute(engine.checkpoint, trace, layer=1, position=1)
    folded = parts.fold(made.parts, level)
    assert list(folded.names) == names
    assert folded.summed(made.vectors)[:, 0] == pytest.approx(sums, abs=1e-6)
    assert folded.summed(made.vectors.T, axis=1)[0] == pytest.approx(sums, abs=1e-6)


def test_attribution_of_one_token_against_the_other(engine, trace):
    made = attribution.compute(engine.checkpoint, trace, target=0, against=1)
    # Along (1, -1) / 3.5.
    assert made.contribution == pytest.approx(np.array([4, 0, 2, 0, 0, 1]) / 3.5, abs=1e-6)
    assert (made.constant, made.total) == (0, pytest.approx(2))
    assert made.head_source[0, 0] == pytest.approx([1 / 3.5, 1 / 3.5], abs=1e-6)  # half of each value
    assert made.neuron[0] == pytest.approx([0])
    assert made.own == pytest.approx(2)


def test_attribution_against_the_mean_and_against_nothing(engine, trace):
    mean = attribution.compute(engine.checkpoint, trace, target=0)
    assert (mean.total, mean.own) == (pytest.approx(1), pytest.approx(1))  # 1 less the mean of 1 and -1
    none = attribution.compute(engine.checkpoint, trace, target=1, baseline="none")
    assert (none.total, none.own) == (pytest.approx(-1), pytest.approx(-1))


def test_lens(engine, trace):
    """Every point is a multiple of (1, -1), so each predicts what the model predicts."""
    made = lens.compute(engine.checkpoint, trace, targets=(1,))
    assert made.points == ("blocks.0.resid_pre", "blocks.0.resid_mid", "blocks.0.resid_post")
    top = math.e / (math.e + 1 / math.e)
    entropy = -top * math.log(top) - (1 - top) * math.log(1 - top)
    assert not made.top_id.any()
    assert made.top_probability == pytest.approx(np.full((3, 2), top), abs=1e-6)
    assert made.entropy == pytest.approx(np.full((3, 2), entropy), abs=1e-6)
    assert made.kl == pytest.approx(np.zeros((3, 2)), abs=1e-6)
    assert made.target_logit[0] == pytest.approx(-np.ones((3, 2)), abs=1e-6)
    assert made.target_probability[0] == pytest.approx(np.full((3, 2), 1 - top), abs=1e-6)
    assert (made.target_rank == 1).all()


def test_a_lens_on_what_a_sublayer_writes_alone(engine, trace):
    made = lens.compute(engine.checkpoint, trace, what="mlp_out")
    assert made.points == ("blocks.0.mlp_out",)
    assert made.top_probability[0, 0] == pytest.approx(math.e / (math.e + 1 / math.e), abs=1e-6)
    assert made.closings() == ()


def test_score(engine, trace):
    made = score.compute(engine.checkpoint, trace, layer=0, head=0, query=1, key=0)
    assert made.arrays()["query_parts"].tolist() == ["embed", "pos_embed", "blocks.0.attn.b_Q"]
    assert made.arrays()["key_parts"].tolist() == ["embed", "pos_embed", "blocks.0.attn.b_K"]
    # (1, -1) . (1, -1) and (1, 0) . (1, -1), over the root of d_head.
    assert made.terms == pytest.approx(np.array([[2, 0, 0], [0, 0, 0], [1, 0, 0]]) / ROOT2, abs=1e-6)
    assert made.score == pytest.approx(3 / ROOT2)
    assert made.relative == pytest.approx(np.zeros((3, 3)), abs=1e-6)  # both keys are equal
    assert made.by_query_part() == pytest.approx(np.array([2, 0, 1]) / ROOT2, abs=1e-6)
    assert made.by_key_part() == pytest.approx(np.array([3, 0, 0]) / ROOT2, abs=1e-6)


def test_heads_that_look_at_all_alike_have_what_is_said_of_them(engine):
    """Both tokens have the same key, so every query attends equally to all keys that it sees."""
    made = heads.compute(engine, repeated=3)
    assert made.tokens.shape == (8, 7)
    # Queries 2 to 6 see 3 to 7 keys; 1 to 6 see 2 to 7; the second copy is 4 to 6 and sees 5 to 7.
    shares = {
        "previous": np.mean([1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7]),
        "first": np.mean([1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7]),
        "duplicate": np.mean([1 / 5, 1 / 6, 1 / 7]),
    }
    shares |= {"self": shares["first"], "induction": shares["duplicate"]}
    for name, share in shares.items():
        assert made.scores[name][0, 0] == pytest.approx(share), name
        assert made.uniform[name] == pytest.approx(share), name
        assert made.spread[name][0, 0] == pytest.approx(0, abs=1e-6), name
    assert made.scores["entropy"][0, 0] == pytest.approx(1)
    assert made.scores["distance"][0, 0] == pytest.approx(np.mean([0.5, 1, 1.5, 2, 2.5, 3]))
    # Of queries 2 to 6, key 0 left out: 1/3 of 2/3 and so on, as a ratio of means.
    beyond = 1 - shares["previous"]
    assert made.without_first["previous"][0, 0] == pytest.approx(shares["previous"] / beyond)
    assert made.without_first["first"][0, 0] == 0


def test_rollout_of_one_block_is_half_of_its_pattern_and_half_of_itself(trace):
    assert rollout.rollout(trace).grid == pytest.approx(np.array([[1, 0], [0.25, 0.75]]))
    assert rollout.rollout(trace, leave_first=True).grid == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert rollout.mean(trace).grid == pytest.approx(np.array([[1, 0], [0.5, 0.5]]))
    assert rollout.mean(trace, leave_first=True).grid == pytest.approx(np.array([[1, 0], [0, 1]]))


def test_flow(engine, trace):
    """All vectors are multiples of (1, -1), so an importance is the share of the length."""
    made = flow.compute(engine.checkpoint, trace, threshold=0.1)
    nodes = {(node.tensor, node.position): node for node in made.nodes}
    edges = {
        (made.nodes[upper].tensor, kind.value, made.nodes[lower].tensor, made.nodes[lower].position): importance
        for kind, upper, lower, importance in zip(made.kinds, made.upper, made.lower, made.importance, strict=True)
    }
    assert edges == {
        ("blocks.0.resid_post", "residual stream", "blocks.0.resid_mid", 1): pytest.approx(6 / 7),
        ("blocks.0.resid_mid", "residual stream", "blocks.0.resid_pre", 1): pytest.approx(4 / 6),
        ("blocks.0.resid_mid", "attention", "blocks.0.resid_pre", 0): pytest.approx(1 / 6),
        ("blocks.0.resid_mid", "attention", "blocks.0.resid_pre", 1): pytest.approx(1 / 6),
    }
    assert nodes["blocks.0.resid_post", 1].made_of == {
        "b_out": pytest.approx(1 / 7),
        "rest": pytest.approx(0, abs=1e-6),
    }
    assert nodes["blocks.0.resid_pre", 0].made_of == {
        "embed": pytest.approx(1),
        "pos_embed": pytest.approx(0, abs=1e-6),
    }
    assert nodes["blocks.0.resid_pre", 1].reached == pytest.approx(6 / 7 * 4 / 6)
    opened = flow.attention_importance(engine.checkpoint, trace, 0, 1)
    assert opened.heads == pytest.approx(np.array([[1 / 6, 1 / 6]]))


def test_flow_above_a_threshold_keeps_no_more_than_reaches_it(engine, trace):
    made = flow.compute(engine.checkpoint, trace, threshold=0.5)
    assert len(made.kinds) == 2
    middle = next(node for node in made.nodes if node.tensor == "blocks.0.resid_mid")
    assert middle.made_of["rest"] == pytest.approx(2 / 6)
