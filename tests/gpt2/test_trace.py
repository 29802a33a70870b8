"""Reading, saving and opening traces: any part of any tensor, never changed, under exact names."""

import numpy as np
import pytest
from safetensors import safe_open

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ExportError, ModelError
from desktop_app.gpt2.formula import Formula
from desktop_app.gpt2.int8 import round_checkpoint
from desktop_app.gpt2.trace import Trace
from tests.checkpoints import TINY, random_weights, safetensors_bytes, sealed, store_weights, write_checkpoint

IDS = (3, 1, 4, 1, 5, 9, 2, 6, 5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer=False)))


@pytest.fixture(params=["captured", "derived"])
def trace(engine, request, monkeypatch):
    """A trace that holds every tensor, and one that holds only those marked `kept`."""
    if request.param == "derived":
        monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    made = engine.trace(IDS)
    assert ("blocks.0.attn.pattern" in made.captured) == (request.param == "captured")
    return made


def same(part, whole):
    """Equal up to float error: a slice may sum in another order, and with fewer outputs more nodes are fused."""
    return np.allclose(part, whole, rtol=1e-5, atol=1e-5 * max(1, np.abs(whole[np.isfinite(whole)]).max(initial=0)))


def test_a_head_and_a_row_read_alone_equal_the_slice_of_the_whole(engine):
    full = engine.trace(IDS, everything=True)
    for name in full.table:
        check_slices(engine.trace(IDS, everything=True), full[name], name)


def test_a_head_and_a_row_derived_alone_equal_the_slice_of_the_whole(engine, monkeypatch):
    full = engine.trace(IDS, everything=True)
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    for name in full.table:
        check_slices(engine.trace(IDS), full[name], name)


def check_slices(trace, whole, name):
    per_head = trace.table[name].spec.per_head
    for row in (0, 4, len(IDS) - 1, -1):
        across = whole[:, row] if per_head else whole[row]
        assert same(trace.read(name, row=row), across), name
        for head in range(TINY["n_head"]) if per_head else ():
            assert same(trace.read(name, head=head, row=row), whole[head, row]), name
    for head in range(TINY["n_head"]) if per_head else ():
        assert same(trace.read(name, head=head), whole[head]), name
    assert same(trace.read(name), whole), name


def test_reading_in_any_order_gives_the_same_numbers(engine, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    forwards, backwards = engine.trace(IDS), engine.trace(IDS)
    names = list(forwards.table)
    first = {name: forwards[name] for name in names}
    second = {name: backwards[name] for name in reversed(names)}
    assert all(np.array_equal(first[name], second[name]) for name in names)


LONG = tuple(range(1, 33))
PIECES = {
    "a pass": {},
    "another mask": {"mask": "window:3, 1.1=none"},
    "edited scores": {"edits": ["blocks.1.attn.scaled[1, 5:, 2]+=3"]},
    "a hidden head": {"edits": ["blocks.0.attn.z[2]=0"]},
}


@pytest.mark.parametrize("case", PIECES)
def test_grids_computed_in_pieces_of_rows_are_the_grids(engine, case, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    asked = PIECES[case] | {"edits": parse_edits(PIECES[case].get("edits", []), engine.config, len(LONG))}
    ways = [{}, {"head": 1}, {"head": 2, "every": 3}, {"every": 5}]
    whole = engine.trace(LONG, **asked)
    expected = [(name, way, whole.read(name, **way)) for name in whole.table for way in ways]
    monkeypatch.setattr("desktop_app.gpt2.trace._PIECE", 3 * len(LONG))
    for order in (1, -1):  # after the grids that it is computed from, and before them
        trace = engine.trace(LONG, **asked)
        assert [n for n, way, w in expected[::order] if not same(trace.read(n, **way), w)] == []


def test_a_large_grid_is_computed_without_later_keys_and_keeps_only_what_was_asked_for(engine, monkeypatch):
    """With 4 rows at once, a query has at most 3 keys more than it sees."""
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    monkeypatch.setattr("desktop_app.gpt2.trace._PIECE", 4 * len(LONG))
    cells, evaluate, grid = [], Formula.evaluate, "blocks.1.attn."

    def counted(formula, place, *operands):
        found = evaluate(formula, place, *operands)
        cells.append(found.size)
        return found

    monkeypatch.setattr(Formula, "evaluate", counted)
    trace, heads, n = engine.trace(LONG), TINY["n_head"], len(LONG)
    cells.clear()
    trace.read(grid + "pattern")
    seen = heads * (n * (n + 1) // 2 + n // 4 * (3 + 2 + 1))
    assert sum(cells) == 4 * seen  # scores, scaled, masked, pattern
    assert [key[0] for key in trace._cache if key[0].startswith(grid)] == [grid + "pattern"]
    # Walking the stages computes each of them once; those before the mask have every key.
    trace = engine.trace(LONG)
    cells.clear()
    for stage in ("scores", "scaled", "masked", "pattern"):
        trace.read(grid + stage)
    assert sum(cells) == 2 * heads * n * n + 2 * seen


def test_a_small_cache_changes_no_number(engine, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    expected = {name: engine.trace(IDS)[name] for name in engine.table}
    monkeypatch.setattr("desktop_app.gpt2.trace._CACHE_LIMIT", 20_000)
    trace = engine.trace(IDS)
    for _ in range(2):
        assert all(np.array_equal(trace[name], array) for name, array in expected.items())
    assert trace._cached_bytes <= 20_000


def test_nothing_that_is_read_can_be_written_to(trace):
    for name in trace.table:
        for array in (trace[name], trace.read(name, row=1), trace.read(name, head=0), trace.read(name, head=0, row=1)):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        trace.logits(3)[0] = 0
    with pytest.raises(TypeError):
        trace.captured["embed"] = None


def test_logits_of_a_row_equal_that_row_of_all_logits(trace):
    every = trace["logits"]
    assert every.shape == (len(IDS), TINY["vocab_size"])
    for row in (0, 5, -1):
        assert np.allclose(trace.logits(row), every[row], rtol=1e-5, atol=1e-5)
    assert trace.logits(2) is trace.logits(2 - len(IDS))


@pytest.mark.parametrize("row", [len(IDS), -len(IDS) - 1, 10**9])
def test_a_position_outside_the_text_is_refused(trace, row):
    for ask in (lambda: trace.read("embed", row=row), lambda: trace.read("logits", row=row), lambda: trace.logits(row)):
        with pytest.raises(ModelError, match="outside the text of 9 tokens"):
            ask()


@pytest.mark.parametrize("head", [TINY["n_head"], -1, 99])
def test_a_head_that_the_model_lacks_is_refused(trace, head):
    with pytest.raises(ModelError, match="head"):
        trace.read("blocks.0.attn.pattern", head=head)


def test_a_name_outside_the_table_is_refused(trace):
    for name in ("blocks.2.resid_pre", "pattern", ""):
        with pytest.raises(ModelError, match="no tensor"):
            trace.read(name)


# Files


def test_a_saved_trace_is_read_by_the_safetensors_library_under_exact_names(trace, tmp_path):
    trace.save(tmp_path / "t.safetensors", note={"prompt": "π\n"})
    with safe_open(tmp_path / "t.safetensors", "numpy") as file:
        assert set(file.keys()) == set(trace.table)
        assert file.metadata()["prompt"] == "π\n"
        for name in trace.table:
            array = file.get_tensor(name)
            assert array.dtype == (np.int64 if name == "tokens" else np.float32)
            assert np.array_equal(array, trace[name])


def test_a_saved_trace_opens_again_with_the_same_numbers_and_without_the_model(trace, tmp_path):
    trace.save(tmp_path / "t.safetensors")
    loaded = Trace.load(tmp_path / "t.safetensors")
    assert loaded.ids == IDS
    assert loaded.config == trace.config
    for name in trace.table:
        assert np.array_equal(loaded[name], trace[name])
        with pytest.raises(ValueError, match="read-only"):
            loaded[name][...] = 0
    assert np.array_equal(loaded.logits(-1), trace["logits"][-1])


def test_what_was_not_saved_is_derived_with_the_model_and_refused_without(engine, tmp_path):
    full = engine.trace(IDS)
    full.save(tmp_path / "t.safetensors", ["blocks.0.resid_pre"])
    with pytest.raises(ModelError, match="needs the model"):
        Trace.load(tmp_path / "t.safetensors")["blocks.1.attn.pattern"]
    loaded = Trace.load(tmp_path / "t.safetensors", engine.checkpoint)
    for name in full.table:
        assert np.allclose(loaded[name], full[name], rtol=1e-4, atol=1e-4), name


def test_saving_some_names_saves_those_and_tokens(engine, tmp_path):
    engine.trace(IDS).save(tmp_path / "t.safetensors", ["logits"])
    with safe_open(tmp_path / "t.safetensors", "numpy") as file:
        assert set(file.keys()) == {"tokens", "logits"}


def test_a_trace_saved_twice_is_the_same_file_to_the_byte(trace, tmp_path):
    for name in "ab":
        trace.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_where_no_file_can_be_leaves_nothing(trace, tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "t", tmp_path / ("x" * 300)):
        with pytest.raises(ExportError):
            trace.save(path)
    assert list(tmp_path.iterdir()) == []


def saved(trace, tmp_path, **changes):
    """A saved trace's metadata and tensors with some replaced or (None) left out, written again."""
    trace.save(tmp_path / "good")
    with safe_open(tmp_path / "good", "numpy") as file:
        metadata = file.metadata()
        tensors = {name: ("I64" if name == "tokens" else "F32", file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no mapping
    for name, value in changes.items():
        where = metadata if name in metadata else tensors
        if value is None:
            del where[name]
        else:
            where[name] = value
    rows = {name: (dtype, array.shape, array.tobytes()) for name, (dtype, array) in tensors.items()}
    metadata["sha256"] = "0" * 64
    (tmp_path / "changed").write_bytes(sealed(safetensors_bytes(rows, metadata)))
    return tmp_path / "changed"


def test_files_that_are_no_saved_trace_are_refused(engine, tmp_path):
    trace = engine.trace(IDS)
    assert Trace.load(saved(trace, tmp_path)).ids == IDS
    hostile = {
        "format": "logitscope.trace.99",
        "config": '{"n_layer": 3}',
        "tokens": None,
        "embed": ("F32", np.zeros((8, 24), np.float32)),
        "logits": ("I64", np.zeros((9, 97), np.int64)),
        "more": ("F32", np.zeros((9, 24), np.float32)),
    }
    for name, value in hostile.items():
        with pytest.raises(ModelError, match="changed"):
            Trace.load(saved(trace, tmp_path, **{name: value}))
    for config in ("", "[]", "{", '{"n_layer": 1e9}', '{"vocab_size": 0}'):
        with pytest.raises(ModelError):
            Trace.load(saved(trace, tmp_path, config=config))


def spoiled(data, how):
    """The bytes of a saved trace with its last number changed, two tensors swapped by name, or its prompt's note."""
    if how == "a number":
        return data[:-4] + np.float32(0.5).tobytes()
    if how == "not a number":
        return data[:-4] + np.float32(np.nan).tobytes()
    if how == "a name":
        for old, new in ((b"0.mlp_out", b"9.mlp_out"), (b"1.mlp_out", b"0.mlp_out"), (b"9.mlp_out", b"1.mlp_out")):
            data = data.replace(b"blocks." + old, b"blocks." + new)
        return data
    return data.replace(b"a prompt", b"b prompt")


@pytest.mark.parametrize("how", ["a number", "not a number", "a name", "a note"])
def test_a_trace_that_was_changed_afterwards_is_refused_with_a_sentence(engine, tmp_path, how):
    path = tmp_path / "t.safetensors"
    engine.trace(IDS).save(path, note={"prompt": f"a prompt, and {'0' * 64}"})
    assert Trace.load(path, engine.checkpoint).ids == IDS
    data = path.read_bytes()
    changed = spoiled(data, how)
    assert changed != data and len(changed) == len(data)
    path.write_bytes(changed)
    with pytest.raises(ModelError, match="not as it was saved"):
        Trace.load(path)


def test_a_trace_without_digests_is_told_from_one_that_is_none(trace, tmp_path):
    with pytest.raises(ModelError, match="by an earlier Logitscope, which kept no digests"):
        Trace.load(saved(trace, tmp_path, format="logitscope.trace.1"))


def test_the_seal_is_the_digest_of_the_file_as_anybody_can_make_it(trace, tmp_path):
    trace.save(tmp_path / "t.safetensors")
    data = (tmp_path / "t.safetensors").read_bytes()
    with safe_open(tmp_path / "t.safetensors", "numpy") as file:
        seal = file.metadata()["sha256"]
    assert sealed(data.replace(seal.encode(), b"0" * 64)) == data


# Which model's numbers


def finetuned(folder, change):
    """The model of random weights with seed 0, changed by `change` (stored name -> array), in `folder`."""
    weights = {name: array.copy() for name, array in random_weights(TINY, 0).items()}
    change(weights)
    return load_checkpoint(write_checkpoint(folder, TINY, weights))


def halve_attention(weights):
    weights["h.1.attn.c_attn.weight"] /= 2


def one_bit(weights):
    weights["h.0.mlp.c_proj.bias"][3] = np.nextafter(weights["h.0.mlp.c_proj.bias"][3], np.float32(9))


@pytest.mark.parametrize("names", [None, ["blocks.0.attn.pattern"], ["tokens"]])
@pytest.mark.parametrize("change", [halve_attention, one_bit])
def test_a_trace_opens_with_the_model_that_made_it_and_with_no_other(tmp_path, change, names):
    made = load_checkpoint(write_checkpoint(tmp_path / "made", TINY, random_weights(TINY, 0)))
    path = tmp_path / "t.safetensors"
    Engine(made).trace(IDS).save(path, names, note={"model": "made"})
    assert Trace.load(path, made).ids == IDS
    with pytest.raises(ModelError, match=r"computed by another model \('made'\) than other"):
        Trace.load(path, finetuned(tmp_path / "other", change))
    shorter = write_checkpoint(tmp_path / "short", TINY | {"n_layer": 1})
    with pytest.raises(ModelError, match=r"of another shape \('made'\) than short"):
        Trace.load(path, load_checkpoint(shorter))
    with pytest.raises(ModelError, match="weights that are exact; open made the same way"):
        Trace.load(path, round_checkpoint(made))


def test_a_trace_saved_without_a_model_is_nobody_s(engine, trace, tmp_path):
    Trace(trace.config, {name: trace[name] for name in ("tokens", "embed")}).save(tmp_path / "t", ["tokens", "embed"])
    with pytest.raises(ModelError, match="another model"):
        Trace.load(tmp_path / "t", engine.checkpoint)


def test_a_model_is_the_same_however_it_is_stored(tmp_path):
    weights = {name: array.astype(np.float16).astype(np.float32) for name, array in random_weights(TINY, 0).items()}
    forms = {"plain": {}, "half": {"dtype": "F16"}, "shards": {"shards": 3}, "turned": {"linear": True}}
    digests = set()
    for form, how in forms.items():
        folder = write_checkpoint(tmp_path / form, TINY, weights)
        if how:
            (folder / "model.safetensors").unlink()
            store_weights(folder, weights, **how)
        checkpoint = load_checkpoint(folder)
        digests |= {checkpoint.digest, round_checkpoint(checkpoint).digest}
    assert len(digests) == 1


def test_token_ids_in_a_file_that_the_model_lacks_are_refused(engine, tmp_path):
    trace = engine.trace(IDS)
    for bad in (-1, 97):
        tokens = np.array([3, 1, 4, 1, 5, 9, 2, 6, bad])
        with pytest.raises(ModelError, match=f"{bad}"):
            Trace.load(saved(trace, tmp_path, tokens=("I64", tokens)))
    with pytest.raises(ModelError):
        Trace.load(saved(engine.trace((3,)), tmp_path, tokens=("I64", np.zeros(0, np.int64))))


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_every_so_many_rows_are_those_rows_of_the_whole_and_the_last_is_among_them(engine, trace, every):
    whole = engine.trace(IDS, everything=True)
    rows = np.arange(len(IDS))[::-1][::every][::-1]
    assert same(trace.read("blocks.1.attn.pattern", every=every), whole["blocks.1.attn.pattern"][:, rows])
    assert same(trace.read("blocks.1.mlp.pre", every=every), whole["blocks.1.mlp.pre"][rows])
