"""Lens, attribution, scores and heads compared with transformers: its modules, its hooks, and sums part by part."""

import numpy as np
import pytest

from desktop_app.core.analysis import attribution, heads, lens, parts, score
from desktop_app.core.analysis.checks import check_analyses
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import TINY, random_ids, random_weights
from tests.parity import analysis_reference as reference
from tests.parity.make_golden import SMALL

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs torch and transformers")

from tests.parity.transformers_pass import build, tensors  # noqa: E402 - needs what is skipped for above

# Ignore warnings in libraries that only this module uses.
pytestmark = pytest.mark.filterwarnings("ignore")

ODD = {
    "untied, scores not scaled, erf": TINY
    | {"tie_word_embeddings": False, "scale_attn_weights": False, "activation_function": "gelu", "n_layer": 3},
    "scaled by the block too, relu, few neurons": TINY
    | {"scale_attn_by_inverse_layer_idx": True, "activation_function": "relu", "n_inner": 17, "n_layer": 4},
    "seven heads of five, silu, large epsilon": TINY
    | {"n_embd": 35, "n_head": 7, "activation_function": "silu", "layer_norm_epsilon": 1e-3},
    "one head, one block, a vocabulary of eleven": TINY
    | {"n_embd": 6, "n_head": 1, "n_layer": 1, "vocab_size": 11, "activation_function": "gelu_pytorch_tanh"},
    "the shape of GPT-2 small": SMALL,
}


class Pair:
    """The same model in transformers and here, with one text run through both."""

    def __init__(self, folder, config):
        self.config = config
        stored = random_weights(config, 5, 0.05 if config is SMALL else 0.3)
        self.theirs = build(config, stored)
        self.theirs.save_pretrained(folder)
        self.weights = stored if config is SMALL else reference.wide(stored)
        self.engine = Engine(load_checkpoint(folder))
        self.checkpoint = self.engine.checkpoint
        self.ids = random_ids(config, 5, 12)
        self.trace = self.engine.trace(self.ids)
        self.found = tensors(self.theirs, self.ids)


@pytest.fixture(scope="module", params=ODD, ids=str)
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    yield Pair(folder, ODD[request.param])
    (folder / "model.safetensors").unlink()  # half a gigabyte for the shape of GPT-2 small


def close(found, expected):
    expected = np.asarray(expected, np.float64)
    limit = 1e-4 * max(1, np.abs(expected).max(initial=0))
    return np.shape(found) == expected.shape and np.abs(found - expected).max(initial=0) <= limit


@pytest.mark.parametrize("position", [0, 7, -1])
def test_the_parts_of_a_position_are_what_hooks_take_and_add_up(pair, position):
    for layer in (0, 1, pair.config["n_layer"]):
        made = parts.compute(pair.checkpoint, pair.trace, layer=layer, position=position)
        expected = reference.parts(pair.weights, pair.config, pair.found, layer, position)
        assert [part.name for part in made.parts] == list(expected)
        assert close(made.vectors, list(expected.values()))
        assert all(closing.good for closing in made.closings())


@pytest.mark.parametrize(("against", "baseline"), [(3, "mean"), (None, "mean"), (None, "none")])
def test_contributions_are_those_of_parts_that_are_made_and_sum_to_the_logit(pair, against, baseline):
    target, position = 8, 9
    made = attribution.compute(
        pair.checkpoint, pair.trace, target=target, against=against, baseline=baseline, position=position
    )
    table = reference.head_table(pair.weights)
    logits = pair.found["logits"][position].astype(np.float64)
    column, own = table[target].astype(np.float64), logits[target]
    if against is not None:
        column, own = column - table[against], own - logits[against]
    elif baseline == "mean":
        column, own = column - table.mean(0), own - logits.mean()
    expected, constant = reference.attribution(pair.weights, pair.config, pair.found, position, column)
    assert [part.name for part in made.parts] == list(expected)
    assert close(made.contribution, list(expected.values()))
    assert made.constant == pytest.approx(constant, abs=1e-5)
    assert abs(made.total - own) <= 1e-4 * max(1, np.abs(made.contribution).max())
    assert close(made.neuron, reference.neurons(pair.weights, pair.config, pair.found, position, column))
    assert close(made.head_source, reference.sources(pair.weights, pair.config, pair.found, position, column))
    assert not made.head_source[..., position + 1 :].any()


def test_the_lens_is_what_their_own_norm_and_head_make_of_every_point(pair):
    target, start = 6, 10 if pair.config is SMALL else 0
    made = lens.compute(pair.checkpoint, pair.trace, targets=(target, 2), start=start)
    assert made.points[0] == "blocks.0.resid_pre"
    assert len(made.points) == 2 * pair.config["n_layer"] + 1
    own = torch.from_numpy(pair.found["logits"][start:]).double().log_softmax(-1)
    for n, point in enumerate(made.points):
        with torch.no_grad():
            logits = pair.theirs.lm_head(pair.theirs.transformer.ln_f(torch.tensor(pair.found[point][start:])))
        shares = logits.double().log_softmax(-1)
        top = shares.max(-1)
        assert np.array_equal(made.top_id[n], top.indices.numpy())
        assert close(made.top_probability[n], top.values.exp().numpy())
        assert close(made.entropy[n], -(shares.exp() * shares).sum(-1).numpy())
        assert close(made.kl[n], (own.exp() * (own - shares)).sum(-1).numpy())
        assert close(made.target_logit[0, n], logits[:, target].numpy())
        assert close(made.target_probability[0, n], shares[:, target].exp().numpy())
        # Tokens whose logits equal the target's up to rounding may rank before or after it.
        rank = (logits > logits[:, [target]]).sum(-1).numpy()
        alike = ((logits - logits[:, [target]]).abs() < 1e-5).sum(-1).numpy() - 1
        assert (np.abs(made.target_rank[0, n] - rank) <= alike).all()
    assert close(made.kl[-1], np.zeros(len(pair.ids) - start))


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_score_is_the_sum_over_parts_that_are_made(pair, place):
    layer = 0 if place == "first" else pair.config["n_layer"] - 1
    head, query, key = pair.config["n_head"] - 1, 10, 4
    made = score.compute(pair.checkpoint, pair.trace, layer=layer, head=head, query=query, key=key)
    names, others, terms = reference.score(pair.weights, pair.config, pair.found, (layer, head, query, key))
    assert [part.name for part in made.query_parts] == names
    assert [part.name for part in made.key_parts] == others
    assert close(made.terms, terms)
    # What transformers passes to softmax, read from the cell's row.
    row = pair.found[f"blocks.{layer}.attn.masked"][head, query, : query + 1].astype(np.float64)
    limit = 1e-4 * max(1, np.abs(terms).max())
    assert abs(made.terms.sum() - row[key]) <= limit
    assert abs(made.relative.sum() - (row[key] - row.mean())) <= limit
    every = [
        reference.score(pair.weights, pair.config, pair.found, (layer, head, query, other))[2]
        for other in range(query + 1)
    ]
    assert close(made.relative, terms - np.mean(every, 0))


def test_scores_of_heads_are_those_of_their_attentions_on_the_same_tokens(pair):
    repeated = 12 if pair.config is SMALL else None
    made = heads.compute(pair.engine, begin=10, seed=3, sequences=2, repeated=repeated)
    assert made.repeated == (repeated or min(50, (pair.config["n_positions"] - 1) // 2))
    each, shares = [], []
    for ids in made.tokens.tolist():
        found = tensors(pair.theirs, ids)
        layers = range(pair.config["n_layer"])
        patterns = np.stack([found[f"blocks.{n}.attn.pattern"] for n in layers])
        each.append(reference.battery_scores(patterns, made.repeated))
        width = pair.config["n_embd"] // pair.config["n_head"]
        share = np.zeros((pair.config["n_layer"], pair.config["n_head"]))
        for n in layers:
            norms = np.linalg.norm(found[f"blocks.{n}.resid_pre"][1:], axis=-1)
            for head in range(pair.config["n_head"]):
                matrix = pair.weights[f"h.{n}.attn.c_proj.weight"][head * width : (head + 1) * width]
                result = found[f"blocks.{n}.attn.z"][head, 1:] @ matrix
                share[n, head] = (np.linalg.norm(result, axis=-1) / norms).mean()
        shares.append(share)
    for name in each[0]:
        assert close(made.scores[name], np.mean([scores[name] for scores in each], 0)), name
        assert close(made.spread[name], np.std([scores[name] for scores in each], 0)), name
    assert close(made.scores["share"], np.mean(shares, 0))


def test_the_check_finds_nothing_amiss(pair):
    closings = list(check_analyses(pair.engine, pair.ids))
    assert len(closings) == 27
    assert [closing.name for closing in closings if not closing.good] == []
