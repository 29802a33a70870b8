"""The evidence workspace shows passages with the model's own numbers, and what a neuron writes, by plain arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.asking.follow import follow
from desktop_app.core.asking.intents import Evidence as AskEvidence
from desktop_app.core.evidence import shown
from desktop_app.core.evidence.saved import Evidence, read_evidence
from desktop_app.core.evidence.shown import BEFORE, most_active, search
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.view import opening_view
from desktop_app.core.panels import BarsPanel, MapPanel, TextPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import State, ViewOptions, encode
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import evidence, evidence_wants
from tests.core.evidence.texts_and_model import CONFIG, add_evidence, write_model, write_texts
from tests.reference import forward
from tests.scenes import panels, scene_of

TEXT = "the cat sat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return add_evidence(write_model(folder / "tiny"), write_texts(folder / "texts"))


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder)


@pytest.fixture(scope="module")
def kept(folder):
    return read_evidence(folder)


def scene(model, **state):
    return completed(scene_of(model, TEXT, **state), evidence_wants.wants, model)


def view_of(model, own):
    return build_view(own, next(w for w in workspaces(model.config) if w.key == "evidence"))


@pytest.mark.parametrize("shows", ["strongest", "deciles", "heads"])
def test_a_passage_opens_as_a_prompt_and_its_number_is_the_one_in_the_table(model, kept, shows):
    own = scene(model, layer=1, neuron=7, head=2, view=ViewOptions(evidence=shows))
    table = next(p for p in panels(view_of(model, own).content) if isinstance(p, MapPanel))
    for rank in (0, 3, 19):
        state = evidence.choose(own, Cell("evidence.passage", (rank, BEFORE)))
        ids = encode(state, model.tokenizer)
        trace = model.engine.trace(ids)
        if shows == "heads":
            rows = model.checkpoint.weights["blocks.1.attn.W_O"][8:12]
            there = np.linalg.norm(trace.read("blocks.1.attn.z", head=2)[state.token] @ rows)
        else:
            there = trace.read("blocks.1.mlp.post")[state.token, 7]
        assert there == pytest.approx(table.values[rank, BEFORE], rel=1e-4)
        label = table.row_labels[rank].rpartition(" ")[2]
        assert float(label.replace("−", "-")) == pytest.approx(there, abs=0.006)
        assert state.layer == 1 and (state.head == 2 if shows == "heads" else state.neuron == 7)
    top = kept.passages("top").value[1, :, 7]
    assert list(top) == sorted(top, reverse=True)


def test_the_text_of_a_passage_is_typed_and_has_no_edits(model):
    own = scene(model, layer=1, neuron=7)
    state = evidence.choose(own, Cell("evidence.passage", (0, BEFORE)))
    assert state.start is True and state.text and not state.appended and not state.edits and state.mask == "causal"


def test_every_colour_is_a_pass_of_this_model(model):
    own = scene(model, layer=0, neuron=3)
    table = next(p for p in panels(view_of(model, own).content) if isinstance(p, MapPanel))
    passages = own.made(evidence_wants.wants(own)[1])
    for rank in (0, 9):
        passage = passages.found[rank]
        from tests.checkpoints import random_weights

        plain = forward(random_weights(CONFIG, 0), CONFIG, passage.ids)["blocks.0.mlp.post"][:, 3]
        for column in range(12):
            place = passage.position - BEFORE + column
            if 0 <= place < len(passage.ids):
                assert table.values[rank, column] == pytest.approx(plain[place], abs=1e-4)
                assert table.texts[rank][column] == model.tokenizer.label(passage.ids[place])
            else:
                assert np.isnan(table.values[rank, column]) and table.texts[rank][column] == ""


def test_neurons_most_active_here_are_those_farthest_above_their_means(model, kept):
    trace = scene_of(model, TEXT).trace
    active = most_active(trace, 5, kept, 5)
    plain = []
    for layer in range(2):
        values = trace.read(f"blocks.{layer}.mlp.post", row=5).astype(float)
        mean, spread = kept.arrays["post.mean"][layer], np.sqrt(kept.arrays["post.variance"][layer])
        plain += [((v - m) / s, layer, n, v) for n, (v, m, s) in enumerate(zip(values, mean, spread, strict=True))]
    best = sorted(plain, reverse=True)[:5]
    assert [(n[1], n[2]) for n in best] == list(zip(active.layer, active.neuron, strict=True))
    np.testing.assert_allclose(active.unusual, [n[0] for n in best], rtol=1e-5)


def test_muting_puts_a_neuron_to_its_mean(model, kept):
    own = scene_of(model, TEXT)
    mean = float(kept.arrays["post.mean"][1, 7])
    muted = shown.mute(model.engine, own.trace, 10, "top", 1, 7, mean, stop())
    weights = {name: array.astype(float) for name, array in model.checkpoint.weights.items() if "blocks.1" in name}
    final = model.checkpoint.weights["ln_final.w"], model.checkpoint.weights["ln_final.b"]
    post = own.trace.read("blocks.1.mlp.post", row=10).astype(float)
    x = own.trace.read("blocks.1.resid_post", row=10) + (mean - post[7]) * weights["blocks.1.mlp.W_out"][7]
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * final[0] + final[1]
    logits = model.checkpoint.weights["unembed.W_U"].astype(float) @ x
    plain = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    np.testing.assert_allclose(muted.after, plain, atol=1e-4)
    before = own.trace.logits(10).astype(float)
    before = before - before.max() - np.log(np.exp(before - before.max()).sum())
    assert muted.kl == pytest.approx((np.exp(before) * (before - plain)).sum(), abs=1e-4)


def stop():
    from desktop_app.gpt2.session import Stop

    return Stop()


def test_a_search_finds_neurons_that_peak_within_the_text(model, kept):
    found = search(kept, model.tokenizer, "CAT")
    assert len(found.layer) and found.windows
    top = kept.passages("top")
    for layer, neuron, hits in zip(found.layer, found.neuron, found.hits, strict=True):
        count = 0
        for window, position in zip(top.window[layer, :, neuron], top.position[layer, :, neuron], strict=True):
            ids = kept.ids(int(window))
            text = model.tokenizer.decode(ids[1:])  # a byte a token
            near = text[max(0, position - 3) : position + 2]
            count += "cat" in near
        assert hits == count
    assert not len(search(kept, model.tokenizer, "zebra").layer)


def test_a_search_finds_letters_outside_ascii_as_they_are_written(model):
    ids = np.array(model.tokenizer.encode("un É bas").ids)
    arrays = {"ids": ids, "window_start": np.array([0]), "window_length": np.array([len(ids)])}
    arrays |= {"top.value": np.ones((1, 1, 1)), "top.window": np.zeros((1, 1, 1), int)}
    one = Evidence({}, arrays | {"top.position": np.full((1, 1, 1), 3)})
    assert search(one, model.tokenizer, "É").hits.tolist() == [1]
    assert search(one, model.tokenizer, "UN É").hits.tolist() == [1]


def test_what_is_typed_names_a_neuron_or_is_looked_for(model):
    own = scene(model, view=ViewOptions(evidence_find="1.7"))
    assert evidence_wants.unit_of(own) == (1, 7)
    assert view_of(model, own).title == "What excites neuron 1.7"
    own = scene(model, view=ViewOptions(evidence_find="cat"))
    titles = [panel.title for panel in panels(view_of(model, own).content)]
    assert "Neurons that peak on 'cat'" in titles
    state = evidence.choose(own, Cell("evidence.neuron", (1, 9)))
    assert (state.layer, state.neuron, state.view.evidence_find) == (1, 9, "cat")
    own = scene(model, view=ViewOptions(evidence_find="9.9999"))
    assert "Neurons that peak on '9.9999'" in [panel.title for panel in panels(view_of(model, own).content)]


def test_what_a_neuron_writes_opens_to_the_product_less_the_mean_over_tokens(model):
    own = scene(model, layer=1, neuron=7)
    weights = {name: array.astype(float) for name, array in model.checkpoint.weights.items()}
    writes = (weights["blocks.1.mlp.W_out"][7] - weights["blocks.1.mlp.W_out"][7].mean()) * weights["ln_final.w"]
    every = weights["unembed.W_U"] @ writes
    for token in (65, 200):
        lines, *parts = panels(evidence.open_cell(own, Cell("evidence.written", (token,))).content)
        product, mean = lines.lines[1].text.split(" − ")
        assert float(product.replace("−", "-")) == pytest.approx(every[token], rel=1e-3)
        assert float(mean.replace("−", "-")) == pytest.approx(every.mean(), rel=1e-2, abs=1e-3)
        shown_number = float(lines.lines[1].remark.removeprefix("= ").replace("−", "-"))
        assert shown_number == pytest.approx(every[token] - every.mean(), rel=1e-3)
        one, other, *_ = (strip.values for part in parts for strip in getattr(part, "strips", ()))
        assert one @ other == pytest.approx(every[token], rel=1e-5)


def test_without_evidence_and_with_that_of_another_model_the_view_says_so(model, tmp_path, folder):
    bare = open_model(write_model(tmp_path / "bare"))
    shown_panels = list(panels(view_of(bare, scene(bare)).content))
    assert "There is no evidence about bare yet" in shown_panels[0].lines[0].remark
    assert isinstance(shown_panels[1], BarsPanel) and shown_panels[1].note == "after the activation"
    other = open_model(write_model(tmp_path / "other", seed=1))
    (words, _) = panels(view_of(other, scene(other, evidence=str(folder))).content)
    assert isinstance(words, TextPanel)
    assert "is about another model, tiny: its weights are not those of other" in words.lines[0].remark
    (words, _) = panels(view_of(other, scene(other, evidence=str(tmp_path / "nothing"))).content)
    assert "cannot be read" in words.lines[0].remark


def test_a_number_of_a_neuron_or_head_leads_to_its_evidence(model):
    own = scene_of(model, TEXT)
    for cell, intent in (
        (Cell("blocks.1.mlp.post", (3, 11)), AskEvidence(1, neuron=11)),
        (Cell("blocks.0.attn.pattern", (2, 4, 1)), AskEvidence(0, head=2)),
    ):
        lines = next(p for p in panels(opening_view(own, cell).content) if isinstance(p, TextPanel)).lines
        (pick,) = [line.pick for line in lines if line.label == "evidence"]
        assert pick == intent
    state = follow(AskEvidence(1, neuron=11), replace(State(), opened=(Cell("x", ()),)), model)
    assert (state.workspace, state.layer, state.neuron, state.opened) == ("evidence", 1, 11, ())
    state = follow(AskEvidence(0, head=2), state, model)
    assert (state.layer, state.head, state.view.evidence) == (0, 2, "heads")
    assert follow(AskEvidence(1, neuron=3), state, model).view.evidence == "strongest"
