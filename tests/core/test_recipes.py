"""Edits whose numbers come from a source: what they put, compared with plain numpy, and what is refused."""

import json
import tomllib

import numpy as np
import pytest

from desktop_app.core.comparing.alignment import aligned
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.passes import Asked
from desktop_app.core.program.bundle import bundled_models, resource
from desktop_app.core.runs import changes, compute_passes
from desktop_app.gpt2.errors import LogitscopeError, TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace
from tests.scenes import CONFIG, open_tiny

TEXT, OTHER = "the cat sat on", "the dog sat up"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


def ids(model, text):
    return model.tokenizer.encode(text).ids


def run(model, *texts, text=TEXT, other=OTHER, **more):
    asked = Asked(ids(model, text), texts, other=ids(model, other) if other is not None else None, **more)
    return compute_passes(model.engine, model.tokenizer, asked)


def test_a_mean_is_that_over_the_texts_that_ship(model):
    passes = run(model, "blocks.1.attn.z[2]=mean", "blocks.0.mlp.post[3:, 5]=mean")
    taken = [model.engine.trace(own[:128]) for own in reference_texts(model.tokenizer)]
    z = np.concatenate([t["blocks.1.attn.z"][2] for t in taken]).mean(0)
    post = np.concatenate([t["blocks.0.mlp.post"][:, 5] for t in taken]).mean()
    assert np.allclose(passes.trace["blocks.1.attn.z"][2], z, atol=1e-6)
    assert np.allclose(passes.trace["blocks.0.mlp.post"][3:, 5], post, atol=1e-6)
    assert np.allclose(passes.trace["blocks.0.mlp.post"][:3], passes.before["blocks.0.mlp.post"][:3], atol=1e-6)


def test_cells_of_the_other_prompt_are_put_where_they_stand_there(model):
    passes = run(model, "blocks.1.resid_pre[5]=other", "blocks.0.attn.q[1, 2:4]=other[2, 7:9]")
    assert np.array_equal(passes.trace["blocks.1.resid_pre"][5], passes.other["blocks.1.resid_pre"][5])
    assert np.array_equal(passes.trace["blocks.0.attn.q"][1, 2:4], passes.other["blocks.0.attn.q"][2, 7:9])


def test_the_whole_stream_of_the_other_prompt_gives_its_prediction(model):
    passes = run(model, "blocks.1.resid_pre=other")
    assert np.allclose(passes.trace.logits(-1), passes.other.logits(-1), atol=1e-5)


def test_patching_from_the_same_prompt_changes_nothing(model):
    passes = run(model, "blocks.1.resid_pre=other", "blocks.0.attn.z[0]=other", other=TEXT)
    assert passes.trace is passes.before


def test_of_prompts_of_different_lengths_matched_tokens_stand_for_each_other(model):
    passes = run(model, "blocks.2.resid_pre=other", text="a cat sat", other="a big cat sat")
    found, theirs = passes.trace["blocks.2.resid_pre"], passes.other["blocks.2.resid_pre"]
    assert passes.alignment == (0, *range(5, 13))
    for here, there in enumerate(passes.alignment):
        assert np.array_equal(found[here], theirs[there])
    # Positions without a counterpart are not edited.
    longer = run(model, "blocks.2.resid_pre=other", text="a big cat sat", other="a cat sat")
    kept = [n for n, place in enumerate(longer.alignment) if place is None]
    assert kept == [1, 2, 3, 4]
    assert np.allclose(longer.trace["blocks.2.resid_pre"][kept], longer.before["blocks.2.resid_pre"][kept], atol=1e-5)
    assert longer.trace.run.changes == ("blocks.2.resid_pre=other",) * 2  # one edit in two ranges of positions


def test_rules_of_alignment():
    assert aligned((1, 2, 3), (4, 5, 6)) == (0, 1, 2)
    assert aligned((1, 2, 9, 3), (1, 2, 7, 8, 3)) == (0, 1, 3, 4)
    assert aligned((1, 2, 3), (9, 1, 2, 3), "start") == (0, 1, 2)
    assert aligned((1, 2, 3), (9, 1, 2, 3), "end") == (1, 2, 3)
    assert aligned((9, 1, 2, 3), (1, 2, 3), "end") == (None, 0, 1, 2)
    assert aligned((9, 1, 2, 3), (1, 2, 3), "start") == (0, 1, 2, None)


def test_a_direction_of_tokens_of_prompts_or_of_a_neuron_is_added(model):
    a, b = ids(model, "a")[0], ids(model, "b")[0]
    weights = model.checkpoint.weights
    passes = run(model, f'blocks.1.resid_pre[3:]+=2.5*tokens["a", {b}]', other=None)
    change = passes.trace["blocks.1.resid_pre"] - passes.trace["blocks.1.resid_pre.before"]
    expected = 2.5 * (weights["embed.W_E"][a] - weights["embed.W_E"][b])
    assert np.allclose(change[3:], expected, atol=1e-5)
    assert np.abs(change[:3]).max() < 1e-5
    passes = run(model, 'blocks.2.resid_pre+=-1*prompts["good day", "bad"]', other=None)
    means = [model.engine.trace(ids(model, text))["blocks.2.resid_pre"].mean(0) for text in ("good day", "bad")]
    change = passes.trace["blocks.2.resid_pre"] - passes.trace["blocks.2.resid_pre.before"]
    assert np.allclose(change, means[1] - means[0], atol=1e-5)
    passes = run(model, "blocks.1.mlp_out[2, 4:9]+=neuron[1, 7]", other=None)
    change = passes.trace["blocks.1.mlp_out"] - passes.trace["blocks.1.mlp_out.before"]
    assert np.allclose(change[2, 4:9], weights["blocks.1.mlp.W_out"][7, 4:9], atol=1e-5)
    assert np.count_nonzero(np.abs(change) > 1e-5) == 5


def test_an_edge_is_the_heads_difference_through_the_frozen_norm(model):
    passes = run(model, "blocks.2.attn.k[1, 4:8]+=edge[0, 2]")
    config, weights, d = model.config, model.checkpoint.weights, model.config.d_head
    out = weights["blocks.0.attn.W_O"].reshape(config.n_head, d, -1)[2].astype(float)
    said = (passes.other["blocks.0.attn.z"][2] - passes.before["blocks.0.attn.z"][2]).astype(float) @ out
    said = (said - said.mean(-1, keepdims=True)) / passes.before["blocks.2.ln1.scale"] * weights["blocks.2.ln1.w"]
    columns = slice(config.n_embd + d, config.n_embd + 2 * d)
    expected = said @ weights["blocks.2.attn.W_QKV"][:, columns]
    change = passes.trace["blocks.2.attn.k"] - passes.trace["blocks.2.attn.k.before"]
    assert np.allclose(change[1, 4:8], expected[4:8], atol=1e-5)
    assert np.abs(expected[4:8]).max() > 1e-3
    change[1, 4:8] = 0
    assert np.abs(change).max() < 1e-5


def test_what_the_edits_cannot_reach_are_the_unedited_passes_own_arrays(model):
    passes = run(model, "blocks.1.attn.z[2, 5:]=mean")
    for name in ("blocks.0.mlp.pre", "blocks.0.attn_out", "blocks.1.attn.q", "blocks.1.resid_pre"):
        assert np.shares_memory(passes.trace.first_rows(name, 20)[0], passes.before.first_rows(name, 20)[0]), name
    for name in ("blocks.1.mlp_out", "blocks.2.attn.k", "blocks.2.resid_pre"):
        assert np.array_equal(passes.trace.read_rows(name, 5), passes.before.read_rows(name, 5)), name
        assert not np.array_equal(passes.trace[name], passes.before[name]), name


def test_a_longer_text_goes_on_from_the_edited_pass(model):
    first = run(model, "blocks.1.attn.z[2]=mean", other=None)
    asked = Asked((*ids(model, TEXT), 7), ("blocks.1.attn.z[2]=mean",))
    longer = compute_passes(model.engine, model.tokenizer, asked, first)
    assert longer.trace.computed == longer.before.computed == 1
    whole = compute_passes(model.engine, model.tokenizer, asked)
    assert np.allclose(longer.trace.logits(-1), whole.trace.logits(-1), atol=1e-4)


def test_a_saved_pass_says_where_its_numbers_came_from(model, tmp_path):
    passes = run(model, "blocks.1.attn.z[2]=mean", "blocks.0.mlp_out[3]=other")
    passes.trace.save(tmp_path / "t.safetensors", ["logits"])
    again = Trace.load(tmp_path / "t.safetensors", model.checkpoint)
    assert again.run.changes == passes.trace.run.changes
    assert np.array_equal(again["blocks.1.attn.z.put"], passes.trace["blocks.1.attn.z.put"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("blocks.1.attn.z=median", "puts 'median', which is neither a number nor one of mean, other, tokens"),
        ("blocks.1.attn.z*=mean", "multiplies by mean; only a number can"),
        ("blocks.1.attn.z=mean[3]", "mean takes nothing in brackets"),
        ("blocks.1.attn.scaled=mean", "scores of pairs have no mean"),
        ("blocks.1.resid_pre+=tokens", "tokens needs a token or two"),
        ('blocks.1.resid_pre+=tokens["ab"]', "'ab' is 2 tokens; give one"),
        ("blocks.1.resid_pre+=tokens[99999]", "there is no token 99999"),
        ('blocks.1.attn.z+=tokens["a"]', "is not as wide as the residual stream"),
        ('blocks.1.resid_pre+=prompts["a"]', "prompts needs two texts in quotes"),
        ('blocks.1.resid_pre+=prompts["a", ""]', "has an empty text in it"),
        ("blocks.1.resid_pre+=neuron[0, 9999]", "no neuron 9999 in block 0"),
        ("blocks.1.resid_pre+=direction[]", "direction needs a direction in quotes"),
        ("blocks.1.resid_pre+=direction[\"'a' -\"]", "is not a sum of tokens"),
        ('blocks.1.resid_pre+=direction["blocks.7.mlp.W_out[1]"]', "There is no neuron 1 of block 7"),
        ("blocks.1.attn.q+=edge[1, 0]", "there is no head 0 of block 1 before it"),
        ("blocks.1.attn.q=edge[0, 0]", "an edge is added (+=)"),
        ("blocks.1.resid_pre[3]=other[2:5]", "[3, 24] numbers of the other prompt do not fit [1, 24] of this"),
        ("blocks.1.attn.q[0]=across", "is put (=) into attn.z"),
        ("blocks.0.attn.scaled[0, 40, 1]=-inf", "query 40 does not exist"),
    ],
)
def test_a_bad_edit_is_refused_in_a_sentence(model, text, sentence):
    with pytest.raises(LogitscopeError) as refused:
        run(model, text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_another_prompt_nothing_can_be_taken_from_it(model):
    with pytest.raises(LogitscopeError, match="needs another prompt; add one"):
        run(model, "blocks.1.resid_pre=other", other=None)


def test_in_a_window_edits_of_what_is_not_there_wait(model):
    texts = ("blocks.1.attn.z[0, 13]=0", "blocks.9.attn.z=0", "blocks.1.attn.z[1]=0")
    asked = Asked(ids(model, "a cat"), texts, mask="causal, 7.0=none")
    passes = compute_passes(model.engine, model.tokenizer, asked, strict=False)
    assert passes.trace.run.changes == texts[2:]
    assert set(passes.idle) == {*texts[:2], "causal, 7.0=none"}
    assert "pos 13 does not exist" in passes.idle[texts[0]]


def test_in_a_window_edits_whose_numbers_are_not_there_wait_for_them(model):
    texts = ("blocks.1.resid_pre[2]=other", "blocks.1.attn.z[0]=across", "blocks.1.attn.z[1]=0")
    asked = Asked(ids(model, "a cat"), texts)
    alone = compute_passes(model.engine, model.tokenizer, asked, strict=False)
    assert alone.trace.run.changes == texts[2:]
    assert set(alone.idle) == set(texts[:2])
    assert all("needs another prompt; add one" in words for words in alone.idle.values())
    beside = Asked(ids(model, "a cat"), texts, other=ids(model, "a dog"))
    both = compute_passes(model.engine, model.tokenizer, beside, alone, strict=False)
    assert set(both.trace.run.changes) == set(texts)
    assert both.idle == {}


@pytest.mark.parametrize(
    ("ruler", "made"),
    [
        (
            "'a' - 'b' + 'c'",
            lambda w, _t: w["embed.W_E"][[65, 67]].sum(0) - w["embed.W_E"][66] - w["embed.W_E"].mean(0),
        ),
        ("name: blocks.1.mlp.W_out[7]", lambda w, _t: w["blocks.1.mlp.W_out"][7]),
        (
            '"a cat" - "dog" at blocks.2.resid_pre',
            lambda _w, t: t("a cat")["blocks.2.resid_pre"][-1] - t("dog")["blocks.2.resid_pre"][-1],
        ),
    ],
)
def test_a_direction_is_added_as_the_workspace_of_directions_writes_it(model, ruler, made):
    text = f"blocks.1.resid_pre[2:]+=-1.5*direction[{json.dumps(ruler)}]"
    passes = run(model, text, other=None)
    assert ids(model, "abc") == (65, 66, 67)
    expected = made(model.checkpoint.weights, lambda words: model.engine.trace(ids(model, words)))
    change = passes.trace["blocks.1.resid_pre"] - passes.before["blocks.1.resid_pre"]
    assert np.allclose(change[2:], -1.5 * expected, atol=1e-4)
    assert np.abs(change[:2]).max() == 0


def test_plain_edits_need_no_pass_to_be_read(model, monkeypatch):
    monkeypatch.setattr(type(model.engine), "trace", None)
    edits, mask = changes(model.engine, model.tokenizer, Asked(ids(model, TEXT), ("embed*=2",), "window:3"))
    assert ([str(e) for e in edits], mask) == (["embed*=2"], "window:3")


def test_texts_in_edits_are_kept_out_of_the_log(model, monkeypatch):
    told = []
    monkeypatch.setattr("desktop_app.core.edits.recipes.hide", told.append)
    words = "some private words"
    run(model, f'blocks.0.resid_pre+=prompts[{json.dumps(words)}, "b"]', other=None)
    assert words in told


def test_means_are_taken_over_the_texts_that_a_vocabulary_can_spell():
    sorter, bundled = (Tokenizer.load(bundled_models()[name]) for name in ("sorter", "bundled"))
    spelled = ["".join(sorter.label(i) for i in ids) for ids in reference_texts(sorter)]
    assert spelled == ["CBAABCAABBC", "CCBABC"]
    with resource("examples.toml").open("rb") as file:
        assert len(reference_texts(bundled)) == len(tomllib.load(file)["example"])
    with pytest.raises(TokenizerError, match=r"texts over which means are taken cannot be used here: no vocabulary\."):
        reference_texts(Tokenizer.without_text("no vocabulary.", 5))
