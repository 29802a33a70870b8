"""The graph and its export: it has the table's names, passes ONNX's own checker, and runs in a plain session."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.errors import Cancelled, ExportError
from desktop_app.gpt2.export import export_onnx
from desktop_app.gpt2.graph import build_graph
from desktop_app.gpt2.tensors import tensor_table
from tests import reference
from tests.checkpoints import TINY, random_config, random_ids, write_checkpoint, write_random_checkpoint

SEEDS = range(12)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", tokenizer=False))


def feeds(session, ids, past=None):
    empty = {
        put.name: np.zeros((put.shape[0], 0, put.shape[2]), np.float32)
        for put in session.get_inputs()
        if put.name != "input_ids"
    }
    return empty | (past or {}) | {"input_ids": np.asarray(ids)}


@pytest.mark.parametrize("seed", SEEDS)
def test_outputs_are_the_table_by_name_order_and_shape(seed):
    config = parse_config(random_config(seed), "test")
    outputs = build_graph(config).graph.output
    table = tensor_table(config)
    assert [output.name for output in outputs] == list(table)
    for output in outputs:
        shape = [dim.dim_value or dim.dim_param for dim in output.type.tensor_type.shape.dim]
        symbols = {"pos": "pos", "query": "pos", "key": "key"}
        assert shape == [symbols.get(axis) or config.size(axis, 0) for axis in table[output.name].axes]


@pytest.mark.parametrize("seed", SEEDS)
def test_body_and_head_together_have_the_whole_table(seed):
    config = parse_config(random_config(seed), "test")
    body = [output.name for output in build_graph(config, head=False).graph.output]
    head = [output.name for output in build_graph(config, body=False).graph.output]
    assert body + head == list(tensor_table(config))


@pytest.mark.parametrize("embed_limit", [10**9, 0], ids=["embedded", "beside"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_export_passes_the_checker_and_runs_in_a_plain_session(tmp_path, seed, embed_limit):
    config, weights = write_random_checkpoint(tmp_path / "model", seed)
    out = tmp_path / "elsewhere"
    out.mkdir()
    paths = export_onnx(load_checkpoint(tmp_path / "model"), out / "m.onnx", embed_limit=embed_limit)
    assert sorted(out.iterdir()) == sorted(paths)
    assert [path.name for path in paths] == (["m.onnx"] if embed_limit else ["m.onnx", "m.onnx.data"])
    onnx.checker.check_model(str(paths[0]), full_check=True)
    session = onnxruntime.InferenceSession(paths[0])
    names = [output.name for output in session.get_outputs()]
    ids = random_ids(config, seed)
    found = dict(zip(names, session.run(names, feeds(session, ids)), strict=True))
    expected = reference.forward(weights, config, ids)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        finite = np.isfinite(expected[name])
        assert np.array_equal(np.isfinite(array), finite), name
        limit = 1e-4 * max(1, np.abs(expected[name][finite]).max())
        assert np.abs(array[finite] - expected[name][finite]).max() <= limit, name


def test_shape_inference_finds_the_declared_shape_of_every_output(checkpoint, tmp_path):
    (path,) = export_onnx(checkpoint, tmp_path / "m.onnx")
    model = onnx.load(path)
    declared = {output.name: output for output in model.graph.output}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:  # only the type is left to infer shapes from
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    for output in inferred.graph.output:
        dims = output.type.tensor_type.shape.dim
        expected = declared[output.name].type.tensor_type.shape.dim
        assert len(dims) == len(expected)
        for dim, wanted in zip(dims, expected, strict=True):
            assert not dim.dim_value or dim.dim_value == wanted.dim_value, output.name


def test_an_exported_graph_decodes_with_past_keys_and_values(checkpoint, tmp_path):
    session = onnxruntime.InferenceSession(export_onnx(checkpoint, tmp_path / "m.onnx")[0])
    ids = [3, 1, 4, 1, 5, 9]
    parts = {f"past.{n}.{part}": f"blocks.{n}.attn.{part[0]}" for n in range(2) for part in ("key", "value")}
    first = dict(zip(parts, session.run(list(parts.values()), feeds(session, ids[:4])), strict=True))
    grid, logits = session.run(["blocks.1.attn.pattern", "logits"], feeds(session, ids[4:], first))
    whole_grid, whole = session.run(["blocks.1.attn.pattern", "logits"], feeds(session, ids))
    assert grid.shape == (TINY["n_head"], 2, 6)
    assert np.allclose(grid, whole_grid[:, 4:], atol=1e-6)
    assert np.allclose(logits, whole[4:], rtol=1e-5, atol=1e-5)


def test_an_export_says_what_it_is(checkpoint, tmp_path):
    (path,) = export_onnx(checkpoint, tmp_path / "m.onnx")
    meta = onnxruntime.InferenceSession(path).get_modelmeta()
    assert meta.producer_name == "logitscope"
    assert meta.custom_metadata_map["model"] == "tiny"
    assert json.loads(meta.custom_metadata_map["config"])["n_embd"] == TINY["n_embd"]
    documented = {output.name: output.doc_string for output in onnx.load(path).graph.output}
    assert "[head, query, key]" in documented["blocks.0.attn.pattern"]
    assert all(documented.values())


def test_an_export_is_the_same_file_to_the_byte_each_time(checkpoint, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        export_onnx(checkpoint, tmp_path / name / "m.onnx", embed_limit=0)
    for file in ("m.onnx", "m.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_weights_beside_the_graph_start_on_pages(checkpoint, tmp_path):
    export_onnx(checkpoint, tmp_path / "m.onnx", embed_limit=0)
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    offsets = [int(e.value) for t in model.graph.initializer for e in t.external_data if e.key == "offset"]
    assert offsets
    assert all(offset % 4096 == 0 for offset in offsets)


def test_a_data_file_in_the_way_is_refused_without_force(checkpoint, tmp_path):
    (tmp_path / "m.onnx.data").write_text("mine")
    with pytest.raises(ExportError, match=r"m\.onnx\.data already exists"):
        export_onnx(checkpoint, tmp_path / "m.onnx", embed_limit=0)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx.data"]
    export_onnx(checkpoint, tmp_path / "m.onnx", embed_limit=0, force=True)
    onnxruntime.InferenceSession(tmp_path / "m.onnx")


@pytest.mark.parametrize("last", range(3))
def test_an_export_that_is_stopped_leaves_nothing(checkpoint, tmp_path, last):
    stages = []

    def on_stage(stage):
        stages.append(stage)
        if len(stages) > last:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        export_onnx(checkpoint, tmp_path / "m.onnx", embed_limit=0, on_stage=on_stage)
    assert list(tmp_path.iterdir()) == []
