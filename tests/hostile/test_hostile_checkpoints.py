"""Damaged, inconsistent and malicious checkpoints: each is refused in one sentence, by the loader and the command."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from desktop_app import cli
from desktop_app.core.generate import generate
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError, SamplingError
from desktop_app.gpt2.safetensors_file import SafetensorsFile
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.stored import read_index
from tests.checkpoints import TINY, random_weights, safetensors_bytes, store_weights, with_header, write_checkpoint

WEIGHTS = random_weights(TINY)
ROWS = {name: ("F32", array.shape, array.tobytes()) for name, array in WEIGHTS.items()}


@pytest.fixture
def folder(tmp_path):
    return write_checkpoint(tmp_path / "model")


def refused(folder, capfd, *words):
    """The loader raises one sentence with `words`; the command prints it, exits with 2 and leaves no file."""
    with pytest.raises(ModelError) as caught:
        load_checkpoint(folder)
    sentence = str(caught.value)
    for word in words:
        assert word in sentence, sentence
    assert "\n" not in sentence
    assert sentence.isprintable()
    assert len(sentence) < 700
    assert sentence.endswith(".")
    out = folder.parent / "out.safetensors"
    capfd.readouterr()
    assert cli.main(["trace", "A", "--model", str(folder), "--out", str(out)]) == 2
    printed, complaint = capfd.readouterr()
    assert (printed, complaint) == ("", f"logitscope: {sentence}\n")
    assert not out.exists()
    assert not list(folder.parent.glob(".logitscope*"))
    return True


# The folder


def test_no_such_folder(tmp_path, capfd):
    assert refused(tmp_path / "nowhere", capfd, "nowhere does not exist")


def test_a_file_instead_of_a_folder(folder, capfd):
    assert refused(folder / "config.json", capfd, "is a file, not a folder")


def test_a_name_too_long_for_the_file_system(tmp_path, capfd):
    assert refused(tmp_path / ("x" * 300), capfd, "too long")


def test_an_empty_folder(tmp_path, capfd):
    (tmp_path / "model").mkdir()
    assert refused(tmp_path / "model", capfd, "config.json does not exist")


def test_a_folder_without_weights(folder, capfd):
    (folder / "model.safetensors").unlink()
    assert refused(folder, capfd, "has no weights", "model.safetensors")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_pickles_are_never_opened(folder, capfd, name):
    (folder / "model.safetensors").unlink()
    # If it were unpickled, it would create a folder.
    (folder / name).write_bytes(b"cos\nmkdir\n(V" + str(folder / "harm").encode() + b"\ntR.")
    assert refused(folder, capfd, name, "pickle", "safetensors")
    assert not (folder / "harm").exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_a_file_that_is_no_file(folder, capfd, name, kind):
    path = folder / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    if (kind, name) == ("loop", "model.safetensors"):
        assert refused(folder, capfd)
    else:
        assert refused(folder, capfd, name)


def test_several_weight_files_without_an_index(folder, capfd):
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    assert refused(folder, capfd, "2 safetensors files", "index")


# config.json

BAD_JSON = {
    "empty": b"",
    "cut off": b'{"n_layer": 2',
    "not UTF-8": b'{"n_layer": "\xff"}',
    "UTF-16": '{"n_layer": 2}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "twice": b'{"n_layer": 2, "n_layer": 3}',
    "twice, escaped": b'{"n_layer": 2, "n_layer\\u0000": 1, "\\u006e_layer": 3}',
    "NaN": b'{"layer_norm_epsilon": NaN}',
    "Infinity": b'{"layer_norm_epsilon": Infinity}',
    "long number": b'{"n_layer": ' + b"9" * 5000 + b"}",
    "surrogate": b'{"activation_function": "\\ud800"}',
    "too long": b'{"a": "' + b"x" * (1 << 20) + b'"}',
    "nothing but zeros": bytes(1000),
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_a_config_that_is_no_json_object(folder, capfd, text):
    (folder / "config.json").write_bytes(text)
    assert refused(folder, capfd, "config.json")


ABSURD = {
    **{
        name: [
            0,
            -1,
            10**9,
            10**30,
            1.5,
            2.0,
            "12",
            True,
            [12],
            {"a": 1},
            1e308,
            *([None] if name != "n_inner" else []),
        ]
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner")
    },
    **{
        name: [1, 0, "true", "false", [], 1.0, None]
        for name in (
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
            "tie_word_embeddings",
        )
    },
    "activation_function": ["tanh", "GELU", "", None, 3, ["gelu"], {"a": 1}, "mish", "gelu_new\x1b[2J"],
    "layer_norm_epsilon": [0, -1e-5, 1.1, 1e-60, 1e400, "1e-5", None, True, [1e-5]],
    "model_type": ["gpt_neo", "GPT2", None, 3, "gpt_bigcode", ["gpt2"], "x" * 10_000],
    "add_cross_attention": [True],
    "is_encoder_decoder": [True],
    "is_causal": [False],
    "pruned_heads": [{"0": [1]}],
    "quantization_config": [{"bits": 4}],
    "quantization": [{"group_size": 64, "bits": 4}],
    "position_embedding_type": ["relative_key"],
    "rope_scaling": [{"type": "linear"}],
    "rotary": [True],
    "sliding_window": [128],
    "multi_query": [True],
    "num_key_value_heads": [1],
    "final_logit_softcapping": [30.0],
    "logit_scale": [0.5],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in ABSURD.items() for value in values],
    ids=[f"{field}={value!r:.20}" for field, values in ABSURD.items() for value in values],
)
def test_a_field_that_means_nothing_or_something_else_is_refused_by_name(folder, capfd, field, value):
    text = json.dumps(TINY | {field: value}).replace("Infinity", "1e400")
    (folder / "config.json").write_text(text)
    assert refused(folder, capfd, "config.json", field)


def test_heads_that_do_not_divide_the_width(folder, capfd):
    (folder / "config.json").write_text(json.dumps(TINY | {"n_head": 5}))
    assert refused(folder, capfd, "n_embd 24", "n_head 5")


def test_two_names_for_one_field_that_disagree(folder, capfd):
    (folder / "config.json").write_text(json.dumps(TINY | {"hidden_size": 48}))
    assert refused(folder, capfd, "hidden_size", "n_embd")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("n_layer", 512), ("n_layer", 1), ("n_embd", 32_766), ("n_inner", 7)),
        *(("vocab_size", 2_000_000), ("vocab_size", 98), ("n_positions", 131_072), ("n_positions", 31)),
    ],
)
def test_a_config_of_another_model_than_the_weights(folder, capfd, field, value):
    (folder / "config.json").write_text(json.dumps(TINY | {field: value}))
    assert refused(folder, capfd)


# model.safetensors


def damaged(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    return folder


def changed(change):
    """The bytes of a valid file after `change` modified its parsed header."""
    good = safetensors_bytes(ROWS)
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    change(header)
    return with_header(json.dumps(header).encode(), good[8 + length :])


def entry(name, **fields):
    return lambda header: header[name].update(fields)


GOOD = safetensors_bytes(ROWS)
LENGTH = int.from_bytes(GOOD[:8], "little")
FIRST, SECOND = list(ROWS)[:2]  # 97 x 24 and 32 x 24 of F32: 9,312 bytes and 3,072
BAD_FILES = {
    "empty": b"",
    "seven bytes": GOOD[:7],
    "no header": GOOD[:8],
    "half a header": GOOD[: 8 + LENGTH // 2],
    "no data": GOOD[: 8 + LENGTH],
    "one byte short": GOOD[:-1],
    "one byte long": GOOD + b"\0",
    "zeros": bytes(100_000),
    "text": b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 523\n",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "zip, as torch.save writes": b"PK\x03\x04" + bytes(1000),
    "header length beyond the file": (len(GOOD) * 2).to_bytes(8, "little") + GOOD[8:],
    "header length of 2**64 - 1": b"\xff" * 8 + GOOD[8:],
    "header length of 2**63": (1 << 63).to_bytes(8, "little") + GOOD[8:],
    "header length zero": bytes(8) + GOOD[8:],
    "header length too short": (LENGTH - 20).to_bytes(8, "little") + GOOD[8:],
    "header length too long": (LENGTH + 8).to_bytes(8, "little") + GOOD[8:],
    "header is a list": with_header(b"[]"),
    "header is empty": with_header(b""),
    "header without tensors": with_header(b"{}"),
    "header is deep": with_header(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "header is not UTF-8": with_header(b'{"\xff": 1}'),
    "tensor named twice": with_header(
        GOOD[8 : 8 + LENGTH].replace(SECOND.encode(), FIRST.encode()), GOOD[8 + LENGTH :]
    ),
    "overlap": changed(entry(SECOND, data_offsets=[0, 3072])),
    "overlap by one byte": changed(entry(SECOND, data_offsets=[9311, 12383])),
    "same place twice": changed(entry(FIRST, data_offsets=[9312, 18624])),
    "gap": changed(lambda header: header.pop(SECOND)),
    "offsets backwards": changed(entry(SECOND, data_offsets=[12384, 9312])),
    "offsets negative": changed(entry(FIRST, data_offsets=[-9312, 0])),
    "offsets beyond the file": changed(entry(SECOND, data_offsets=[1 << 40, (1 << 40) + 3072])),
    "offsets beyond 64 bits": changed(entry(SECOND, data_offsets=[1 << 70, (1 << 70) + 3072])),
    "offsets fractional": changed(entry(FIRST, data_offsets=[0.0, 9312.0])),
    "offsets as text": changed(entry(FIRST, data_offsets="09")),
    "offsets missing one": changed(entry(FIRST, data_offsets=[0])),
    "offsets as an object": changed(entry(FIRST, data_offsets={"0": 0, "1": 9312})),
    "shape too small": changed(entry(FIRST, shape=[97, 23])),
    "shape too large": changed(entry(FIRST, shape=[97, 25])),
    "shape negative": changed(entry(FIRST, shape=[-97, -24])),
    "shape overflows": changed(entry(FIRST, shape=[1 << 32, 1 << 32, 0])),
    "shape wraps around": changed(entry(FIRST, shape=[(1 << 64) + 97, 24])),
    "shape of truths": changed(entry(FIRST, shape=[True, 2328])),
    "shape missing": changed(lambda header: header[FIRST].pop("shape")),
    "shape is null": changed(entry(FIRST, shape=None)),
    "dtype of half the size": changed(entry(FIRST, dtype="F16")),
    "dtype unknown": changed(entry(FIRST, dtype="F33")),
    "dtype in lower case": changed(entry(FIRST, dtype="f32")),
    "dtype a number": changed(entry(FIRST, dtype=32)),
    "dtype missing": changed(lambda header: header[FIRST].pop("dtype")),
    "row is a number": changed(lambda header: header.update({FIRST: 3})),
    "row is null": changed(lambda header: header.update({FIRST: None})),
    "metadata is a number": changed(lambda header: header.update(__metadata__=3)),
    "metadata of numbers": changed(lambda header: header.update(__metadata__={"a": 3})),
    "surrogate in a name": changed(lambda header: header.update({"\ud800": header.pop(FIRST)})),
}


def test_a_header_or_an_index_larger_than_any_gpt2_needs_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """A hundred megabytes of JSON take seconds and gigabytes to parse, even if they are then refused."""

    def parsed(*_, **__):
        raise AssertionError("it was parsed")

    monkeypatch.setattr("desktop_app.gpt2.safetensors_file.parse_json", parsed)
    monkeypatch.setattr("desktop_app.gpt2.jsonfile.parse_json", parsed)
    large = tmp_path / "model.safetensors"
    large.write_bytes((9 << 20).to_bytes(8, "little"))
    os.truncate(large, 10 << 20)
    with pytest.raises(ModelError, match="a header of 9,437,184 bytes"):
        SafetensorsFile(large)
    index = tmp_path / "model.safetensors.index.json"
    index.touch()
    os.truncate(index, 9 << 20)
    with pytest.raises(ModelError, match="longer than the 8,388,608 bytes"):
        read_index(index)


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES)
def test_a_damaged_weight_file(folder, capfd, data):
    assert refused(damaged(folder, data), capfd, "safetensors")


def test_a_huge_file_of_holes_is_refused_without_reading_it(folder, capfd):
    with (folder / "model.safetensors").open("wb") as file:
        file.write(b"\xff\xff\xff\x7f")
        file.truncate(1 << 40)
    assert refused(folder, capfd, "safetensors")


# The weights inside


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_every_missing_weight_is_named(folder, capfd, name):
    rows = {other: row for other, row in ROWS.items() if other != name}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, name, "missing")


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_every_misshapen_weight_is_named(folder, capfd, name):
    array = np.zeros((*WEIGHTS[name].shape[:-1], WEIGHTS[name].shape[-1] + 1), np.float32)
    rows = ROWS | {name: ("F32", array.shape, array.tobytes())}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, name, "shape")


@pytest.mark.parametrize(
    "name",
    [
        *("h.2.ln_1.weight", "lm_head.bias", "h.0.attn.c_attn.weight.quant_map", "scores.weight", "h.0.attn.biases"),
        *(
            "transformer.transformer.wte.weight",
            "h.0.crossattention.q_attn.weight",
            "wte",
            "",
            "a\nb\x1b[31m",
            "\u202e" * 100,
        ),
    ],
)
def test_every_extra_tensor_is_named(folder, capfd, name):
    rows = {name: ("F32", (2,), bytes(8))} | ROWS
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, repr(name[:80]))


def test_a_weight_with_and_without_prefix(folder, capfd):
    rows = ROWS | {"transformer.wpe.weight": ROWS["wpe.weight"]}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, "wpe.weight", "twice")


@pytest.mark.parametrize("name", list(WEIGHTS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_weight_that_is_not_finite_is_named(folder, capfd, name, value):
    array = WEIGHTS[name].copy()
    array.reshape(-1)[-1] = value
    rows = ROWS | {name: ("F32", array.shape, array.tobytes())}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, name, "not finite")


def test_infinities_of_both_signs_are_found_though_they_cancel_nothing(folder, capfd):
    array = WEIGHTS["wpe.weight"].copy()
    array[0, :2] = np.inf, -np.inf
    rows = ROWS | {"wpe.weight": ("F32", array.shape, array.tobytes())}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, "wpe.weight", "not finite")


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_infinities_are_found(folder, capfd, dtype):
    weights = WEIGHTS | {"ln_f.bias": np.full_like(WEIGHTS["ln_f.bias"], np.inf)}
    store_weights(folder, weights, dtype=dtype)
    assert refused(folder, capfd, "ln_f.bias", "not finite")


def test_numbers_that_float32_cannot_hold(folder, capfd):
    rows = ROWS | {"ln_f.bias": ("F64", (24,), np.full(24, 1e300).tobytes())}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, "ln_f.bias", "not finite")


@pytest.mark.parametrize("dtype", ["I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "I32", "I64"])
def test_weights_in_a_type_that_is_no_float(folder, capfd, dtype):
    size = {"I32": 4, "I64": 8}.get(dtype, 1)
    rows = ROWS | {"ln_f.bias": (dtype, (24,), bytes(24 * size))}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, "ln_f.bias", dtype)


def test_a_head_that_differs_though_the_config_ties_it(folder, capfd):
    head = WEIGHTS["wte.weight"] + np.float32(1e-3)
    rows = ROWS | {"lm_head.weight": ("F32", head.shape, head.tobytes())}
    assert refused(damaged(folder, safetensors_bytes(rows)), capfd, "lm_head.weight", "tie_word_embeddings")


def test_a_head_that_is_missing_though_the_config_says_that_it_is_its_own(folder, capfd):
    (folder / "config.json").write_text(json.dumps(TINY | {"tie_word_embeddings": False}))
    assert refused(folder, capfd, "lm_head.weight is missing")


def test_finite_weights_whose_pass_overflows_are_opened_and_the_overflow_is_named(folder):
    weights = WEIGHTS | {"ln_f.weight": np.full_like(WEIGHTS["ln_f.weight"], 3e38)}
    engine = Engine(load_checkpoint(write_checkpoint(folder, TINY, weights)))
    with pytest.raises(SamplingError, match="not finite"):
        list(generate(engine, [1, 2], Sampling(), 1, ends=()))


# The index of shards


@pytest.fixture
def sharded(folder):
    (folder / "model.safetensors").unlink()
    store_weights(folder, WEIGHTS, shards=3)
    load_checkpoint(folder)
    return folder


def reindex(folder, change):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index["weight_map"])
    path.write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    "target",
    [
        *("../model.safetensors", "/etc/passwd", "/dev/zero", "sub/x.safetensors", "..", ".", "", "a\0.safetensors"),
        *("..\\x.safetensors", "C:\\x.safetensors", "pytorch_model.bin", "~/x.safetensors", "\x1b[2J.safetensors/"),
    ],
)
def test_an_index_that_points_out_of_the_folder_or_to_something_else(sharded, capfd, target):
    outside = sharded.parent / "model.safetensors"
    outside.write_bytes(GOOD)
    assert refused(reindex(sharded, lambda where: where.update({FIRST: target})), capfd, "index.json")


def test_an_absolute_path_to_a_shard_outside(sharded, capfd):
    outside = sharded.parent / "model.safetensors"
    outside.write_bytes(safetensors_bytes({FIRST: ROWS[FIRST]}))
    assert refused(reindex(sharded, lambda where: where.update({FIRST: str(outside)})), capfd, "not a safetensors file")


def test_a_missing_shard_is_named(sharded, capfd):
    (sharded / "model-00002-of-00003.safetensors").unlink()
    assert refused(sharded, capfd, "model-00002-of-00003.safetensors")


def test_a_shard_with_a_name_too_long(sharded, capfd):
    assert refused(reindex(sharded, lambda where: where.update({FIRST: "x" * 300 + ".safetensors"})), capfd)


@pytest.mark.parametrize(
    "change",
    [
        lambda where: where.pop("ln_f.bias"),
        lambda where: where.update({"more": "model-00001-of-00003.safetensors"}),
        lambda where: where.update({"ln_f.bias": next(f for f in where.values() if f != where["ln_f.bias"])}),
    ],
    ids=["lacks one", "has one more", "has one elsewhere"],
)
def test_an_index_that_disagrees_with_its_shards(sharded, capfd, change):
    assert refused(reindex(sharded, change), capfd, "disagree")


@pytest.mark.parametrize(
    "text", ["{}", '{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": {}}', "[]", "{"]
)
def test_an_index_that_is_none(sharded, capfd, text):
    (sharded / "model.safetensors.index.json").write_text(text)
    assert refused(sharded, capfd)


def test_a_damaged_shard(sharded, capfd):
    path = sharded / "model-00003-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert refused(sharded, capfd, "model-00003-of-00003.safetensors")


# Any header at all

names = st.sampled_from(["a", "b", "c", "__metadata__", "", "\ud800", "é"])
numbers = st.one_of(
    st.integers(-2, 12), st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**30, -1, 0.0, 1.5, -0.0, True, None, "0"])
)
dtypes = st.sampled_from(["F32", "F16", "BF16", "U8", "BOOL", "I64", "F64", "F8_E4M3", "F4", "C64", "f32", "", None, 3])
shapes = st.one_of(st.lists(numbers, max_size=10), st.sampled_from([None, {}, "1", 4]))
offsets = st.one_of(st.lists(numbers, min_size=2, max_size=2), shapes)
rows = st.one_of(
    st.fixed_dictionaries({"dtype": dtypes, "shape": shapes, "data_offsets": offsets}),
    st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "x"]), st.one_of(dtypes, shapes)),
    st.sampled_from([None, 1, "F32", ["F32", [1], [0, 4]]]),
    st.dictionaries(st.sampled_from(["format", "x"]), st.one_of(st.text(max_size=3), st.integers(0, 2))),
)


@st.composite
def laid_out(draw, *, off=True):
    """Valid or nearly valid headers: tensors end to end, and with `off` at most one wrong number."""
    header, at = {}, 0
    for name in draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=5)):
        dtype, width = draw(st.sampled_from([("F32", 4), ("F16", 2), ("BF16", 2), ("U8", 1), ("I64", 8), ("BOOL", 1)]))
        shape = draw(st.lists(st.integers(0, 4), max_size=4))
        size = width * int(np.prod(shape, dtype=int))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    if off and header and draw(st.booleans()):
        row = header[draw(st.sampled_from(sorted(header)))]
        which = draw(st.sampled_from(["shape", "data_offsets"]))
        if row[which]:
            place = draw(st.integers(0, len(row[which]) - 1))
            row[which][place] = draw(st.one_of(numbers, st.integers(-1, 1).map(lambda n, v=row[which][place]: v + n)))
    return json.dumps(header).encode(), at


@st.composite
def mutated(draw):
    """A valid header with a few bytes replaced, inserted or deleted."""
    header, at = draw(laid_out())
    raw = bytearray(header)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        new = draw(
            st.sampled_from([b"", b" ", b"0", b"9", b"-", b"e1", b'"', b",", b"{", b"]", b"\\u0061", b"\xff", b"\0"])
        )
        raw[place : place + draw(st.integers(0, 2))] = new
    return bytes(raw), at


headers = st.one_of(
    st.tuples(st.dictionaries(names, rows, max_size=4).map(lambda d: json.dumps(d).encode()), st.integers(0, 40)),
    laid_out(),
    mutated(),
    st.tuples(st.binary(max_size=60), st.integers(0, 8)),
)


@settings(max_examples=800, deadline=None)
@given(header=headers, wrong_length=st.sampled_from([0, 0, 0, 0, 1, -1, 2**40]))
def test_what_opens_here_is_what_the_safetensors_library_opens(tmp_path_factory, header, wrong_length):
    raw, size = header
    length = max(0, len(raw) + wrong_length)
    data = length.to_bytes(8, "little") + raw + bytes(range(40))[:size].ljust(size, b"\0")
    path = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    path.write_bytes(data)
    try:
        ours = SafetensorsFile(path)
    except ModelError as error:
        assert str(error).isprintable()
        return
    try:
        theirs = dict(deserialize(data))
    except SafetensorError as error:
        pytest.fail(f"the library refuses what was opened here: {error}")
    assert ours.entries.keys() == theirs.keys()
    for name, row in theirs.items():
        assert list(ours.entries[name].shape) == row["shape"]
        assert ours.entries[name].dtype == row["dtype"]
        assert bytes(data[ours.entries[name].start : ours.entries[name].stop]) == bytes(row["data"])


@settings(max_examples=200, deadline=None)
@given(header=laid_out(off=False))
def test_every_right_header_opens(tmp_path_factory, header):
    raw, size = header
    data = with_header(raw, bytes(size))
    theirs = dict(deserialize(data))
    path = tmp_path_factory.getbasetemp() / "right.safetensors"
    path.write_bytes(data)
    assert SafetensorsFile(path).entries.keys() == theirs.keys()
