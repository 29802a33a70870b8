"""`logitscope lens`, `attribute`, `heads` and `score`: what they write, print and refuse."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from desktop_app import cli
from desktop_app.core.analysis import attribution, heads, lens, score
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import TINY, write_checkpoint

CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}  # all 256 bytes and <|endoftext|>
TEXT = "A cat sat. A cat"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture(scope="module")
def engine(model):
    return Engine(load_checkpoint(model))


@pytest.fixture(scope="module")
def tokenizer(model):
    return Tokenizer.load(model)


@pytest.fixture(scope="module")
def trace(engine, tokenizer):
    return engine.trace(tokenizer.encode(TEXT).ids)


@pytest.fixture
def command(capfd, model):
    """Runs a command on the model in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main([*map(str, arguments), "--model", str(model)])
        return status, *capfd.readouterr()

    return run


def equal(archive, arrays):
    assert set(arrays) <= set(archive)
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            assert archive[name].tolist() == array.tolist()
        else:
            assert archive[name] == pytest.approx(array.astype(archive[name].dtype), abs=1e-6, nan_ok=True), name
    return True


COMMANDS = {
    "lens": ["lens", TEXT, "--target", "t"],
    "attribute": ["attribute", TEXT, "--target", "t", "--against", "a"],
    "score": ["score", TEXT, "--cell", "blocks.1.attn.scaled[1,8,5]"],
    "heads": ["heads", "--seed", "3"],
}


def expected(name, engine, tokenizer, trace):
    t, a = (tokenizer.encode(letter).ids[0] for letter in "ta")
    if name == "lens":
        return lens.compute(engine.checkpoint, trace, targets=(t,)).arrays()
    if name == "attribute":
        return attribution.compute(engine.checkpoint, trace, target=t, against=a).arrays()
    if name == "score":
        return score.compute(engine.checkpoint, trace, layer=1, head=1, query=8, key=5).arrays()
    return heads.compute(engine, begin=tokenizer.eos_id, seed=3).arrays()


SHAPES = {
    "lens": {
        "points": (5,),
        **dict.fromkeys(("top_id", "top_probability", "entropy", "kl"), (5, 16)),
        **dict.fromkeys(("target_logit", "target_probability", "target_rank"), (5, 16)),
    },
    "attribute": {
        "parts": (14,),
        "contribution": (14,),
        "constant": (),
        "total": (),
        "head_source": (2, 3, 16),
        "neuron": (2, 96),
    },
    "score": {"query_parts": (9,), "key_parts": (9,), "terms": (9, 9), "score": ()},
    "heads": {
        **dict.fromkeys(("previous", "first", "self", "duplicate", "induction", "entropy", "distance"), (2, 3)),
        "tokens": (8, 63),
    },
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_npz_has_the_arrays_that_the_product_has(command, engine, tokenizer, trace, tmp_path, name):
    path = tmp_path / "f.npz"
    status, out, err = command(*COMMANDS[name], "--out", path)
    assert (status, err) == (0, "")
    assert out.startswith(f"{path}: ")
    assert out.count("\n") == 1
    with np.load(path, allow_pickle=False) as archive:
        assert {key: archive[key].shape for key in SHAPES[name]} == SHAPES[name]
        assert equal(archive, expected(name, engine, tokenizer, trace))
        about = json.loads(str(archive["about"]))
    assert (about["command"], about["model"]) == (name, "tiny")
    assert about.get("prompt") == (None if name == "heads" else TEXT)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_safetensors_file_has_the_same_numbers_and_its_texts_as_json(command, tmp_path, name):
    for file in ("f.npz", "f.safetensors"):
        assert command(*COMMANDS[name], "--out", tmp_path / file)[0] == 0
    with np.load(tmp_path / "f.npz") as archive, safe_open(tmp_path / "f.safetensors", "numpy") as file:
        texts = {key for key in archive if archive[key].dtype.kind == "U"} - {"about"}
        assert set(file.keys()) == set(archive) - texts - {"about"}
        assert all(np.array_equal(file.get_tensor(key), archive[key]) for key in set(archive) - texts - {"about"})
        assert all(json.loads(file.metadata()[key]) == archive[key].tolist() for key in texts)
        assert texts == {"lens": {"points"}, "attribute": {"parts"}, "heads": set()}.get(
            name, {"query_parts", "key_parts"}
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_without_a_file_a_table_is_printed(command, name):
    status, out, err = command(*COMMANDS[name])
    assert (status, err) == (0, "")
    words = {
        "lens": ["blocks.0.resid_pre", "blocks.1.resid_post", "'t': logit", "rank", "position 15"],
        "attribute": ["'t'", "'a'", "blocks.1.mlp", "sum", "the model's own number", "not what it causes"],
        "score": ["Block 1, head 1", "position 8", "position 5", "by query part", "by key part"],
        "heads": ["L0H0", "L1H2", "induction", "'<|endoftext|>'", "31 random tokens"],
    }
    assert all(word in out for word in words[name])


def test_the_printed_sum_is_the_model_s_own_number(command, trace, tokenizer):
    out = command(*COMMANDS["attribute"])[1]
    t, a = (tokenizer.encode(letter).ids[0] for letter in "ta")
    own = f"{trace.logits(-1)[t] - trace.logits(-1)[a]:+.4f}"
    lines = {line[:26].strip(): line.split()[-1] for line in out.splitlines()}
    assert lines["sum"] == own
    assert lines["the model's own number"] == own


def test_the_table_of_a_lens_ends_with_what_the_model_predicts(command, trace, tokenizer):
    out = command("lens", TEXT, "--position", "7")[1]
    last = next(line for line in out.splitlines() if line.startswith("blocks.1.resid_post"))
    logits = trace.logits(7).astype(np.float64)
    top = np.exp(logits - logits.max())
    assert last.split()[-4:-2] == [tokenizer.quoted(int(logits.argmax())), f"{(top / top.sum()).max():.4f}"]
    assert last.split()[-1] == "0.000"
    best = tokenizer.decode([int(logits.argmax())])
    last = command("lens", TEXT, "--position", "7", "--target", best)[1].splitlines()[-1]
    assert last.split()[-1] == "1", "ranks that are read count from 1"


def test_ids_and_int8_are_taken_as_everywhere(command, tmp_path):
    path = tmp_path / "f.npz"
    given = ["attribute", "--ids", "3,1,4", "--target-id", "7", "--int8", "--out", path]
    assert command(*given)[0] == 0
    with np.load(path) as archive:
        assert archive["parts"][-1] == "rounding"
        assert json.loads(str(archive["about"]))["weights"] == "int8"
    assert command("lens", "--ids", "3,1,4", "--int8")[0] == 0
    assert command("heads", "--int8")[0] == 0
    assert command("score", "--ids", "3,1,4", "--cell", "blocks.0.attn.scaled[0,2,1]", "--int8")[0] == 0


def test_a_model_without_a_tokenizer_does_with_ids(capfd, tmp_path):
    folder = write_checkpoint(tmp_path / "bare", TINY, tokenizer=False)
    assert cli.main(["lens", "--ids", "3,1", "--target-id", "5", "--model", str(folder)]) == 0
    assert "id 5: logit" in capfd.readouterr().out
    assert cli.main(["lens", "--ids", "3,1", "--target", "x", "--model", str(folder)]) == 2
    assert "--target-id" in capfd.readouterr().err
    assert cli.main(["heads", "--model", str(folder)]) == 0
    said = capfd.readouterr()
    assert "texts begin with the first id, id 0" in said.err
    assert "texts of id 0" in said.out


def test_translators_of_the_identity_give_the_logit_lens(command, tmp_path):
    tensors = {f"lens.{n}.weight": np.eye(24, dtype=np.float32) for n in range(2)}
    save_file(tensors, tmp_path / "t.safetensors")
    assert command(*COMMANDS["lens"], "--out", tmp_path / "plain.npz")[0] == 0
    translated = [*COMMANDS["lens"], "--translators", tmp_path / "t.safetensors"]
    assert command(*translated, "--out", tmp_path / "made.npz")[0] == 0
    with np.load(tmp_path / "plain.npz") as plain, np.load(tmp_path / "made.npz") as made:
        assert made["translated"].tolist() == [1, 0, 1, 0, 0]
        assert all(plain[key] == pytest.approx(made[key], abs=1e-5) for key in plain if plain[key].dtype.kind == "f")
    out = command(*translated)[1]
    assert "blocks.0.resid_post (translated)" in out
    assert "points after attention are read without one" in out


def test_files_are_replaced_only_when_told(command, tmp_path):
    path = tmp_path / "f.npz"
    path.write_bytes(b"mine")
    status, out, err = command(*COMMANDS["lens"], "--out", path)
    assert (status, out) == (2, "")
    assert "--force" in err
    assert path.read_bytes() == b"mine"
    assert command(*COMMANDS["lens"], "--out", path, "--force")[0] == 0
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["lens", "A" * 65], "65"),
        (["lens", ""], "empty"),
        (["lens", "--ids", "3,300"], "300"),
        (["lens", TEXT, "--target", "cat"], "3 tokens ('c', 'a', 't')"),
        (["lens", TEXT, "--target", ""], "is empty"),
        (["lens", TEXT, "--target-id", "300"], "300"),
        (["lens", TEXT, "--position", "16"], "16"),
        (["lens", TEXT, "--out", "f.csv"], ".safetensors"),
        (["lens", TEXT, "--out", "missing/f.npz"], "missing"),
        (["lens", TEXT, "--translators", "missing.safetensors"], "missing.safetensors"),
        (["lens", TEXT, "--of", "mlp_out", "--translators", "made.safetensors"], "residual stream"),
        (["attribute", TEXT, "--target", "t", "--position", "-17"], "-17"),
        (["attribute", TEXT, "--target", "t", "--against", "no"], "2 tokens"),
        (["heads", "--seed", "-1"], "-1"),
        (["score", TEXT, "--cell", "blocks.1.attn.pattern[1,8,5]"], "attn.scaled"),
        (["score", TEXT, "--cell", "blocks.1.attn.scaled[1,8]"], "head, query and key"),
        (["score", TEXT, "--cell", "blocks.1.attn.scaled[3,8,5]"], "head 3"),
        (["score", TEXT, "--cell", "blocks.1.attn.scaled[1,16,5]"], "16"),
        (["score", TEXT, "--cell", "blocks.2.attn.scaled[1,8,5]"], "blocks.2"),
        (["score", TEXT, "--cell", "nonsense"], "nonsense"),
        (["score", TEXT, "--cell", "embed.W_E[3,5]"], "attn.scaled"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(command, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    save_file({f"lens.{n}.weight": np.eye(24, dtype=np.float32) for n in range(2)}, "made.safetensors")
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert word in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["made.safetensors"]


@pytest.mark.parametrize("arguments", [["attribute", TEXT], ["score", TEXT], ["lens"], ["heads", TEXT]])
def test_a_wrong_command_line_ends_with_2(command, arguments):
    status, _, err = command(*arguments)
    assert status == 2
    assert "Traceback" not in err


def test_what_does_not_add_up_is_told_and_ends_with_1(command, monkeypatch):
    monkeypatch.setattr(attribution, "centred", lambda vector: vector)
    status, out, err = command(*COMMANDS["attribute"])
    assert status == 1
    assert "the model's own number" in out
    assert "does not add up: attribution: parts and constant gives" in err
