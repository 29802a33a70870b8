"""Products: they can be stopped, do not depend on chunk sizes, refuse bad arguments, and label heads correctly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from desktop_app.core.analysis import attribution, flow, heads, labels, lens, parts, rollout, score
from desktop_app.core.analysis.checks import check_analyses
from desktop_app.core.analysis.heads import Heads
from desktop_app.core.analysis.measures import MEASURES, PATTERNS
from desktop_app.core.analysis.translators import load_translators
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import Cancelled, LogitscopeError, ModelError
from desktop_app.gpt2.int8 import round_checkpoint
from desktop_app.gpt2.session import Stop
from tests.checkpoints import TINY, random_config, random_ids, random_weights, write_checkpoint, write_random_checkpoint

IDS = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5)
ONE_HEAD = Config(vocab_size=9, n_positions=128, n_embd=4, n_layer=1, n_head=1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer=False)))


@pytest.fixture(scope="module")
def trace(engine):
    return engine.trace(IDS)


@pytest.mark.parametrize("seed", range(12))
def test_everything_closes_for_any_config(tmp_path, seed):
    write_random_checkpoint(tmp_path, seed)
    engine = Engine(load_checkpoint(tmp_path))
    closings = list(check_analyses(engine, random_ids(random_config(seed), seed)))
    assert [closing for closing in closings if not closing.good] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_everything_closes_in_int8(tmp_path, seed):
    config = TINY | {"n_embd": 256, "n_head": 2 + 2 * seed}
    write_checkpoint(tmp_path, config, random_weights(config, seed, 0.1), tokenizer=False)
    engine = Engine(round_checkpoint(load_checkpoint(tmp_path)))
    closings = list(check_analyses(engine, IDS))
    assert len(closings) == 23
    assert [closing for closing in closings if not closing.good] == []
    made = attribution.compute(engine.checkpoint, engine.trace(IDS), target=3)
    assert made.parts[-1].name == "rounding"
    assert made.contribution[-1] != 0


def test_enormous_activations_close(tmp_path):
    weights = random_weights(TINY, 3, 0.15)
    weights["wpe.weight"][0, [3, 17]] = 3000
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, TINY, weights, tokenizer=False)))
    assert [closing for closing in check_analyses(engine, IDS) if not closing.good] == []


def test_a_text_of_one_token_closes(engine):
    assert [closing for closing in check_analyses(engine, IDS[:1]) if not closing.good] == []


# Attribution


@settings(max_examples=25)
@given(target=st.integers(0, 96), against=st.none() | st.integers(0, 96), position=st.integers(-11, 10))
def test_attribution_closes_for_any_tokens_at_any_position(engine, trace, target, against, position):
    made = attribution.compute(engine.checkpoint, trace, target=target, against=against, position=position)
    assert all(closing.good for closing in made.closings())
    assert made.total == pytest.approx(made.contribution.sum() + made.constant)


@pytest.mark.parametrize("mask", ["none", "window:2", "causal, 1.2=none, 0.1=local:3"])
def test_the_sources_of_a_head_add_up_at_an_early_position_under_any_mask(engine, mask):
    made = attribution.compute(engine.checkpoint, engine.trace(IDS, mask=mask), target=5, position=3)
    assert [closing for closing in made.closings() if not closing.good] == []


def test_attribution_without_sources_and_neurons_has_the_same_contributions(engine, trace):
    whole = attribution.compute(engine.checkpoint, trace, target=5)
    short = attribution.compute(engine.checkpoint, trace, target=5, sources=False, neurons=False)
    assert np.array_equal(whole.contribution, short.contribution)
    assert set(short.arrays()) == {"parts", "contribution", "constant", "total"}
    assert set(whole.arrays()) == set(attribution.Attribution.AXES)


# Lens


@pytest.mark.parametrize(("rows", "tokens"), [(1, 40), (40, 97), (7, 1)])
def test_a_lens_is_the_same_however_it_is_cut(engine, trace, monkeypatch, rows, tokens):
    whole = lens.compute(engine.checkpoint, trace, targets=(4, 96))
    monkeypatch.setattr(lens, "_ROWS", rows)
    monkeypatch.setattr(lens, "_CELLS", 0)
    monkeypatch.setattr(lens, "_NARROW", tokens)
    cut = lens.compute(engine.checkpoint, trace, targets=(4, 96))
    middle = lens.compute(engine.checkpoint, trace, targets=(4, 96), start=3, end=7)
    for name, array in whole.arrays().items():
        if array.dtype.kind == "f":
            assert cut.arrays()[name] == pytest.approx(array, abs=2e-5), name
            assert middle.arrays()[name] == pytest.approx(array[..., 3:7], abs=2e-5), name
        else:
            assert np.array_equal(cut.arrays()[name], array), name
    assert np.array_equal(middle.top_id, whole.top_id[:, 3:7])


def test_the_last_point_ranks_tokens_as_the_logits_do(engine, trace):
    targets = tuple(range(97))
    made = lens.compute(engine.checkpoint, trace, targets=targets, start=10)
    order = np.argsort(-trace.logits(10), kind="stable")
    assert made.target_rank[order, -1, 0].tolist() == list(range(97))
    assert made.top_id[-1, 0] == order[0]


def test_no_probability_is_above_that_of_the_likeliest_token_nor_above_one(tmp_path):
    config = TINY | {"n_embd": 384, "n_layer": 1, "vocab_size": 300}
    weights = random_weights(config, 3, 0.02)
    weights["ln_f.weight"] = np.full(384, 400, np.float32)  # logits far apart, so that one token has almost all
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "sure", config, weights)))
    trace = engine.trace(list(range(30)))
    for token in np.unique(lens.compute(engine.checkpoint, trace).top_id):
        made = lens.compute(engine.checkpoint, trace, targets=(int(token),))
        assert (made.target_probability <= made.top_probability).all() and made.top_probability.max() <= 1


@pytest.fixture
def translators(tmp_path):
    """Writes a file of translators: the identity, except for the tensors given."""

    def write(**changes):
        tensors = {}
        for layer in range(TINY["n_layer"]):
            tensors[f"lens.{layer}.weight"] = np.eye(24, dtype=np.float32)
            tensors[f"lens.{layer}.bias"] = np.zeros(24, np.float32)
        tensors |= {name.replace("_", "."): array for name, array in changes.items()}
        save_file({name: array for name, array in tensors.items() if array is not None}, tmp_path / "lens.safetensors")
        return tmp_path / "lens.safetensors"

    return write


def test_translators_apply_to_the_inputs_of_blocks_alone(engine, trace, translators):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(24, 24)).astype(np.float32), rng.normal(size=24).astype(np.float32)
    path = translators(lens_1_weight=weight, lens_1_bias=bias, lens_0_bias=None)
    plain = lens.compute(engine.checkpoint, trace, targets=(5,))
    made = lens.compute(engine.checkpoint, trace, targets=(5,), translators=load_translators(path, engine.config))
    assert made.translated.tolist() == [True, False, True, False, False]
    y = (trace["blocks.0.resid_post"] @ weight + bias).astype(np.float64)
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    w = engine.checkpoint.weights
    expected = (y * w["ln_final.w"] + w["ln_final.b"]) @ w["unembed.W_U"][5]
    assert made.target_logit[0, 2] == pytest.approx(expected, abs=1e-5)
    for n in (0, 1, 3, 4):
        assert made.target_logit[0, n] == pytest.approx(plain.target_logit[0, n], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"lens_1_weight": None}, "lens.1.weight"),
        ({"lens_0_weight": np.eye(23, dtype=np.float32)}, r"\[23, 23\]"),
        ({"lens_0_bias": np.zeros(24, np.int64)}, "I64"),
        ({"lens_2_weight": np.eye(24, dtype=np.float32)}, "lens.2.weight"),
        ({"lens_1_weight": np.full((24, 24), np.nan, np.float32)}, "not finite"),
    ],
)
def test_translators_that_do_not_fit_are_refused_by_name(engine, trace, translators, changes, word):
    path = translators(**changes)
    with pytest.raises(ModelError, match=word):
        lens.compute(engine.checkpoint, trace, translators=load_translators(path, engine.config))


# Heads


def grids(count, keys):
    """A pattern [1, query, key] in which every query i attends to `keys(i)`."""
    made = np.zeros((1, count, count))
    for i in range(count):
        made[0, i, keys(i)] = 1
    return made


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("previous", lambda i: max(0, i - 1)),
        ("first", lambda _i: 0),
        ("self", lambda i: i),
        ("duplicate", lambda i: i - 5 if i > 5 else 0),
        ("induction", lambda i: i - 4 if i > 5 else 0),
    ],
)
def test_a_head_that_does_one_thing_has_all_of_its_score_and_none_of_the_others(name, keys):
    scores = heads.on_battery(grids(11, keys), 5)
    assert scores[name][0] == 1
    others = {other: scores[other][0] for other in PATTERNS if other not in (name, "first")}
    assert not any(others.values())
    if name != "first":
        assert heads.without_first(grids(11, keys), scores, name, 5)[0] == 1


def test_a_battery_repeats_random_tokens_after_the_begin_token_and_no_token_twice():
    config = Config(vocab_size=5000, n_positions=1024)
    tokens = heads.battery(config, begin=4999, seed=1)
    assert tokens.shape == (8, 101)
    assert (tokens[:, 0] == 4999).all()
    assert np.array_equal(tokens[:, 1:51], tokens[:, 51:])
    assert all(len(set(row[1:51])) == 50 for row in tokens.tolist())
    assert np.array_equal(tokens, heads.battery(config, begin=4999, seed=1))
    assert not np.array_equal(tokens, heads.battery(config, begin=4999, seed=2))


@pytest.mark.parametrize(("positions", "count"), [(3, 1), (4, 1), (5, 2), (101, 50), (102, 50)])
def test_the_battery_repeats_as_many_tokens_as_the_context_holds(positions, count):
    assert heads.battery(Config(vocab_size=7, n_positions=positions), 0, 0).shape == (8, 2 * count + 1)


def test_a_context_that_holds_no_repetition_is_told():
    with pytest.raises(ModelError, match="at least 3"):
        heads.battery(Config(vocab_size=7, n_positions=2), 0, 0)


def made_up(scores, without_first, repeated=50):
    """Scores for one block and one head, zero unless given."""
    zero = np.zeros((1, 1))
    return Heads(
        each={},
        scores={name: zero + scores.get(name, 0) for name in MEASURES},
        spread=dict.fromkeys(MEASURES, zero),
        without_first={name: zero + without_first.get(name, 0) for name in PATTERNS},
        uniform=heads.uniform(repeated, ONE_HEAD),
        tokens=np.zeros((1, 2 * repeated + 1), np.int64),
        begin=0,
        repeated=repeated,
    )


@pytest.mark.parametrize(
    ("scores", "without_first", "names"),
    [
        ({"first": 0.95}, {}, ["first"]),
        ({"first": 0.7, "induction": 0.25}, {"induction": 0.8}, ["induction"]),  # the sink does not hide it
        ({"first": 0.99, "previous": 0.006}, {"previous": 0.6}, ["first"]),  # most of almost nothing
        ({"previous": 0.45, "duplicate": 0.5}, {"previous": 0.45, "duplicate": 0.5}, ["duplicate", "previous"]),
        ({"first": 0.3, "previous": 0.3}, {"previous": 0.35}, []),
    ],
)
def test_labels_are_given_by_what_a_head_does_beyond_the_first_token(scores, without_first, names):
    assert [label.score for label in labels.labels(made_up(scores, without_first))] == names


def test_in_a_short_context_where_all_looks_are_alike_no_label_is_given():
    """With three positions, uniform attention gives a third to each: no weight can be three times that."""
    assert labels.labels(made_up({"previous": 0.9}, {"previous": 0.9}, repeated=1)) == ()


def test_the_head_most_like_one_is_told_by_the_cosine_of_scores(engine):
    made = heads.compute(engine, sequences=2)
    ranked = labels.most_like(made, 1, 2)
    assert len(ranked) == TINY["n_layer"] * TINY["n_head"] - 1
    assert (1, 2) not in [(layer, head) for layer, head, _ in ranked]
    vectors = labels.vectors_of(made)
    a, b = vectors[1, 2], vectors[ranked[0][0], ranked[0][1]]
    assert ranked[0][2] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)))
    assert [cosine for _, _, cosine in ranked] == sorted((cosine for _, _, cosine in ranked), reverse=True)


def test_heads_are_measured_once_for_a_checkpoint(engine, monkeypatch):
    first = heads.kept(engine, seed=4)
    monkeypatch.setattr(heads, "compute", None)
    assert heads.kept(engine, seed=4) is first


@pytest.mark.parametrize("leave_first", [False, True])
@pytest.mark.parametrize("leave_self", [False, True])
@pytest.mark.parametrize("at_once", [16 << 20, 0])
def test_scores_on_a_text_are_the_share_of_attention_that_lies_on_its_patterns(
    engine, trace, monkeypatch, leave_first, leave_self, at_once
):
    monkeypatch.setattr(heads, "_AT_ONCE", at_once)
    made = heads.on_text(engine.checkpoint, trace, leave_first=leave_first, leave_self=leave_self)
    belongs = {
        "previous": lambda i, j: j == i - 1,
        "first": lambda _i, j: j == 0,
        "self": lambda i, j: i == j,
        "duplicate": lambda i, j: j < i and IDS[i] == IDS[j],
        "induction": lambda i, j: 0 < j <= i and IDS[j - 1] == IDS[i],
    }
    for layer in range(2):
        pattern = trace[f"blocks.{layer}.attn.pattern"].astype(np.float64)
        for head in range(3):
            cells = [
                (i, j)
                for i in range(1, len(IDS))
                for j in range(i + 1)
                if not (leave_first and j == 0) and not (leave_self and i == j)
            ]
            whole = sum(pattern[head, i, j] for i, j in cells)
            for name, holds in belongs.items():
                on = [pattern[head, i, j] for i, j in cells if holds(i, j)]
                expected = sum(on) / whole if on else np.nan
                assert made.scores[name][layer, head] == pytest.approx(expected, nan_ok=True, abs=1e-6), name


@pytest.mark.parametrize("mask", ["none", "window:2", "causal, 1.2=none, 0.1=local:3"])
def test_scores_of_a_text_count_every_key_that_the_mask_shows(engine, mask):
    trace = engine.trace(IDS, mask=mask)
    made = heads.on_text(engine.checkpoint, trace)
    count = len(IDS)
    for layer in range(2):
        pattern = trace[f"blocks.{layer}.attn.pattern"].astype(np.float64)
        for head in range(3):
            own = pattern[head]
            rows = range(1, count)
            whole = sum(own[i, j] for i in rows for j in range(count))
            assert whole == pytest.approx(count - 1, abs=1e-5)
            previous = sum(own[i, i - 1] for i in rows) / whole
            assert made.scores["previous"][layer, head] == pytest.approx(previous, abs=1e-6)
            apart = np.mean([sum(own[i, j] * abs(i - j) for j in range(count)) for i in rows])
            assert made.scores["distance"][layer, head] == pytest.approx(apart, abs=1e-5)
            sees = {i: [j for j in range(count) if own[i, j] > 0] for i in rows}
            shares = [
                -sum(own[i, j] * np.log(own[i, j]) for j in sees[i]) / np.log(len(sees[i]))
                for i in rows
                if len(sees[i]) > 1
            ]
            assert made.scores["entropy"][layer, head] == pytest.approx(np.mean(shares), abs=1e-5)


def test_a_head_that_looks_at_all_it_sees_alike_scores_what_uniform_says():
    config = Config(vocab_size=9, n_positions=9, n_embd=4, n_layer=1, n_head=2)
    found = heads.uniform(2, config, "none, 0.1=window:2")  # of the text b x y x y
    assert found["previous"] == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert found["first"] == pytest.approx((1 / 5 + (1 / 2 + 0 + 0 + 0) / 4) / 2)
    assert heads.uniform(2, config)["first"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4)


def test_a_query_that_sees_one_key_has_no_entropy():
    alone = np.eye(4, dtype=np.float32)[None]
    assert np.isnan(heads.entropy_and_distance(alone, np.ones((1, 4), int))["entropy"]).all()


@pytest.mark.parametrize("causal", [True, False])
def test_entropy_and_distance_of_more_queries_than_are_measured_at_once(causal):
    count = 150
    rng = np.random.default_rng(0)
    weights = rng.random((2, count, count)) ** 8
    if causal:
        weights *= np.tri(count)
    pattern = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
    seen = np.arange(1, count + 1)[None] if causal else np.full((1, count), count)
    found = heads.entropy_and_distance(pattern, seen)
    own, every = pattern.astype(np.float64), np.arange(count)
    logs = np.log(own, out=np.zeros_like(own), where=own > 0)
    entropy = -(own * logs).sum(-1)[:, 1:] / np.log(seen[:, 1:])
    np.testing.assert_allclose(found["entropy"], entropy.mean(-1), rtol=1e-5)
    apart = (own * np.abs(every[:, None] - every)).sum(-1)[:, 1:]
    np.testing.assert_allclose(found["distance"], apart.mean(-1), rtol=1e-5)


# Flow and rollout


@pytest.mark.parametrize("seed", range(4))
def test_importances_are_what_the_paper_defines(tmp_path, seed):
    write_random_checkpoint(tmp_path, seed)
    engine = Engine(load_checkpoint(tmp_path))
    trace = engine.trace(random_ids(random_config(seed), seed, 6))
    layer, row, config = engine.config.n_layer - 1, 4, engine.config
    weights = engine.checkpoint.weights
    made = flow.attention_importance(engine.checkpoint, trace, layer, row)
    matrix = weights[f"blocks.{layer}.attn.W_O"].reshape(config.n_head, config.d_head, -1).astype(np.float64)
    terms = {
        (head, key): trace[f"blocks.{layer}.attn.pattern"][head, row, key]
        * (trace[f"blocks.{layer}.attn.v"][head, key] @ matrix[head])
        for head in range(config.n_head)
        for key in range(row + 1)
    }
    terms |= {
        "stream": trace[f"blocks.{layer}.resid_pre"][row].astype(np.float64),
        "bias": weights[f"blocks.{layer}.attn.b_O"].astype(np.float64),
    }
    whole = sum(terms.values())
    assert whole == pytest.approx(trace[f"blocks.{layer}.resid_mid"][row], abs=1e-4)
    near = {name: max(np.abs(whole).sum() - np.abs(whole - y).sum(), 0) for name, y in terms.items()}
    total = sum(near.values())
    assert made.stream == pytest.approx(near["stream"] / total, abs=1e-5)
    assert made.others["b_O"] == pytest.approx(near["bias"] / total, abs=1e-5)
    for head in range(config.n_head):
        for key in range(row + 1):
            assert made.heads[head, key] == pytest.approx(near[head, key] / total, abs=1e-5)


def test_a_flow_has_only_edges_from_the_threshold_on_and_looks_back_alone(engine, trace):
    made = flow.compute(engine.checkpoint, trace, position=6, threshold=0.03)
    assert (made.importance >= 0.03).all()
    positions = np.array([node.position for node in made.nodes])
    assert (positions[made.lower] <= positions[made.upper]).all()
    assert all(closing.good for closing in made.closings())
    reached = {n for n in made.lower.tolist()} | {0}
    assert reached == set(range(len(made.nodes)))  # there is no node without an edge to it


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(engine, trace, threshold):
    with pytest.raises(ModelError, match="threshold"):
        flow.compute(engine.checkpoint, trace, threshold=threshold)


def test_rollout_is_the_product_of_mixed_patterns(trace):
    expected = np.eye(len(IDS))
    for layer in range(2):
        pattern = trace[f"blocks.{layer}.attn.pattern"].astype(np.float64).mean(0)
        expected = (pattern / 2 + np.eye(len(IDS)) / 2) @ expected
    assert rollout.rollout(trace).grid == pytest.approx(expected)
    for leave_first in (False, True):
        made = rollout.rollout(trace, leave_first=leave_first)
        factor, before = made.factors
        assert factor @ before == pytest.approx(made.grid)
    assert rollout.rollout(trace, 0).grid == pytest.approx(
        trace["blocks.0.attn.pattern"].mean(0) / 2 + np.eye(len(IDS)) / 2
    )


# All of them


COMPUTED = {
    "parts": lambda e, t, **given: parts.compute(e.checkpoint, t, layer=2, position=-1, **given),
    "attribution": lambda e, t, **given: attribution.compute(e.checkpoint, t, target=1, **given),
    "lens": lambda e, t, **given: lens.compute(e.checkpoint, t, **given),
    "score": lambda e, t, **given: score.compute(e.checkpoint, t, layer=1, head=0, query=3, key=2, **given),
    "heads": lambda e, _t, **given: heads.compute(e, **given),
    "heads on text": lambda e, t, **given: heads.on_text(e.checkpoint, t, **given),
    "rollout": lambda _e, t, **given: rollout.rollout(t, **given),
    "mean": lambda _e, t, **given: rollout.mean(t, **given),
    "flow": lambda e, t, **given: flow.compute(e.checkpoint, t, **given),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_every_analysis_ends_when_told_to(engine, trace, name):
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        COMPUTED[name](engine, trace, stop=stop)


@pytest.mark.parametrize("name", ["lens", "heads", "heads on text", "rollout", "mean", "flow"])
def test_longer_analyses_say_how_far_they_are_and_can_be_stopped_there(engine, trace, name):
    shares, stop = [], Stop()
    COMPUTED[name](engine, trace, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    if len(shares) > 1:
        with pytest.raises(Cancelled):
            COMPUTED[name](engine, trace, stop=stop, progress=lambda _share: stop.set())


@pytest.mark.parametrize("name", COMPUTED)
def test_every_array_has_the_axes_that_are_written_down(engine, trace, name):
    made = COMPUTED[name](engine, trace)
    for array, values in made.arrays().items():
        assert np.ndim(values) == len(type(made).AXES[array]), array


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda e, t: attribution.compute(e.checkpoint, t, target=97), "97"),
        (lambda e, t: attribution.compute(e.checkpoint, t, target=1, against=-1), "-1"),
        (lambda e, t: attribution.compute(e.checkpoint, t, target=1, position=11), "11"),
        (lambda e, t: lens.compute(e.checkpoint, t, targets=(97,)), "97"),
        (lambda e, t: lens.compute(e.checkpoint, t, start=5, end=5), "5"),
        (lambda e, t: lens.compute(e.checkpoint, t, end=12), "12"),
        (lambda e, t: score.compute(e.checkpoint, t, layer=2, head=0, query=0, key=0), "block 2"),
        (lambda e, t: score.compute(e.checkpoint, t, layer=0, head=3, query=0, key=0), "head 3"),
        (lambda e, t: score.compute(e.checkpoint, t, layer=0, head=0, query=0, key=11), "11"),
        (lambda e, t: flow.compute(e.checkpoint, t, position=-12), "-12"),
        (lambda e, t: parts.compute(e.checkpoint, t, layer=0, position=99), "99"),
    ],
)
def test_what_is_not_there_is_told(engine, trace, call, word):
    with pytest.raises(LogitscopeError, match=word):
        call(engine, trace)


def test_a_masked_cell_opens_too(engine, trace):
    """Its score exists before the mask, and is the sum of its terms like any other."""
    made = score.compute(engine.checkpoint, trace, layer=1, head=1, query=2, key=9)
    assert made.score == pytest.approx(float(trace["blocks.1.attn.scaled"][1, 2, 9]))
    assert all(closing.good for closing in made.closings())
