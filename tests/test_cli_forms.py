"""Commands on unusual folders: ids need no tokenizer, texts begin as the tokenizer says, ignored files are reported."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from desktop_app import cli
from tests.checkpoints import TINY, random_weights, write_checkpoint

CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}
TOKENS = "blocks.0.attn.pattern"


@pytest.fixture
def command(capfd):
    """Runs a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def wordless(tmp_path_factory):
    """A model whose tokenizer is BERT's."""
    folder = write_checkpoint(tmp_path_factory.mktemp("models") / "wordless", CONFIG, tokenizer=False)
    (folder / "vocab.txt").write_text("[PAD]\n")
    return folder


@pytest.fixture(scope="module")
def begins(tmp_path_factory):
    """A model whose texts begin with <s> and a space."""
    folder = write_checkpoint(tmp_path_factory.mktemp("models") / "begins", CONFIG)
    settings = {"add_bos_token": True, "add_prefix_space": True, "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


COMMANDS = {
    "trace": ("--out", "{out}/a.safetensors"),
    "check": (),
    "generate": ("-n", "2"),
    "figure": ("--step", TOKENS, "--out", "{out}/a.svg"),
    "deck": ("--steps", "tokens", "--out", "{out}/a.pdf", "--jobs", "1"),
    "lens": (),
    "attribute": ("--target-id", "3"),
    "score": ("--cell", "blocks.0.attn.scaled[1,2,1]"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_ids_need_no_tokenizer_and_text_is_refused_by_what_is_there(command, wordless, tmp_path, name):
    rest = [word.format(out=tmp_path) for word in COMMANDS[name]]
    status, _, err = command(name, "--ids", "3,1,4", "--model", wordless, *rest)
    assert status == 0, err
    status, out, err = command(name, "some text", "--model", wordless, *rest, *(["--force"] if "--out" in rest else []))
    assert (status, out) == (2, "")
    assert "has 'vocab.txt' for a tokenizer, BERT's WordPiece vocabulary" in err


def test_build_makes_figures_of_ids_without_a_tokenizer(command, wordless, tmp_path):
    listing = tmp_path / "figures.toml"
    listing.write_text(f'[[figure]]\nname = "a.svg"\nmodel = "{wordless}"\nids = "3,1,4"\nstep = "{TOKENS}"\n')
    assert command("build", listing)[0] == 0
    assert (tmp_path / "a.svg").exists()


def ids_of(command, model, tmp_path, *options):
    out = tmp_path / "trace.safetensors"
    assert command("trace", "ab", "--model", model, "--out", out, "--force", *options)[0] == 0
    return load_file(out)["tokens"].tolist()


def test_how_a_text_begins_is_as_the_files_say_unless_an_option_says_otherwise(command, begins, tmp_path):
    a, b, space, first = 65, 66, 0, 257
    assert ids_of(command, begins, tmp_path) == [first, space, a, b]
    assert ids_of(command, begins, tmp_path, "--no-bos") == [space, a, b]
    assert ids_of(command, begins, tmp_path, "--no-prefix-space") == [first, a, b]
    plain = write_checkpoint(tmp_path / "plain", CONFIG)
    assert ids_of(command, plain, tmp_path) == [a, b]
    assert ids_of(command, plain, tmp_path, "--bos", "--prefix-space") == [256, space, a, b]


def test_a_listing_has_the_same_switches(command, begins, tmp_path):
    listing = tmp_path / "figures.toml"
    entry = '[[figure]]\nname = "{name}.svg"\nmodel = "{model}"\nprompt = "ab"\nstep = "tokens"\ndata = "json"\n'
    texts = {"files": "", "off": "bos = false\nprefix-space = false\n", "on": "bos = true\n"}
    listing.write_text("".join(entry.format(name=name, model=begins) + more for name, more in texts.items()))
    assert command("build", listing)[0] == 0
    for name, first in (("files", True), ("off", False), ("on", True)):
        assert ("257" in (tmp_path / f"{name}.json").read_text()) is first, name


def test_what_is_passed_over_is_said_on_standard_error(command, tmp_path):
    weights = random_weights(CONFIG) | {"score.weight": np.ones((2, 24), np.float32)}
    folder = write_checkpoint(tmp_path, CONFIG, weights)
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    status, _, err = command("generate", "ab", "--model", folder, "-n", "1")
    assert status == 0
    assert "logitscope: score.weight, a classification or reward head, is ignored: next-token predictions" in err
    small = write_checkpoint(tmp_path / "small", CONFIG | {"vocab_size": 257})
    (small / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    status, _, err = command("generate", "ab", "--model", small, "-n", "1")
    assert status == 0
    assert "'<pad>' has no row in the embedding of 257; a text that needs one is refused." in err
    status, out, err = command("models", "check", small)
    assert status == 0
    assert "note       '<pad>' has no row" in out


def test_the_token_that_ended_a_text_is_named(command, tmp_path):
    weights = random_weights(CONFIG)
    weights["ln_f.weight"] = np.zeros_like(weights["ln_f.weight"])
    weights["ln_f.bias"] = 100 * weights["wte.weight"][257]
    folder = write_checkpoint(tmp_path, CONFIG, weights)
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    status, out, err = command("generate", "ab", "--model", folder)
    assert (status, out) == (0, "ab\n")
    assert err == "logitscope: The model ended the text with </s>, its token 1 of 20.\n"


def test_an_alias_alone_opens(command, tmp_path):
    weights = random_weights(CONFIG)
    weights["lm_head.weight"] = weights.pop("wte.weight")
    folder = write_checkpoint(tmp_path, CONFIG, weights)
    save_file(weights, folder / "model.safetensors")
    assert command("check", "--ids", "1,2", "--model", folder)[0] == 0
