"""The flow of an edited pass: the parts that edits keep and put are worked out by hand, and give the shares."""

import numpy as np
import pytest

from desktop_app.core.analysis import flow
from desktop_app.core.products import completed
from desktop_app.core.views import flow as view
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import write_checkpoint
from tests.scenes import open_tiny, scene_of

IDS = (3, 1, 4, 1, 5, 9, 2, 6)
ROW = 5
EDITS = [
    "blocks.1.resid_pre[:, 2:9]*=0.5",
    "blocks.1.resid_pre[4:]+=0.25",
    "blocks.1.attn.z[1]*=-2",
    "blocks.1.attn.z[0, 5, 3]=1.5",
    "blocks.1.attn_out[5]*=0.75",
    "blocks.1.resid_mid[:, 7]=2",
    "blocks.1.mlp_out[3:]*=0.5",
    "blocks.1.mlp_out[5, 1]+=3",
]
"""The effect of these edits at position ROW is worked out in `by_hand`."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer=False)))


def by_hand(engine, trace):
    """The parts of block 1's resid_mid and resid_post at ROW, with the numbers of EDITS written out."""
    config, weights = engine.config, engine.checkpoint.weights
    width, name = config.n_embd, "blocks.1."

    def at(end):
        return trace[name + end][ROW].astype(np.float64)

    pre_keep, pre_put = np.ones(width), np.full(width, 0.25)
    pre_keep[2:9] = 0.5
    z_keep = np.ones((config.n_head, config.d_head))
    z_keep[1] = -2
    z_put = np.zeros_like(z_keep)
    z_keep[0, 3], z_put[0, 3] = 0, 1.5
    mid_keep, mid_put = np.ones(width), np.zeros(width)
    mid_keep[7], mid_put[7] = 0, 2
    matrix = weights[name + "attn.W_O"].astype(np.float64)
    below = trace["blocks.0.resid_post"][ROW].astype(np.float64)
    middle = {
        "residual stream": mid_keep * pre_keep * below,
        "b_O": mid_keep * 0.75 * weights[name + "attn.b_O"],
        "edit": mid_put + mid_keep * (pre_put + 0.75 * (z_put.reshape(-1) @ matrix)),
    }
    for head in range(config.n_head):
        own = slice(head * config.d_head, (head + 1) * config.d_head)
        for key in range(ROW + 1):
            values = trace[name + "attn.v"][head, key] * z_keep[head]
            looked = trace[name + "attn.pattern"][head, ROW, key] * (values @ matrix[own])
            middle[head, key] = mid_keep * 0.75 * looked
    out_put = np.zeros(width)
    out_put[1] = 3
    bias = weights[name + "mlp.b_out"].astype(np.float64)
    post = {
        "residual stream": at("resid_mid"),
        "MLP": 0.5 * (at("mlp_out.before") - bias),
        "b_out": 0.5 * bias,
        "edit": out_put,
    }
    return middle, post


def shares(whole, parts):
    near = {name: max(np.abs(whole).sum() - np.abs(whole - y).sum(), 0) for name, y in parts.items()}
    return {name: value / sum(near.values()) for name, value in near.items()}


def test_the_parts_of_an_edited_vector_are_those_worked_out_by_hand_and_add_up_to_it(engine):
    trace = engine.trace(IDS, edits=parse_edits(EDITS, engine.config, len(IDS)))
    middle, post = by_hand(engine, trace)
    for tensor, parts in (("resid_mid", middle), ("resid_post", post)):
        whole = trace[f"blocks.1.{tensor}"][ROW]
        assert sum(parts.values()) == pytest.approx(whole, abs=1e-4), tensor
    made = flow.attention_importance(engine.checkpoint, trace, 1, ROW)
    expected = shares(trace["blocks.1.resid_mid"][ROW].astype(np.float64), middle)
    assert made.stream == pytest.approx(expected["residual stream"], abs=1e-5)
    assert made.others == pytest.approx({name: expected[name] for name in ("b_O", "edit")}, abs=1e-5)
    by_head = [[expected[head, key] for key in range(ROW + 1)] for head in range(engine.config.n_head)]
    assert made.heads == pytest.approx(np.array(by_head), abs=1e-5)
    graph = flow.compute(engine.checkpoint, trace, position=ROW, threshold=0.01)
    top = graph.nodes[0]
    expected = shares(trace["blocks.1.resid_post"][ROW].astype(np.float64), post)
    assert (top.tensor, top.made_of["edit"]) == ("blocks.1.resid_post", pytest.approx(expected["edit"], abs=1e-5))
    lines = {graph.kinds[e].value: graph.importance[e] for e in np.flatnonzero(graph.upper == 0)}
    assert lines == pytest.approx({name: expected[name] for name in ("residual stream", "MLP")}, abs=1e-5)
    assert all(closing.good for closing in graph.closings())


def test_a_muted_head_has_no_share_in_what_comes_after_it(engine):
    trace = engine.trace(IDS, edits=parse_edits(["blocks.1.attn.z[1]=0"], engine.config, len(IDS)))
    made = flow.attention_importance(engine.checkpoint, trace, 1, ROW)
    assert made.heads[1].max() < 1e-6
    assert "edit" not in made.others  # nothing was put


def test_the_embeddings_of_an_edited_first_vector_are_what_is_kept_of_them(engine):
    trace = engine.trace(IDS, edits=parse_edits(["blocks.0.resid_pre*=0.5", "blocks.0.resid_pre+=1"], engine.config, 8))
    made = flow.compute(engine.checkpoint, trace, position=2, threshold=1e-6)
    first = next(node for node in made.nodes if node.tensor == "blocks.0.resid_pre" and node.position == 2)
    parts = {name: 0.5 * trace[name][2] for name in ("embed", "pos_embed")} | {"edit": np.ones(engine.config.n_embd)}
    assert first.made_of == pytest.approx(shares(trace["blocks.0.resid_pre"][2], parts), abs=1e-5)


def test_a_query_that_sees_later_tokens_has_lines_from_them(engine):
    trace = engine.trace(IDS, mask="none")
    made = flow.attention_importance(engine.checkpoint, trace, 0, 2)
    assert made.heads.shape == (engine.config.n_head, len(IDS))
    matrix = engine.checkpoint.weights["blocks.0.attn.W_O"].astype(np.float64)
    terms = {"stream": trace["blocks.0.resid_pre"][2], "b_O": engine.checkpoint.weights["blocks.0.attn.b_O"]}
    for head in range(engine.config.n_head):
        own = slice(head * engine.config.d_head, (head + 1) * engine.config.d_head)
        for key in range(len(IDS)):
            looked = trace["blocks.0.attn.pattern"][head, 2, key]
            terms[head, key] = looked * (trace["blocks.0.attn.v"][head, key] @ matrix[own])
    whole = trace["blocks.0.resid_mid"][2].astype(np.float64)
    assert sum(terms.values()) == pytest.approx(whole, abs=1e-4)
    expected = shares(whole, terms)
    for head in range(engine.config.n_head):
        assert made.heads[head] == pytest.approx([expected[head, key] for key in range(len(IDS))], abs=1e-5)


def test_copied_lines_make_the_shares_of_an_edited_pass_again(tmp_path, monkeypatch):
    model = open_tiny(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    ids = model.tokenizer.encode("Hello, you").ids
    edits = parse_edits([*EDITS, "blocks.0.resid_pre*=2", "blocks.0.resid_pre[5]+=1"], model.config, len(ids))
    trace = model.engine.trace(ids, edits=edits)
    trace.save(tmp_path / "trace.safetensors")
    own = completed(scene_of(model, "Hello, you", trace=trace, token=ROW), view.wants, model)
    made = own.made(view.want(own))
    for n, node in enumerate(made.nodes):
        if node.position != ROW:
            continue
        names = {}
        exec(view.as_numpy(own, view.Cell(view.NODES, view.nodes_of(made)[n])), names)
        if "b_O" in node.made_of:
            again = flow.attention_importance(model.checkpoint, trace, int(node.tensor.split(".")[1]), ROW)
            expected = np.concatenate([[again.stream, *again.others.values()], again.heads.reshape(-1)])
        elif "b_out" in node.made_of:
            layer = int(node.tensor.split(".")[1])
            parts = flow.parts_of_post(model.checkpoint, trace, layer, ROW)
            expected = list(flow.shares_of(trace, node.tensor, ROW, parts).values())
        else:
            expected = [node.made_of[name] for name in ("embed", "pos_embed", "edit")]
        assert names["result"] == pytest.approx(expected, abs=1e-5), node.tensor
