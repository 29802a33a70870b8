"""Claims measure what plain numpy finds in the pass, and false claims fail."""

from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.analysis import circuits
from desktop_app.core.lessons.claims_file import STATEMENTS, read_claims
from desktop_app.core.model import open_model
from desktop_app.core.session.fields import Change
from desktop_app.core.session.state import State
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.errors import LogitscopeError, SessionError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import BUNDLED, open_tiny

TEXT = "The cat sat on the cat"
SETTINGS = Sampling(0.7, 9, 0.8)
STATE = State(text=TEXT, token=6, sampling=SETTINGS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def ids(model):
    return model.tokenizer.encode(TEXT).ids


def final(logits, settings=SETTINGS):
    """Probabilities after temperature, top-k and top-p, computed independently; 0 for tokens that are cut."""
    scaled = logits.astype(np.float64) / settings.temperature
    order = sorted(range(len(scaled)), key=lambda i: (-scaled[i], i))[: settings.top_k]
    weights = np.exp(scaled[order] - scaled[order[0]])
    shares, kept = weights / weights.sum(), []
    for rank in range(len(order)):
        kept.append(rank)
        if shares[: rank + 1].sum() >= settings.top_p:
            break
    found = np.zeros(len(scaled))
    found[[order[r] for r in kept]] = shares[kept] / shares[kept].sum()
    return found, order


def check(model, row, state=STATE):
    (claim,) = read_claims([row], "a test", {"one": (1, 0)})
    return claim.check(model, state).holds


def both(model, row, name, value, state=STATE):
    """Check that bounds just below and just above the number are judged correctly."""
    edge = 1e-6
    assert check(model, row | {"above": value - edge}, state), (row, name, value)
    assert check(model, row | {"below": value + edge}, state)
    assert not check(model, row | {"above": value + edge}, state)
    assert not check(model, row | {"below": value - edge}, state)


def word(model, token):
    return model.tokenizer.decode([token])


def spelled(model, tokens):
    """Those of the tokens whose text encodes to this one token."""
    return [t for t in tokens if model.tokenizer.encode(word(model, t)).ids == (t,)]


def test_next_is_the_rank_and_the_share_after_the_cuts(model, ids):
    logits = model.engine.trace(ids).logits(-1)
    shares, order = final(logits)
    kept = spelled(model, [t for t in order if shares[t] > 0])
    cut = spelled(model, [t for t in order if shares[t] == 0])
    assert kept and cut
    for token in (kept[0], cut[-1]):
        row = {"next": word(model, token)}
        rank = sorted(range(len(logits)), key=lambda i: (-logits[i], i)).index(token) + 1
        assert check(model, row | {"rank": rank}) and not check(model, row | {"rank": rank + 1})
        assert check(model, row | {"kept": bool(shares[token])}) and not check(model, row | {"kept": not shares[token]})
        both(model, row, "share", float(shares[token]))


def test_a_claim_may_be_about_other_settings_another_text_and_an_edited_pass(model, ids):
    plain, other = model.engine.trace(ids), model.tokenizer.encode("The cat sat in the cat").ids
    token = spelled(model, final(plain.logits(-1))[1])[0]
    row = {"next": word(model, token)}
    both(model, row | {"temperature": 2.0}, "T", float(final(plain.logits(-1), Sampling(2.0, 9, 0.8))[0][token]))
    both(
        model,
        row | {"text": "The cat sat in the cat"},
        "text",
        float(final(model.engine.trace(other).logits(-1))[0][token]),
    )
    edited = model.engine.trace(ids, edits=parse_edits(["blocks.1.attn.z[0]=0"], model.config, len(ids)))
    assert not edited["blocks.1.attn.z"][0].any()
    share = float(final(edited.logits(-1))[0][token])
    for changed in ({"mute": [1, 0]}, {"mute": "one"}, {"mute": [[1, 0]]}, {"edits": ["blocks.1.attn.z[0]=0"]}):
        both(model, row | changed, "muted", share)


def test_looks_is_a_cell_of_the_pattern_from_the_selected_token(model, ids):
    pattern = model.engine.trace(ids)["blocks.1.attn.pattern"][0]
    most = int(np.argmax(pattern[6]))
    least = int(np.argmin(pattern[6, :7]))
    for key in (most, least):
        both(model, {"looks": [1, 0], "to": key}, "look", float(pattern[6, key]))
        assert check(model, {"looks": "one", "to": key, "most": key == most})
        assert not check(model, {"looks": "one", "to": key, "most": key != most})
    both(model, {"looks": [1, 0], "to": 1, "token": 3}, "look", float(pattern[3, 1]))


def test_answers_is_the_part_of_the_key_with_the_largest_share_of_the_score(model, ids):
    """Each head's part of the key of block 1, head 0, by hand: the head's output, through layer norm and W_K."""
    trace, weights, config = model.engine.trace(ids), model.checkpoint.weights, model.config
    n, d, head, query = config.n_embd, config.d_head, 0, 6
    w_k = weights["blocks.1.attn.W_QKV"][:, n : 2 * n][:, head * d : (head + 1) * d].astype(np.float64)
    q = trace["blocks.1.attn.q"][head, query].astype(np.float64)
    shares = {}
    for h in range(config.n_head):
        wrote = trace["blocks.0.attn.z"][h].astype(np.float64) @ weights["blocks.0.attn.W_O"][h * d : (h + 1) * d]
        wrote = (wrote - wrote.mean(-1, keepdims=True)) / trace["blocks.1.ln1.scale"] * weights["blocks.1.ln1.w"]
        terms = (wrote @ w_k @ q)[: query + 1]
        shares[h] = terms - terms.mean()
    said = set()
    for key in range(query + 1):
        order = sorted(shares, key=lambda h: -shares[h][key])
        holds = [check(model, {"answers": [1, head], "to": key, "part": [0, h]}) for h in order]
        assert not any(holds[1:])  # only the strongest head can be the strongest of all parts
        said.add(holds[0])
    assert True in said


def test_always_counts_every_query_that_has_such_a_key(model, ids):
    pattern = model.engine.trace(ids)["blocks.0.attn.pattern"][1]
    n = len(ids)
    row = {"always": [0, 1], "back": 2}
    least = min(float(pattern[q, q - 2]) for q in range(2, n))
    assert check(model, row | {"above": least - 1e-6}) and not check(model, row | {"above": least + 1e-6})
    good = sum(float(pattern[q, q - 2]) > 0.1 for q in range(2, n)) / (n - 2)
    assert check(model, row | {"above": 0.1, "share": good - 1e-9})
    assert not check(model, row | {"above": 0.1, "share": good + 1e-9})
    late = min(float(pattern[q, q - 2]) for q in range(n - 3, n))
    assert check(model, row | {"above": late - 1e-6, "since": n - 3})


def test_apart_is_the_distance_between_two_tokens_and_a_cell_is_its_number(model, ids):
    c, s, near = "c", "s", 4
    assert TEXT.index("s") - TEXT.index("c") == near and len(ids) == len(TEXT)  # here every letter is a token
    assert check(model, {"apart": [c, s], "tokens": near}) and not check(model, {"apart": [c, s], "tokens": near + 1})
    value = float(model.engine.trace(ids)["blocks.1.mlp.pre"][4, 3])
    both(model, {"cell": "blocks.1.mlp.pre", "index": [4, 3]}, "cell", value)
    weight = float(model.checkpoint.weights["blocks.0.mlp.W_in"][2, 5])
    both(model, {"cell": "blocks.0.mlp.W_in", "index": [2, 5]}, "weight", weight)


def test_drawn_is_where_u_falls(model, ids):
    shares, order = final(model.engine.trace(ids).logits(-1))
    kept = [t for t in order if shares[t] > 0]
    edges = np.cumsum([shares[t] for t in kept])
    own = {token: float(edges[n] - shares[token] / 2) for n, token in enumerate(kept)}
    said = spelled(model, kept)
    assert len(said) > 1
    for token in said:
        for other, middle in own.items():
            assert check(model, {"drawn": word(model, token), "u": middle}) == (other == token)


def test_count_and_left_are_the_lengths_before_and_after_the_cuts(model, ids):
    shares, _ = final(model.engine.trace(ids).logits(-1))
    for row in ({"count": len(ids)}, {"left": int((shares > 0).sum())}):
        assert check(model, row)
        assert not check(model, {name: value + 1 for name, value in row.items()})


def test_active_is_the_share_of_neurons_above_zero(model, ids):
    for layer in range(2):
        after = model.engine.trace(ids)[f"blocks.{layer}.mlp.post"][-1 if STATE.token is None else STATE.token]
        both(model, {"active": layer}, "share", float((after > 0).mean()))


def test_loss_is_the_mean_over_all_tokens_but_the_first(model, ids):
    logits = np.asarray(model.engine.trace(ids)["logits"], np.float64)
    losses = [
        float(np.log(np.exp(row - row.max()).sum()) + row.max() - row[came])
        for row, came in zip(logits, ids[1:], strict=False)
    ]
    both(model, {"loss": True}, "mean", float(np.mean(losses)))


def test_near_is_the_place_by_cosine_among_all_other_rows(model):
    rows = model.checkpoint.weights["embed.W_E"].astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    c = model.tokenizer.encode("c").ids[0]
    order = [t for t in np.argsort(-(unit @ unit[c])).tolist() if t != c]
    for token in spelled(model, order)[:5]:
        row = {"near": "c", "to": word(model, token)}
        rank = order.index(token) + 1
        assert check(model, row | {"rank": rank}) and not check(model, row | {"rank": rank + 1})


def test_sum_is_the_place_by_cosine_of_centred_rows_without_the_terms(model):
    rows = model.checkpoint.weights["embed.W_E"].astype(np.float64)
    rows = rows - rows.mean(0)
    a, b, c = (model.tokenizer.encode(letter).ids[0] for letter in "abc")
    wanted = rows[a] - rows[b] + rows[c]
    cosines = rows @ wanted / np.linalg.norm(rows, axis=1) / np.linalg.norm(wanted)
    order = [t for t in np.argsort(-cosines).tolist() if t not in (a, b, c)]
    for token in spelled(model, order)[:5]:
        row, rank = {"sum": "'a' - 'b' + 'c'", "to": word(model, token)}, order.index(token) + 1
        assert check(model, row | {"rank": rank}) and not check(model, row | {"rank": rank + 1})


def folded(model, layer, part, head):
    """W_Q, W_K or W_V of a head with the norm's gain, each column less its mean."""
    n, d = model.config.n_embd, model.config.d_head
    weights = model.checkpoint.weights
    whole = weights[f"blocks.{layer}.attn.W_QKV"].astype(np.float64)
    own = weights[f"blocks.{layer}.ln1.w"][:, None] * whole[:, part * n + head * d : part * n + (head + 1) * d]
    return own - own.mean(0)


def test_composes_is_the_score_of_the_whole_matrices_above_that_of_random_ones(model):
    d, heads = model.config.d_head, range(model.config.n_head)
    out = model.checkpoint.weights["blocks.0.attn.W_O"].astype(np.float64)
    random = circuits.kept(model.checkpoint).random
    reads = {
        "query": folded(model, 1, 0, 0) @ folded(model, 1, 1, 0).T,
        "key": folded(model, 1, 1, 0) @ folded(model, 1, 0, 0).T,
        "value": folded(model, 1, 2, 0) @ model.checkpoint.weights["blocks.1.attn.W_O"][:d],
    }
    for by, read in reads.items():
        scores = []
        for head in heads:
            writes = folded(model, 0, 2, head) @ out[head * d : (head + 1) * d]
            scores.append(np.linalg.norm(writes @ read) / np.linalg.norm(writes) / np.linalg.norm(read) - random)
        for head in heads:
            row = {"composes": [0, head], "into": "one", "by": by}
            both(model, row, by, scores[head])
            assert check(model, row | {"most": head == int(np.argmax(scores))})


def test_copies_is_the_share_of_the_eigenvalues_that_are_positive(model):
    score = circuits.kept(model.checkpoint).copying_through_mlp[1, 0]  # tests/core/analysis has its truth
    both(model, {"copies": "one"}, "score", float(score))


def test_spread_is_a_multiple_of_that_of_random_vectors(model):
    rows = model.checkpoint.weights["embed.W_E"].astype(np.float64)
    rows = rows - rows.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ratio = (rows @ rows.T)[np.triu_indices(len(rows), 1)].std() * rows.shape[1] ** 0.5
    assert check(model, {"spread": True, "above": 0.97 * ratio, "below": 1.03 * ratio})
    assert not check(model, {"spread": True, "above": 1.03 * ratio})


def test_ends_is_the_greedy_continuation_which_the_letter_sorter_knows():
    sorter = open_model(BUNDLED.parent / "sorter")
    state = State(text="CBAABC")
    assert check(sorter, {"ends": "AABBCC"}, state) and check(sorter, {"ends": "AABB"}, state)
    assert not check(sorter, {"ends": "AABBCB"}, state)
    with pytest.raises(SessionError, match="change text alone"):
        check(sorter, {"ends": "AABBCC", "mute": [[0, 0]]}, state)
    with pytest.raises(SessionError, match="the unchanged model"):
        check(sorter, {"ends": "AABBCC"}, replace(state, edits=(Change("blocks.0.attn.z[0]=0"),)))
    with pytest.raises(SessionError, match="mask"):
        check(sorter, {"ends": "AABBCC"}, replace(state, mask="window:2"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "exactly one of"),
        ({"next": "a", "looks": [0, 0]}, "exactly one of"),
        ([], "exactly one of"),
        ({"next": "a"}, "says nothing about the token"),
        ({"next": 5, "rank": 1}, "next is 5"),
        ({"next": "a", "rank": 0}, "rank is 0"),
        ({"next": "a", "rank": 1, "abvoe": 1}, "'abvoe' is not a field"),
        ({"looks": [0, 0], "to": 1}, "says nothing about the attention"),
        ({"looks": "nobody", "to": 1, "above": 0.5}, "one of one"),
        ({"looks": [0, -1], "to": 1, "above": 0.5}, "a block and a head"),
        ({"looks": [True, 1], "to": 1, "above": 0.5}, "a block and a head"),
        ({"looks": [0, 0], "above": 0.5}, "to is missing"),
        ({"always": [0, 0], "back": 1}, "says nothing"),
        ({"apart": ["a"], "tokens": 1}, "two tokens"),
        ({"cell": "embed", "index": [0, 0]}, "says nothing about the number"),
        ({"cell": "embed", "index": "0", "above": 1}, "index is '0'"),
        ({"next": "a", "above": float("nan")}, "a number"),
        ({"active": 0}, "says nothing about the number"),
        ({"loss": False, "above": 1.0}, "loss is true"),
        ({"spread": False, "above": 1.0}, "spread is true"),
        ({"composes": [0, 0], "into": [1, 0], "by": "key"}, "says nothing about the pair"),
        ({"composes": [0, 0], "into": [1, 0], "by": "soul", "most": True}, "by is 'soul'"),
        ({"copies": [0, 0]}, "says nothing about the number"),
    ],
)
def test_a_row_that_is_no_claim_is_refused_by_name(row, words):
    with pytest.raises(SessionError, match=words) as caught:
        read_claims([row], "a file", {"one": (1, 0)})
    assert "a file: claim 1" in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"next": "two tokens", "rank": 1},
        {"looks": [9, 0], "to": 0, "above": 0.1},
        {"looks": [0, 0], "to": 900, "above": 0.1},
        {"always": [0, 0], "back": 900, "above": 0.1},
        {"apart": ["z", "q"], "tokens": 1},
        {"cell": "nothing", "index": [0], "above": 0.0},
        {"cell": "embed", "index": [0, 9999], "above": 0.0},
        {"next": "a", "rank": 1, "edits": ["blocks.9.attn.z=0"]},
        {"active": 9, "above": 0.1},
    ],
)
def test_a_claim_about_what_the_model_has_not_is_a_sentence(model, row):
    with pytest.raises(LogitscopeError):
        check(model, row)


def test_every_kind_of_claim_is_tried_here():
    assert set(STATEMENTS) == {
        "next",
        "looks",
        "always",
        "apart",
        "cell",
        "drawn",
        "active",
        "loss",
        "ends",
        "count",
        "left",
        "near",
        "answers",
        "sum",
        "composes",
        "copies",
        "spread",
    }
