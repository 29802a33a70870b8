"""The command line: what each command writes, what it refuses, its exit codes, and how it reacts to signals."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from desktop_app import __version__, cli
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.tensors import tensor_table
from tests import reference
from tests.checkpoints import TINY, random_weights, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}  # all 256 bytes and <|endoftext|>
TABLE = tensor_table(parse_config(CONFIG, "test"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture
def command(capfd):
    """Runs a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return run


def start(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "desktop_app", *map(str, arguments)], env=environment, cwd=ROOT, **options
    )


def read(path):
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping


def refused(result, *words):
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.startswith("logitscope: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    return True


def test_help_and_version_need_nothing_heavy(command):
    status, out, _ = command("--help")
    assert status == 0
    assert all(name in out for name in cli.COMMANDS)
    assert command("--version") == (0, f"logitscope {__version__}\n", "")
    program = (
        "import sys, desktop_app.cli as c; c.main(['trace', '--help']); sys.exit(str(set(sys.modules) & {'numpy'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(command, name):
    status, out, _ = command(name, "--help")
    assert status == 0
    assert out.startswith(f"usage: logitscope {name} ")


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["trace"], ["trace", "x"], ["trace", "x", "--ids", "3"]])
def test_a_wrong_command_line_ends_with_2(command, arguments):
    status, _, err = command(*arguments)
    assert status == 2
    assert "Traceback" not in err


def test_a_mistyped_command_is_told_from_a_session_file(command):
    assert refused(command("trase"), "trase", "trace")


# trace


def test_trace_writes_every_tensor_of_the_table_as_the_safetensors_library_reads_it(command, model, tmp_path):
    status, out, err = command("trace", "A cat?", "--model", model, "--out", tmp_path / "t.safetensors")
    assert (status, err) == (0, "")
    assert f"{len(TABLE)} tensors of 6 tokens" in out
    tensors, metadata = read(tmp_path / "t.safetensors")
    assert set(tensors) == set(TABLE)
    assert metadata["prompt"] == "A cat?"
    vocabulary = json.loads((model / "vocab.json").read_text())
    assert tensors["tokens"].tolist() == [vocabulary["Ġ" if char == " " else char] for char in "A cat?"]
    expected = reference.forward(random_weights(CONFIG), CONFIG, tensors["tokens"])
    for name, array in tensors.items():
        assert array.dtype == (np.int64 if name == "tokens" else np.float32)
        finite = np.isfinite(expected[name])
        limit = 1e-4 * max(1, np.abs(expected[name][finite]).max())
        assert np.array_equal(np.isfinite(array), finite)
        assert np.abs(array[finite] - expected[name][finite]).max() <= limit


def test_an_npz_trace_holds_the_same_numbers_and_numpy_reads_it_without_pickle(command, model, tmp_path):
    for name in ("t.safetensors", "t.npz", "again.npz"):
        assert command("trace", "A cat?", "--model", model, "--out", tmp_path / name)[0] == 0
    theirs = load_file(tmp_path / "t.safetensors")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as archive:
        assert set(archive) == {*theirs, "about"}
        for name, array in theirs.items():
            assert archive[name].dtype == array.dtype
            assert np.array_equal(archive[name], array)
        assert json.loads(archive["about"].item())["prompt"] == "A cat?"
    assert (tmp_path / "t.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_trace_writes_the_named_tensors_and_tokens_alone(command, model, tmp_path):
    out = tmp_path / "t.safetensors"
    command("trace", "AB", "--model", model, "--names", "blocks.1.attn.pattern", "ln_final.*", "--out", out)
    assert set(read(out)[0]) == {
        "tokens",
        "blocks.1.attn.pattern",
        *(f"ln_final.{part}" for part in ("mean", "scale", "normalized", "out")),
    }


def test_a_long_trace_taken_in_several_passes_is_the_same_file_to_the_byte(command, model, tmp_path, monkeypatch):
    command("trace", "A longer text", "--model", model, "--out", tmp_path / "one.safetensors")
    monkeypatch.setattr("desktop_app.gpt2.engine.STREAM_LIMIT", 20_000)
    command("trace", "A longer text", "--model", model, "--out", tmp_path / "many.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "many.safetensors").read_bytes()


def test_ids_stand_in_for_a_text_and_then_no_tokenizer_is_needed(command, model, tmp_path):
    bare = write_checkpoint(tmp_path / "bare", CONFIG, tokenizer=False)
    assert command("trace", "--ids", "299, 3,0", "--model", bare, "--out", tmp_path / "t.safetensors")[0] == 0
    assert read(tmp_path / "t.safetensors")[0]["tokens"].tolist() == [299, 3, 0]


@pytest.mark.parametrize(
    ("ids", "words"), [("-1,3", "negative"), ("3,300", "300"), ("99999999999", "9999"), ("", "id"), ("a", "id")]
)
def test_ids_outside_the_embedding_are_refused(command, model, tmp_path, ids, words):
    assert refused(command("trace", f"--ids={ids}", "--model", model, "--out", tmp_path / "t"), words)


@pytest.mark.parametrize("name", ["trace", "figure", "deck", "generate", "check"])
def test_ids_that_begin_with_a_minus_are_refused_in_one_sentence_too(command, model, tmp_path, name):
    needs = {"trace": ["--out", tmp_path / "t.npz"], "figure": ["--step", "tokens", "--out", tmp_path / "f.svg"]}
    more = needs.get(name, ["--out", tmp_path / "d.pdf"] if name == "deck" else [])
    assert refused(command(name, "--ids", "-1,2", "--model", model, *more), "negative")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_tensor_has_is_refused_with_a_suggestion(command, model, tmp_path):
    result = command("trace", "A", "--model", model, "--names", "blocks.0.attn.patern", "--out", tmp_path / "t")
    assert refused(result, "blocks.0.attn.pattern")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"), [("", "empty"), ("x" * 65, "1 more"), ("a\udcffb", "not UTF-8"), ("\ud83d", "not UTF-8")]
)
def test_texts_that_cannot_be_run_are_refused(command, model, tmp_path, text, words):
    assert refused(command("trace", text, "--model", model, "--out", tmp_path / "t"), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [" ", "\n\n", "🙂", "e\u0301\u00a0\r\n"])
def test_whitespace_and_emoji_are_ordinary_prompts(command, model, tmp_path, text):
    status, _, err = command("trace", text, "--model", model, "--names", "logits", "--out", tmp_path / "t")
    assert (status, err) == (0, "")
    assert len(read(tmp_path / "t")[0]["tokens"]) == len(text.encode())


def test_a_dash_reads_standard_input_to_the_last_byte(command, model, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é\r\n".encode())))
    assert command("trace", "-", "--model", model, "--out", tmp_path / "t")[0] == 0
    assert read(tmp_path / "t")[1]["prompt"] == "é\r\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    assert refused(command("trace", "-", "--model", model, "--out", tmp_path / "u"), "byte 2")


# onnx


def test_onnx_writes_a_file_that_a_plain_session_runs(command, model, tmp_path):
    status, _, err = command("onnx", "--model", model, "--out", tmp_path / "m.onnx")
    assert (status, err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    empty = np.zeros((CONFIG["n_head"], 0, CONFIG["n_embd"] // CONFIG["n_head"]), np.float32)
    feeds = {put.name: empty for put in session.get_inputs()} | {"input_ids": np.array([5, 6, 7])}
    (logits,) = session.run(["logits"], feeds)
    expected = reference.forward(random_weights(CONFIG), CONFIG, [5, 6, 7])["logits"]
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


# generate


def test_generate_prints_the_prompt_and_its_continuation(command, model):
    status, out, err = command("generate", "A cat", "-n", "12", "--greedy", "--model", model)
    assert (status, err) == (0, "")
    ids = [json.loads((model / "vocab.json").read_text())["Ġ" if char == " " else char] for char in "A cat"]
    for _ in range(12):
        ids.append(int(reference.forward(random_weights(CONFIG), CONFIG, ids)["logits"][-1].argmax()))
    from desktop_app.gpt2.tokenizer import Tokenizer

    assert out == Tokenizer.load(model).decode(ids) + "\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_a_console_that_lacks_a_character_gets_its_escape(model, encoding):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "desktop_app", "generate", "日 a", "-n", "1", "--greedy", "--model", str(model)],
        cwd=ROOT, env=environ, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\\u65e5 a"), done.stdout


def test_the_same_seed_draws_the_same_text_and_another_seed_another(command, model):
    def text(seed):
        return command("generate", "--ids", "5,6", "--seed", seed, "--top-k", "50", "--model", model)[1]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_generate_says_when_the_context_is_full(command, model):
    status, _, err = command("generate", "x" * 60, "-n", "9", "--model", model)
    assert status == 0
    assert err == "logitscope: The context of 64 tokens is full after 4 of 9 tokens.\n"


def test_generate_says_when_the_model_ends_the_text_and_prints_no_such_token(command, tmp_path):
    weights = random_weights(CONFIG)
    # The head is tied, so a token whose embedding points along the final bias is the likeliest after any text.
    weights["ln_f.bias"] = weights["ln_f.bias"] * 0 + 10
    weights["wte.weight"][256] = 100
    model = write_checkpoint(tmp_path / "ends", CONFIG, weights)
    status, out, err = command("generate", "ab", "-n", "9", "--model", model)
    assert (status, out) == (0, "ab\n")
    assert err == "logitscope: The model ended the text with <|endoftext|>, its token 1 of 9.\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("-n", "0"),
        ("--temperature", "0"),
        ("--temperature", "nan"),
        ("--top-p", "0"),
        ("--top-p", "1.5"),
        ("--top-k", "-1"),
        ("--seed", "-1"),
    ],
)
def test_settings_out_of_range_are_refused(command, model, option, value):
    assert refused(command("generate", "A", f"{option}={value}" if option != "-n" else "-n0", "--model", model))


# Output files


@pytest.mark.parametrize("name", ["trace", "onnx"])
def test_an_existing_output_is_refused_before_the_model_is_even_looked_for(command, tmp_path, name):
    prompt = ["x"] if name == "trace" else []
    out = tmp_path / "file"
    out.write_text("mine")
    assert refused(command(name, *prompt, "--model", tmp_path / "nowhere", "--out", out), "exists", "--force")
    assert out.read_text() == "mine"


@pytest.mark.parametrize("name", ["trace", "onnx"])
def test_force_replaces_an_existing_output(command, model, tmp_path, name):
    prompt = ["x"] if name == "trace" else []
    out = tmp_path / "file"
    out.write_text("mine")
    assert command(name, *prompt, "--model", model, "--out", out, "--force")[0] == 0
    assert out.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["trace", "onnx"])
@pytest.mark.parametrize("place", ["folder", "missing/file", "x" * 300, "fifo", "file/below"])
def test_an_output_that_cannot_be_written_is_refused_and_leaves_nothing(command, model, tmp_path, name, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.rglob("*"))
    prompt = ["x"] if name == "trace" else []
    assert refused(command(name, *prompt, "--model", model, "--out", tmp_path / place, "--force"), place[:50])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["trace", "onnx"])
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(command, model, tmp_path, name, monkeypatch):
    out = tmp_path / "file"
    out.write_text("mine")
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX systems only")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    prompt = ["x"] if name == "trace" else []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        result = command(name, *prompt, "--model", model, "--out", out, "--force")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert refused(result, str(out))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "mine")]


# The process as a whole


def test_a_reader_that_goes_away_ends_it_without_a_word(model):
    process = start("generate", "A", "-n", "60", "--model", model, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


def test_ctrl_c_ends_it_with_130_and_without_a_word(model):
    process = start("generate", "-", "--model", model, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        # More than a pipe holds: once all is written, the command has begun to read, and reads on, as this end is open.
        process.stdin.write(b"A" * (1 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.stdin.close()  # a signal between two reads is seen when the second one returns
        assert process.stderr.read() == b""
        assert process.wait(60) == 130


def test_what_a_terminal_gets_cannot_move_its_cursor(command, tmp_path):
    model = write_checkpoint(tmp_path / "model", CONFIG)
    vocabulary = json.loads((model / "vocab.json").read_text())
    escape = vocabulary[chr(256 + 27)]  # how byte-level BPE writes the byte 1B
    ids = ",".join(map(str, [vocabulary["A"], escape, vocabulary["["], vocabulary["B"]]))
    reader, writer = pty.openpty()
    process = start("generate", "--ids", ids, "-n", "1", "--greedy", "--model", model, stdout=writer)
    os.close(writer)
    shown = b""
    while True:
        try:
            piece = os.read(reader, 1024)
        except OSError:  # a pseudo-terminal without a writer
            break
        if not piece:
            break
        shown += piece
    os.close(reader)
    assert process.wait(60) == 0
    assert shown.startswith(b"A\\x1b[B")
    _, out, _ = command("generate", "--ids", ids, "-n", "1", "--greedy", "--model", model)
    assert out.startswith("A\x1b[B")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no line break in a name")
def test_a_line_break_in_a_name_stays_in_the_sentence(command, tmp_path):
    folder = tmp_path / "o\nne"
    folder.mkdir()
    refused(command("trace", "--model", folder, "AB", "--out", tmp_path / "t.npz"), r"o\nne", "does not exist")
