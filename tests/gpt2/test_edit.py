"""Edits as values and as text, what edited passes reuse from the unedited pass, and what is refused."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.check import check, check_pass
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.as_numpy import as_numpy
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.gpt2 import edited
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.edit import ALL, Cells, Edit, parse_edit, parse_edits
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ExportError, ModelError
from desktop_app.gpt2.graph import build_graph
from desktop_app.gpt2.int8 import round_checkpoint
from desktop_app.gpt2.tensors import EDITABLE, tensor_table
from desktop_app.gpt2.trace import Trace
from tests.checkpoints import TINY, write_checkpoint

IDS = (3, 1, 4, 1, 5, 9, 2, 6)
CONFIG = parse_config(TINY | {"n_layer": 3}, "test")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return Engine(load_checkpoint(write_checkpoint(folder, TINY | {"n_layer": 3}, tokenizer=False)))


@pytest.fixture(scope="module")
def plain(engine):
    return engine.trace(IDS)


def edits(*texts):
    return parse_edits(texts, CONFIG, len(IDS))


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("blocks.1.attn.z[2]=0", Edit("blocks.1.attn.z", ((2, 3), ALL, ALL))),
        ("blocks.2.mlp.post[:,5]=1.5", Edit("blocks.2.mlp.post", (ALL, (5, 6)), put=1.5)),
        ("embed*=2", Edit("embed", (ALL, ALL), keep=2)),
        (" blocks.0.resid_pre [ 1:3 , :4 ] += -1e-3 ", Edit("blocks.0.resid_pre", ((1, 3), (0, 4)), 1, -1e-3)),
        (
            "blocks.0.attn.scaled[1, 3, 0]=-inf",
            Edit("blocks.0.attn.scaled", ((1, 2), (3, 4), (0, 1)), put=float("-inf")),
        ),
        ("blocks.1.attn.q[-1, -2]=0", Edit("blocks.1.attn.q", ((2, 3), (6, 7), ALL))),
        ("blocks.1.mlp_out[2:]=0", Edit("blocks.1.mlp_out", ((2, None), ALL))),
    ],
)
def test_an_edit_is_read_from_its_text_and_its_own_words_are_read_as_the_same(text, edit):
    assert parse_edit(text, CONFIG, len(IDS)) == edit
    assert parse_edit(str(edit), CONFIG, len(IDS)) == edit
    assert hash(parse_edit(edit.text, CONFIG, len(IDS))) == hash(edit)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("blocks.1.attn.zz=0", "no tensor 'blocks.1.attn.zz'; did you mean blocks.1.attn.z"),
        ("blocks.3.attn.z=0", "no tensor 'blocks.3.attn.z'"),
        ("blocks.1.attn.hook_z=0", "TransformerLens' name stands for blocks.1.attn.z"),
        ("blocks.1.attn.pattern=0", "blocks.1.attn.pattern cannot be edited; these can: embed, resid_pre"),
        ("logits=0", "logits cannot be edited"),
        ("blocks.1.attn.z[3]=0", "head 3 does not exist; head goes from 0 to 2"),
        ("blocks.1.attn.z[0, 8]=0", "pos 8 does not exist; pos goes from 0 to 7"),
        ("blocks.1.attn.z[0, 5:9]=0", "pos 5:9 does not exist"),
        ("blocks.1.attn.z[0, 5:5]=0", "pos 5:5 does not exist"),
        ("blocks.1.attn.z[-4]=0", "head -4 does not exist"),
        ("blocks.1.attn.z[0, 0, 0, 0]=0", "has 4 indices; blocks.1.attn.z is [head, pos, d_head]"),
        ("blocks.1.attn.z[a]=0", "'a' is not an index"),
        ("blocks.1.attn.z[::2]=0", "'::2' is not an index"),
        ("blocks.1.attn.z[2]", "not of the form SITE[INDEX]=VALUE"),
        ("blocks.1.attn.z[2]==0", "not of the form"),
        ("blocks.1.attn.z[2]=x", "'x', which is not a number"),
        ("blocks.1.attn.z[2]=nan", "nan, which is not a number"),
        ("blocks.1.attn.z[2]=-inf", "only -inf can be, and at attn.scaled alone"),
        ("blocks.1.attn.z[2]=1e39", "not finite"),
        ("blocks.1.attn.scaled[2]=inf", "only -inf can be"),
        ("blocks.1.attn.scaled[2]*=-inf", "only -inf can be"),
    ],
)
def test_a_bad_edit_is_refused_with_the_part_at_fault(text, sentence):
    with pytest.raises(ModelError) as refused:
        parse_edit(text, CONFIG, len(IDS))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_row_that_loses_every_key_is_refused(engine, plain):
    for texts in (["blocks.0.attn.scaled[1, :, 0]=-inf"], ["blocks.0.attn.scaled[1, 1, 0]=-inf"] * 2):
        own = edits(*texts, "blocks.0.attn.scaled[1, 1, 1]+=-inf")
        with pytest.raises(ModelError, match=r"blocks\.0\.attn\.scaled: query [01] of head 1 has every key cut"):
            engine.trace(IDS, edits=own, reuse=plain)
        with pytest.raises(ModelError, match="has every key cut"):
            list(engine.tensors(IDS, ["logits"], edits=own))
    # What is put later counts.
    engine.trace(IDS, edits=edits("blocks.0.attn.scaled=-inf", "blocks.0.attn.scaled[:, :, 0]=0"), reuse=plain)


def test_edits_that_together_leave_the_finite_numbers_are_refused(engine):
    for texts in (["blocks.0.mlp_out*=1e30"] * 2, ["blocks.0.attn.scaled[0, 3, 1]=-inf", "blocks.0.attn.scaled*=-1"]):
        with pytest.raises(ModelError, match="together give a number that is not finite"):
            engine.trace(IDS, edits=edits(*texts))


def test_an_edit_of_a_longer_text_is_refused_for_a_shorter(engine):
    with pytest.raises(ModelError, match=r"pos 7 does not exist; there are 3"):
        engine.trace(IDS[:3], edits=edits("blocks.0.mlp_out[7]=0"))


@pytest.mark.parametrize(
    ("changes", "nodes"),
    [
        ({}, "e3097f2cb9bd3ac207cc70933a41cd812ea387526e4e401a3ccd3b480aac1f44"),
        ({"int8": True}, "9470c76efa0b853bc68bd188df9683f975ad301b2877ec5eda00c0ae7893f883"),
    ],
)
def test_the_graph_without_edits_is_the_one_it_was_to_the_byte(changes, nodes):
    graph = build_graph(replace(parse_config(TINY, "test"), **changes)).graph
    digest = hashlib.sha256()
    for node in graph.node:
        digest.update(node.SerializeToString(deterministic=True))
    assert digest.hexdigest() == nodes


def test_no_edit_is_the_same_bits(engine, plain):
    again = engine.trace(IDS, edits=())
    for name in plain.table:
        assert np.array_equal(again[name], plain[name]), name
    assert again.run == plain.run


def test_what_lies_outside_the_cone_are_the_other_passes_own_arrays(engine, plain):
    trace = engine.trace(IDS, edits=edits("blocks.1.attn.z[2, 3:]=0"), reuse=plain)
    before = {n for n in trace.captured if n.startswith("blocks.0.")} | {f"blocks.1.attn.{letter}" for letter in "qkv"}
    before |= {"blocks.1.resid_pre", "tokens"}
    later = {n for n in trace.captured if not n.endswith((".keep", ".put"))} - before
    assert {"blocks.1.attn.z", "blocks.1.mlp.pre", "blocks.2.attn.k"} <= later
    for name in before:
        assert np.shares_memory(trace[name], plain[name]), name
    for name in later:
        kept, _ = trace.captured.first(name, len(IDS))
        assert np.shares_memory(kept, plain[name]), name
        axis = trace.table[name].spec.row_axis
        assert kept.shape[axis] == 3
        rows = (slice(None),) * axis + (slice(3, None),)
        assert not np.array_equal(trace[name][rows], plain[name][rows]), name
    assert trace.computed == len(IDS) - 3


def test_an_edited_pass_goes_on_from_the_same_edits_and_from_no_others(engine, plain):
    own = edits("blocks.1.mlp.post[:, 4]=1", "blocks.0.attn.k[1, 2]=0")
    short = engine.trace(IDS[:6], edits=own)
    longer = engine.trace(IDS, edits=own, reuse=short)
    assert longer.computed == 2
    fresh = engine.trace(IDS, edits=own)
    for name in fresh.table:
        assert np.allclose(longer[name], fresh[name], atol=1e-5), name
    other = engine.trace(IDS, edits=edits("blocks.1.mlp.post[:, 4]=2"), reuse=short)
    assert other.computed == len(IDS)
    assert not np.allclose(other["logits"], fresh["logits"])
    assert np.array_equal(engine.trace(IDS, reuse=fresh)["logits"], plain["logits"])


def test_int8_weights_take_edits(tmp_path):
    rounded = Engine(round_checkpoint(load_checkpoint(write_checkpoint(tmp_path / "m", tokenizer=False))))
    own = parse_edits(["blocks.0.attn.z[1]=0", "blocks.1.mlp_out[3]*=2"], rounded.config, len(IDS))
    assert all(finding.good for finding in check_pass(rounded, IDS, edits=own))
    trace = rounded.trace(IDS, edits=own)
    (logits,) = rounded.tensors(IDS, ["logits"], edits=own)
    assert np.allclose(trace["logits"], logits, atol=1e-4)


def test_the_check_finds_an_edit_that_was_not_made_as_it_says(engine, plain):
    own = edits("blocks.1.attn.z[2]=0", "blocks.2.mlp.post[:, 5]*=3")
    trace = engine.trace(IDS, edits=own, reuse=plain)
    assert all(finding.good for finding in check(trace, engine.checkpoint.weights))
    for name, at in (
        ("blocks.1.attn.z", (2, 4, 1)),
        ("blocks.1.attn.z.put", (0, 6, 0)),
        ("blocks.1.attn.z.keep", (1, 5, 3)),
    ):
        captured = {n: np.array(trace.captured[n]) for n in trace.captured}
        captured[name][at] += 0.25
        wrong = Trace(CONFIG, captured, run=trace.run, weights=engine.checkpoint.weights)
        assert "blocks.1.attn.z" in [f.name for f in check(wrong, engine.checkpoint.weights) if not f.good]


def test_an_edited_number_opens_to_keep_put_and_what_it_was(engine, plain):
    trace = engine.trace(IDS, edits=edits("blocks.1.mlp_out[3:, 2]*=-2", "blocks.1.mlp_out[5]+=1"), reuse=plain)
    cell = Cell("blocks.1.mlp_out", (5, 2))
    opening = open_cell(trace, engine.checkpoint.weights, cell)
    before = float(plain["blocks.1.mlp_out"][5, 2])
    assert [(s.label, s.value) for s in opening.scalars] == [
        ("before", pytest.approx(before, abs=1e-6)),
        ("keep", -2),
        ("put", 1),
    ]
    assert opening.value == pytest.approx(-2 * before + 1, abs=1e-5)
    assert opening.difference <= 1e-5 * opening.magnitude
    assert [region.name.rsplit(".", 1)[1] for region in computed_from(trace, cell)] == ["before", "keep", "put"]
    assert "blocks.1.mlp_out" in [region.name for region in feeds(trace, Cell("blocks.1.mlp_out.before", (5, 2)))]
    assert open_cell(trace, engine.checkpoint.weights, Cell("blocks.1.mlp_out.put", (5, 2))).numbers == "1.000"


def test_a_saved_edited_pass_opens_as_one_and_its_numpy_lines_make_its_numbers(engine, plain, tmp_path):
    own = edits("blocks.1.attn.z[2]=0.5", "blocks.0.attn.scaled[0, 4, 1]=-inf")
    trace = engine.trace(IDS, edits=own, reuse=plain)
    file = tmp_path / "trace.safetensors"
    trace.save(file)
    loaded = Trace.load(file, engine.checkpoint)
    assert loaded.run.edits == own
    assert list(loaded.table) == list(trace.table)
    sites = frozenset(edit.site for edit in own)
    for name in ("blocks.1.attn.z", "blocks.1.attn.z.before", "blocks.0.attn.scaled", "blocks.1.attn_out"):
        assert np.array_equal(loaded[name], trace[name])
        names = {}
        exec(as_numpy(engine.checkpoint, name, trace_file=file, edited=sites), names)
        assert np.allclose(names["result"], trace[name], atol=1e-5), name


def test_an_edited_pass_saved_in_part_opens_with_what_its_edits_put(engine, plain, tmp_path):
    """Keep and put follow from the edits' texts, so that what comes after them can be derived from the weights."""
    trace = engine.trace(IDS, edits=edits("blocks.1.attn.z[2]=0.5", "blocks.0.mlp_out[3]*=2"), reuse=plain)
    file = tmp_path / "trace.safetensors"
    trace.save(file, ["blocks.0.attn.q"])
    loaded = Trace.load(file, engine.checkpoint)
    for name in ("blocks.0.mlp_out", "blocks.1.attn.z", "blocks.1.attn.z.put", "ln_final.out"):
        assert np.allclose(loaded[name], trace[name], atol=1e-4), name


def test_blocks_of_the_same_form_share_a_graph_and_have_their_own_weights(tmp_path, monkeypatch):
    """A session has threads and takes 15 ms to make: a deep model needs no more of them than one of four blocks."""
    checkpoint = load_checkpoint(write_checkpoint(tmp_path, TINY | {"n_layer": 6}, tokenizer=False))
    made, make = [], edited.session_of
    monkeypatch.setattr(edited, "session_of", lambda *a, **o: made.append(make(*a, **o)) or made[-1])
    own = [parse_edits([f"blocks.{n}.attn.z[1, 2:]=0"], checkpoint.config, len(IDS)) for n in range(6)]
    shared, each = Engine(checkpoint), Engine(checkpoint)
    each.pieces._alike = False
    traces = [shared.trace(IDS, edits=edits) for edits in own]
    assert len(made) == 5  # the first block edited; one between, and the last, each with and without the edit
    for edits, trace in zip(own, traces, strict=True):
        assert np.array_equal(each.trace(IDS, edits=edits)["ln_final.out"], trace["ln_final.out"])
    assert len(made) == 5 + 2 * 5 + 1


def test_numbers_of_another_pass_are_no_text(engine, plain, tmp_path):
    edit = Edit("blocks.1.mlp_out", ((2, 3), ALL), put=Cells.of(plain["blocks.1.mlp_out"][4:5]))
    assert edit == Edit("blocks.1.mlp_out", ((2, 3), ALL), put=Cells.of(plain["blocks.1.mlp_out"][4:5].copy()))
    with pytest.raises(ExportError, match="numbers of another pass"):
        engine.trace(IDS, edits=(edit,), reuse=plain).save(tmp_path / "t.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_an_edited_pass_has_four_rows_for_each_edited_tensor():
    for row in [row for row in tensor_table(CONFIG).values() if row.editable]:
        table = tensor_table(CONFIG, frozenset({row.name}))
        names = list(table)
        at = names.index(row.name)
        assert names[at - 3 : at + 1] == [f"{row.name}.before", f"{row.name}.keep", f"{row.name}.put", row.name]
        assert table[f"{row.name}.before"].inputs == row.inputs
        assert [n for n in names if n not in names[at - 3 : at]] == list(tensor_table(CONFIG))
    assert len([row for row in tensor_table(CONFIG).values() if row.editable]) == 1 + 3 * (len(EDITABLE) - 1)
