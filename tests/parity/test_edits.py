"""Edited passes compared with transformers under hooks that make the same edits: every tensor, on unusual configs."""

from contextlib import contextmanager

import numpy as np
import pytest

from desktop_app.core.analysis import what_if
from desktop_app.core.check import check, check_pass
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.edit import Cells, Edit, parse_edits
from desktop_app.gpt2.edited import finals
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import TINY, random_ids, random_weights

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
    "seven heads of five, four blocks, silu, large epsilon": TINY
    | {"n_embd": 35, "n_head": 7, "n_layer": 4, "activation_function": "silu", "layer_norm_epsilon": 1e-3},
    "one head, one block, a vocabulary of eleven": TINY
    | {"n_embd": 6, "n_head": 1, "n_layer": 1, "vocab_size": 11, "activation_function": "gelu_pytorch_tanh"},
}
COUNT = 11


class Pair:
    def __init__(self, folder, config):
        self.config = config
        self.theirs = build(config, random_weights(config, 7))
        self.theirs.save_pretrained(folder)
        self.engine = Engine(load_checkpoint(folder))
        self.ids = tuple(int(i) for i in random_ids(config, 7, COUNT))
        self.plain = self.engine.trace(self.ids)

    def edits(self, *texts):
        last = self.config["n_layer"] - 1
        head = self.config["n_head"] - 1
        return parse_edits((t.format(last=last, head=head) for t in texts), self.engine.config, COUNT)


@pytest.fixture(scope="module", params=ODD, ids=str)
def pair(request, tmp_path_factory):
    return Pair(tmp_path_factory.mktemp("pretrained"), ODD[request.param])


def changed(value, edit):
    """A tensor, with the table's axes, changed to keep * x + put at the cells of an edit."""
    value = value.clone()
    cells = tuple(slice(*span) for span in edit.where)
    put = torch.tensor(edit.put.array) if isinstance(edit.put, Cells) else edit.put
    value[cells] = put if edit.keep == 0 else edit.keep * value[cells] + put
    return value


@contextmanager
def hooked(model, edits):
    """The model with hooks that make the edits, in order."""
    heads, handles = model.config.n_head, []

    def by_head(flat):
        return flat.reshape(len(flat), heads, -1).transpose(0, 1)

    def joined(z):
        return z.transpose(0, 1).reshape(z.shape[1], -1)

    def after(module, make):
        def hook(_module, _inputs, output):
            return make(output.reshape(output.shape[-2:])).reshape(output.shape)

        handles.append(module.register_forward_hook(hook))

    def before(module, make, *, in_place=False):
        def hook(_module, inputs):
            made = make(inputs[0][0])[None]
            if in_place:
                inputs[0].copy_(made)
                return None
            return (made, *inputs[1:])

        handles.append(module.register_forward_pre_hook(hook))

    def part(output, letter, make):
        pieces = list(output.split(output.shape[-1] // 3, -1))
        pieces["qkv".index(letter)] = joined(make(by_head(pieces["qkv".index(letter)])))
        return torch.cat(pieces, -1)

    scaled = {}
    for edit in edits:

        def make(value, edit=edit):
            return changed(value, edit)

        if edit.site == "embed":
            after(model.transformer.wte, make)
            continue
        _, layer, name = edit.site.split(".", 2)
        block = model.transformer.h[int(layer)]
        if name == "attn.scaled":
            scaled.setdefault(int(layer), []).append(make)
        elif name in ("attn.q", "attn.k", "attn.v"):
            after(block.attn.c_attn, lambda output, letter=name[-1], make=make: part(output, letter, make))
        elif name == "attn.z":
            before(block.attn.c_proj, lambda flat, make=make: joined(make(by_head(flat))))
        elif name == "resid_pre":
            before(block, make)
        elif name == "resid_mid":
            before(block.ln_2, make, in_place=True)  # the residual connection continues from the same tensor
        else:
            modules = {"attn_out": block.attn.c_proj, "mlp.post": block.mlp.act, "mlp_out": block.mlp.c_proj}
            after(modules[name], make)
    softmax, calls = torch.nn.functional.softmax, []

    def edited(values, *arguments, **options):
        for make in scaled.get(len(calls), ()):
            later = torch.ones(values.shape[-2:], dtype=bool).triu(1)
            values = torch.where(later, values[0], make(values[0]))[None]
        calls.append(1)
        return softmax(values, *arguments, **options)

    torch.nn.functional.softmax = edited
    try:
        yield model
    finally:
        torch.nn.functional.softmax = softmax
        for handle in handles:
            handle.remove()


EDITS = [
    ["blocks.{last}.attn.z[{head}]=0"],
    ["blocks.0.attn.z[0, 4]*=-2", "blocks.0.attn.z[{head}, 6, 1]+=3"],
    ["blocks.{last}.mlp.post[:, 5]=1.5"],
    ["blocks.0.mlp.post[3]=0"],
    ["blocks.0.attn_out[2:5]*=0.5", "blocks.{last}.mlp_out[9]=0"],
    ["blocks.{last}.resid_pre[7, 2:4]=1", "blocks.0.resid_mid[5]*=3"],
    ["blocks.0.resid_pre[0]+=1.25", "blocks.0.resid_pre[0, 1]=0"],
    ["blocks.0.attn.q[{head}, 3]=0", "blocks.{last}.attn.k[0, 2:]*=2"],
    ["blocks.{last}.attn.v[{head}, :, 1]+=1"],
    ["embed[4, 0]=2", "blocks.0.mlp_out=0"],
    ["blocks.{last}.attn.scaled[{head}, 6, 2]=-inf", "blocks.0.attn.scaled[0, 3:, 1]+=-2"],
    ["blocks.{last}.attn.scaled[:, 10, 1:]=-inf", "blocks.{last}.attn.scaled[{head}, :, 0]*=1.5"],
]


def assert_close(found, expected, name):
    finite = np.isfinite(expected)
    assert found.shape == expected.shape, name
    assert np.array_equal(np.isfinite(found), finite), name
    limit = 1e-4 * max(1, np.abs(expected[finite]).max())
    assert np.abs(found[finite] - expected[finite]).max() <= limit, name


@pytest.mark.parametrize("texts", EDITS, ids=" ".join)
def test_every_tensor_is_what_hooks_on_transformers_give(pair, texts):
    edits = pair.edits(*texts)
    with hooked(pair.theirs, edits):
        expected = tensors(pair.theirs, pair.ids, edited=True)
    scored = {edit.site.replace("scaled", "masked") for edit in edits if edit.site.endswith("scaled")}
    trace = pair.engine.trace(pair.ids, edits=edits, reuse=pair.plain)
    graph = dict(zip(trace.table, pair.engine.tensors(pair.ids, list(trace.table), edits=edits), strict=True))
    assert not np.allclose(graph["logits"], pair.plain["logits"], atol=1e-6)
    for name, array in expected.items():
        if name not in scored:  # the hook on softmax records the scores before the edit
            assert_close(trace[name], array, name)
            assert_close(graph[name], array, name)
    for name, array in graph.items():
        assert_close(trace[name], array, name)
    assert_close(finals(pair.engine, pair.plain, [edits])[0], expected["ln_final.out"][-1], "together")


@pytest.mark.parametrize("texts", EDITS, ids=" ".join)
def test_the_check_passes_on_edited_runs(pair, texts):
    edits = pair.edits(*texts)
    findings = list(check_pass(pair.engine, pair.ids, edits=edits))
    assert {f"{edit.site}.before" for edit in edits} < {finding.name for finding in findings}
    assert all(finding.good for finding in findings), [f for f in findings if not f.good]
    trace = pair.engine.trace(pair.ids, edits=edits, reuse=pair.plain)
    assert all(finding.good for finding in check(trace, pair.engine.checkpoint.weights))


def test_numbers_from_another_pass_are_put_where_they_were_taken(pair):
    other = pair.engine.trace(tuple(reversed(pair.ids)))
    last = f"blocks.{pair.config['n_layer'] - 1}.resid_pre"
    edits = (Edit(last, ((3, 6), (0, None)), put=Cells.of(other[last][3:6])),)
    with hooked(pair.theirs, edits):
        expected = tensors(pair.theirs, pair.ids, edited=True)
    trace = pair.engine.trace(pair.ids, edits=edits, reuse=pair.plain)
    assert np.array_equal(trace[last][3:6], other[last][3:6])
    assert_close(trace["logits"], expected["logits"], "logits")


def test_many_edits_together_are_what_each_gives_alone(pair):
    edits = [pair.edits(*texts) for texts in EDITS]
    edits += [pair.edits(f"blocks.0.attn.z[0, {n}]=0") for n in range(COUNT)]
    done = []
    together = finals(pair.engine, pair.plain, edits, progress=lambda which, _rows: done.extend(which))
    assert sorted(done) == list(range(len(edits)))
    for own, row in zip(edits, together, strict=True):
        alone = pair.engine.trace(pair.ids, edits=own, reuse=pair.plain)
        assert_close(row, alone.read("ln_final.out", row=-1), str(own))


def difference(pair, edits, ids):
    """logit[3] - logit[5] after the last position, by transformers with hooks."""
    with hooked(pair.theirs, edits), torch.no_grad():
        logits = pair.theirs(torch.tensor([ids])).logits[0, -1].double()
    return float(logits[3] - logits[5])


@pytest.mark.parametrize("what", ["heads", "mlps", "neurons:0"])
@pytest.mark.parametrize("how", ["zero", "mean"])
def test_muting_gives_what_hooks_that_mute_give(pair, what, how):
    others = [random_ids(pair.config, 21, 9), random_ids(pair.config, 22, 6)]
    found = what_if.ablate(pair.engine, pair.plain, target=3, against=5, what=what, how=how, reference=others)
    assert found.base == pytest.approx(difference(pair, [], pair.ids), abs=1e-4)
    name = "attn.z" if what == "heads" else "mlp.post"
    taken = [tensors(pair.theirs, ids) for ids in others] if how == "mean" else []

    def put(site, cells):
        if not taken:
            return 0.0
        axis = 1 if what == "heads" else 0
        every = np.concatenate([own[site] for own in taken], axis)
        return Cells.of(every.mean(axis, keepdims=True)[cells])

    every, layers = (0, None), pair.config["n_layer"]
    expected = []
    for layer in range(1 if what == "neurons:0" else layers):
        site = f"blocks.{layer}.{name}"
        if what == "mlps":
            expected.append(Edit(site, (every, every), put=put(site, slice(None))))
        for k in range(pair.config["n_head"] if what == "heads" else 0):
            expected.append(Edit(site, ((k, k + 1), every, every), put=put(site, slice(k, k + 1))))
        for k in range(pair.engine.config.d_mlp if what == "neurons:0" else 0):
            expected.append(Edit(site, (every, (k, k + 1)), put=put(site, (slice(None), slice(k, k + 1)))))
    assert found.logit_difference.size == len(expected)
    # Each pass of transformers takes a while, so only some of many parts are compared.
    for edit, value in list(zip(expected, found.logit_difference.reshape(-1), strict=True))[:: 1 + len(expected) // 6]:
        assert value == pytest.approx(difference(pair, [edit], pair.ids), abs=1e-4), str(edit)


@pytest.mark.parametrize("what", what_if.PATCHED)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_patching_gives_what_hooks_that_patch_give(pair, what, direction):
    clean, corrupt = pair.ids, (*pair.ids[:3], 7, *pair.ids[4:])
    runs = pair.plain, pair.engine.trace(corrupt, reuse=pair.plain)
    found = what_if.patch(pair.engine, *runs, target=3, against=5, what=what, direction=direction)
    base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    there, every = tensors(pair.theirs, source), (0, None)
    for layer, row in enumerate(found.logit_difference):
        site = f"blocks.{layer}.{'attn.z' if what == 'heads' else what}"
        for k, value in list(enumerate(row))[:: 1 if what == "heads" else 3]:
            put = Cells.of(there[site][k : k + 1])
            edit = Edit(site, ((k, k + 1), every, every) if what == "heads" else ((k, k + 1), every), put=put)
            assert value == pytest.approx(difference(pair, [edit], base), abs=1e-4), str(edit)
    assert found.clean == pytest.approx(difference(pair, [], clean), abs=1e-4)
    assert found.corrupt == pytest.approx(difference(pair, [], corrupt), abs=1e-4)
