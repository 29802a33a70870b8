"""`logitscope figure`: what it draws, what it refuses before it computes anything, and that it needs no window."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from desktop_app import cli
from desktop_app.figures.export import SIZES
from desktop_app.figures.theme import THEMES
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}
TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture
def figure(capfd, model, tmp_path):
    """Runs the command on the tiny model, writing `name`: (exit code, stderr, the file)."""

    def run(*arguments, name="fig.svg", text="A cat?"):
        out = tmp_path / name
        prompt = () if text is None else (text,)
        status = cli.main(["figure", *prompt, "--model", str(model), "--out", str(out), *map(str, arguments)])
        return status, capfd.readouterr().err, out

    return run


def refused(result, *words):
    status, err, out = result
    assert (status, err.count("\n")) == (2, 1), err
    for word in words:
        assert word in err
    return not out.exists()


def words(path):
    return [node.text for node in ElementTree.parse(path).iter(TEXT)]


def test_a_figure_shows_the_tokens_the_block_and_the_head_that_were_asked_for(figure):
    status, err, out = figure("--step", "blocks.1.attn.pattern", "--head", 2)
    assert (status, err) == (0, "")
    shown = words(out)
    assert {"A", "·", "c", "a", "t", "?"} <= set(shown)
    assert any(text.startswith("Block 1 · Head 2") for text in shown)
    assert any("“A cat?” · 6 tokens · tiny · block 1 · head 2" in text for text in shown)


@pytest.mark.parametrize("name", ["fig.svg", "fig.pdf", "fig.png", "FIG.PNG"])
def test_the_same_command_twice_writes_the_same_bytes(figure, name):
    arguments = ("--step", "blocks.0.attn.z", "--head", 1, "--token", 3)
    first = figure(*arguments, name=name)[2].read_bytes()
    again = figure(*arguments, "--force", name=name)[2].read_bytes()
    assert first == again
    assert first.startswith({"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG"}[name[-3:].lower()])


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (("--step", "attn.scores", "--layer", 1), "Block 1 · Head 0"),
        (("--step", "pattern", "--layer", 0, "--head", 1), "Block 0 · Head 1"),
        (("--step", "blocks.1.ln2.mean"), "Block 1 — layer norm before the MLP"),
        (("--step", "resid_mid", "--layer", 1), "Block 1 — attention's message"),
        (("--step", "tokens", "--layer", 1), "The text is cut into tokens"),
    ],
)
def test_a_step_is_named_in_full_by_its_tensors_or_by_operation_and_layer(figure, arguments, title):
    status, err, out = figure(*arguments)
    assert (status, err) == (0, "")
    assert any(text.startswith(title) for text in words(out))


def test_the_settings_of_sampling_are_those_that_were_given(figure):
    settings = ("--temperature", 0.5, "--top-k", 7, "--top-p", 0.9, "--seed", 11)
    shown = words(figure("--step", "probabilities", *settings)[2])
    assert any("temperature 0.5, top-k 7, top-p 0.9, seed 11" in text for text in shown)
    assert any("of 300" in text for text in shown)


def test_position_token_scale_and_caption_change_the_picture(figure):
    plain = figure("--step", "blocks.0.attn.pattern")[2].read_text()
    for change in (("--scale", "log"), ("--token", 2), ("--no-caption",), ("--theme", "dark"), ("--size", "column")):
        assert figure("--step", "blocks.0.attn.pattern", *change, name=f"{change[-1]}.svg")[2].read_text() != plain
    last = figure("--step", "logits", name="last.svg")[2].read_text()
    assert figure("--step", "logits", "--position", 2, name="second.svg")[2].read_text() != last


def test_ids_stand_in_for_a_text(figure):
    status, err, out = figure("--ids", "34,35", "--step", "tokens", text=None)
    assert (status, err) == (0, "")
    assert any("1 · 35" in text for text in words(out))


def test_an_unknown_step_is_refused_with_the_closest_names(figure):
    assert refused(figure("--step", "blocks.1.attn.patern"), "blocks.1.attn.pattern")
    assert refused(figure("--step", "blocks.7.attn.pattern"), "blocks.1.attn.pattern")
    assert refused(figure("--step", "blocks.1.ln1", "--layer", 0), "block 1", "block 0")


@pytest.mark.parametrize(
    ("option", "value", "range_"),
    [
        ("head", 3, "0 to 2"),
        ("head", -1, "0 to 2"),
        ("layer", 2, "0 to 1"),
        ("token", 6, "0 to 5"),
        ("position", 6, "5"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(figure, option, value, range_):
    assert refused(
        figure("--step", "blocks.0.attn.pattern", f"--{option}={value}"), f"{option.capitalize()} {value}", range_
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--size", "huge"), "poster"),
        (("--theme", "pink"), "print"),
        (("--dpi", 5), "1200"),
        (("--temperature", 0), "temperature"),
    ],
)
def test_options_out_of_range_are_refused(figure, arguments, word):
    assert refused(figure("--step", "tokens", *arguments), word)


def test_a_name_that_says_no_format_is_refused(figure):
    assert refused(figure("--step", "tokens", name="fig.jpg"), ".svg")
    assert refused(figure("--step", "tokens", name="fig"), ".svg")


def test_an_existing_file_is_refused_before_the_model_is_looked_for(capfd, tmp_path):
    out = tmp_path / "fig.svg"
    out.write_text("mine")
    arguments = ["figure", "x", "--model", str(tmp_path / "nowhere"), "--step", "tokens", "--out", str(out)]
    assert cli.main(arguments) == 2
    assert "--force" in capfd.readouterr().err
    assert out.read_text() == "mine"


def test_a_failure_leaves_the_old_file_and_nothing_else(figure, tmp_path, monkeypatch):
    _, _, out = figure("--step", "tokens")
    before = out.read_bytes()

    def fails(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fails)
    status, err, _ = figure("--step", "text", "--force")
    assert status == 2
    assert "No space left" in err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("fig.svg", before)]


def test_no_window_toolkit_is_imported(model, tmp_path):
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['PySide6', 'shiboken6', 'pyqtgraph']));"
        "from desktop_app.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["figure", "AB", "--model", model, "--step", "blocks.0.mlp.post", "--out", tmp_path / "f.png"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_help_names_every_size_and_theme(capfd):
    assert cli.main(["figure", "--help"]) == 0
    text = capfd.readouterr().out
    assert all(name in text for name in (*SIZES, *THEMES))


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (("--step", "overview:blocks.1.attn.scores"), "Block 1 · All heads"),
        (("--step", "overview", "--layer", 1), "Block 1 · All heads"),
        (("--step", "check"), "tensors agree with their formulas"),
        (("--cell", "blocks.0.attn.pattern[1, 3,2]"), "blocks.0.attn.pattern = "),
        (("--cell", "probability[65]"), "probability of "),
        (("--cell", "embed.W_E[3,4]"), "embed.W_E = "),
    ],
)
def test_what_is_no_step_is_drawn_too(figure, arguments, title):
    status, err, out = figure(*arguments)
    assert (status, err) == (0, "")
    assert any(title in text for text in words(out))


def test_what_is_about_the_model_alone_needs_no_prompt(figure):
    status, err, out = figure("--step", "census", text=None)
    assert (status, err) == (0, "")
    assert any(text.startswith("Where the parameters are") for text in words(out))
    status, err, out = figure("--step", "weights:W_Q", "--layer", 1, "--head", 2, "--force", text=None)
    assert (status, err) == (0, "")
    assert "blocks.1.attn.W_Q · head 2" in words(out)
    assert refused(figure("--step", "tokens", text=None, name="none.svg"), "prompt")


def test_a_figure_of_nothing_is_refused(figure):
    assert refused(figure(), "--step", "--cell")
    assert refused(figure("--step", "weights:blocks.0.attn.W_X", text=None), "blocks.0.attn.W_")
    assert refused(figure("--cell", "blocks.0.attn.pattern[9,9,9]"), "shape")
    assert refused(figure("--cell", "pattern"), "[3,5,1]")


def test_data_come_beside_the_figure_or_not_at_all(figure, tmp_path):
    status, _, out = figure("--step", "probabilities", "--data", "csv,json")
    assert status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fig.csv", "fig.json", "fig.svg"]
    assert out.with_suffix(".csv").read_text().startswith("panel,title,series,")
    out.unlink()
    status, err, _ = figure("--step", "text", "--data", "csv")
    assert status == 2
    assert "fig.csv already exists" in err
    assert not out.exists()


def test_a_language_and_a_size_of_letters_can_be_chosen(figure):
    _, _, out = figure("--step", "blocks.0.attn.pattern", "--lang", "de", "--font-size", 9, "--size", "page")
    assert any(text.startswith("Block 0 · Kopf 0 — die Softmax") for text in words(out))
    assert ": 9px" in out.read_text() or " 9px" in out.read_text()
    assert refused(figure("--step", "text", "--lang", "xx", name="x.svg"), "en, de")
    assert refused(figure("--step", "text", "--font-size", 99, name="x.svg"), "4 to 48")


def test_a_session_brings_its_prompt_place_and_settings(figure, model, tmp_path):
    from desktop_app.core.session.session_file import save_session
    from desktop_app.core.session.state import State

    saved = State("A c", (34, 35), model=str(model), step="blocks.1.attn.pattern", layer=1, head=2, token=3)
    save_session(tmp_path / "one.logitscope", saved.with_sampling(temperature=0.5))
    status, err, out = figure("--session", tmp_path / "one.logitscope", text=None)
    assert (status, err) == (0, "")
    shown = words(out)
    assert any(text.startswith("Block 1 · Head 2") for text in shown)
    assert any("5 tokens" in text for text in shown)
    status, _, out = figure("--session", tmp_path / "one.logitscope", "--step", "draw", name="two.svg", text=None)
    assert any("temperature 0.5" in text for text in words(out))


@pytest.mark.parametrize("command", ["figure", "deck", "build"])
def test_a_session_whose_model_is_gone_is_drawn_with_another_on_purpose_only(command, model, capfd, tmp_path):
    session = {"logitscope": 1, "state": {"text": "A c", "model": "/gone/far", "step": "tokens"}}
    (tmp_path / "s.logitscope").write_text(json.dumps(session))
    out, listing = tmp_path / ("f.pptx" if command == "deck" else "f.svg"), tmp_path / "list.toml"
    named = ["--model", str(model)]
    if command == "build":
        entry = '[[figure]]\nname = "f.svg"\nsession = "s.logitscope"\n'
        listing.write_text(entry)
        arguments, named = [str(listing)], [str(listing)]
    else:
        steps = ["--steps", "tokens", "--jobs", "1"] if command == "deck" else []
        arguments = ["--session", str(tmp_path / "s.logitscope"), "--out", str(out), *steps]
        named += arguments
    assert cli.main([command, *arguments]) == 2
    said = capfd.readouterr().err
    assert said.count("The session's model, /gone/far, is not here") == 1 and said.count("\n") == 1 and not out.exists()
    if command == "build":
        listing.write_text(entry + f'model = "{model}"\n')
    assert cli.main([command, *named]) == 0
    assert out.exists()
    if out.suffix == ".svg":
        assert any(model.name in text for text in words(out))


def test_a_saved_pass_and_the_same_settings_give_the_same_bytes(figure, model, tmp_path, capfd):
    saved = tmp_path / "t.safetensors"
    assert cli.main(["trace", "A cat?", "--model", str(model), "--out", str(saved)]) == 0
    few = tmp_path / "few.safetensors"
    names = ["blocks.*.resid_pre", "blocks.*.attn.[qkvz]", "blocks.*.resid_mid", "blocks.*.mlp.pre"]
    assert cli.main(["trace", "A cat?", "--model", str(model), "--names", *names, "--out", str(few)]) == 0
    for step in ("blocks.1.attn.pattern", "blocks.0.mlp.post", "probabilities"):
        _, _, first = figure("--trace", saved, "--step", step, name=f"1{step}.svg", text=None)
        _, _, again = figure("--trace", saved, "--step", step, name=f"2{step}.svg", text=None)
        assert first.read_bytes() == again.read_bytes()
        assert words(first) == words(figure("--step", step, name=f"3{step}.svg")[2])
        assert figure("--trace", few, "--step", step, name=f"4{step}.svg", text=None)[0] == 0
    for other, words_of_it in ((CONFIG | {"n_layer": 1}, "another shape"), (CONFIG, "another model")):
        folder = write_checkpoint(tmp_path / words_of_it, other, seed=5)
        arguments = ["--trace", saved, "--model", folder, "--step", "text", "--out", tmp_path / "x.svg"]
        capfd.readouterr()
        assert cli.main(["figure", *map(str, arguments)]) == 2
        assert words_of_it in capfd.readouterr().err


def test_a_saved_pass_is_not_drawn_under_another_model_s_name(capfd, tmp_path):
    saved, out = tmp_path / "t.safetensors", tmp_path / "t.svg"
    made = ["--ids", "0,1,2", "--model", "sorter@50", "--names", "blocks.*.attn.pattern", "--out", str(saved)]
    assert cli.main(["trace", *made]) == 0
    asked = ["figure", "--trace", str(saved), "--step", "blocks.0.attn.pattern", "--out", str(out)]
    capfd.readouterr()
    assert cli.main([*asked, "--model", "sorter"]) == 2
    assert (
        capfd.readouterr().err.count("computed by another model ('Letter sorter after 50 steps') than sorter") == 1
        and not out.exists()
    )
    assert cli.main([*asked, "--model", "sorter@50"]) == 0
    numbers = bytearray(saved.read_bytes())
    numbers[-4:] = bytes(4)
    saved.write_bytes(numbers)
    assert cli.main([*asked, "--model", "sorter@50", "--force"]) == 2
    assert "not as it was saved" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_arguments: False)  # root may write anywhere
    arguments = ["figure", "x", "--model", str(tmp_path / "nowhere"), "--step", "tokens"]
    assert cli.main([*arguments, "--out", str(tmp_path / "f.svg")]) == 2
    assert "is not writable" in capfd.readouterr().err
    assert not (tmp_path / "f.svg").exists()


def test_a_part_of_a_view_is_asked_for_by_options(figure):
    status, err, out = figure(
        "--step", "pattern", "--layer", 1, "--head", "2,0", "--tokens", "1:4", "--limits", 0.5, "--no-title"
    )
    assert (status, err) == (0, "")
    shown = words(out)
    assert {"head 2", "head 0"} <= set(shown) and "A" not in shown and "0.5" in shown
    assert not any(text.startswith("Block 1 · Heads") for text in shown)
    assert any("heads 2, 0 · positions 1 to 3" in text for text in shown)
    alone = figure("--step", "pattern", "--layer", 1, "--panel", "--no-title", "--no-caption", name="alone.svg")[2]
    assert not {text for text in words(alone) if "head" in text or "Block" in text or "Pattern" in text}


def test_the_sheet_s_colours_end_where_they_are_told_to(figure):
    status, err, out = figure("--step", "sheet", "--limits", 0.5)
    assert (status, err) == (0, "")
    shown = words(out)
    assert {"−0.5", "0.5"} <= set(shown) and any("limits: set by hand" in text for text in shown)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--head", "x"), "1,5,9"),
        (("--head", "0,7"), "0 to 2"),
        (("--tokens", "3"), "3:20"),
        (("--tokens", "3:60"), "6 tokens"),
        (("--limits", "wide"), "above 0"),
        (("--limits", "-1"), "above 0"),
    ],
)
def test_a_part_that_is_not_there_is_refused(figure, arguments, word):
    option, value = arguments
    assert refused(figure("--step", "blocks.1.attn.scores", f"{option}={value}"), word)


def test_why_this_token_is_drawn_for_the_tokens_that_are_named(figure):
    status, err, out = figure("--step", "why", "--target", "q", "--against", "z", "--unfold", "1")
    assert (status, err) == (0, "")
    shown = words(out)
    assert "Why 'q' rather than 'z'" in shown
    assert shown.count("head 0") == 1 and "block 0" in shown
    bare = words(figure("--step", "why", "--baseline", "none", name="bare.svg")[2])
    assert any(text.startswith("Where the logit of") for text in bare)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--target", "qz"), "give one token"),
        (("--against", ""), "give one token"),
        (("--unfold", "x"), "like 3,5"),
        (("--unfold", "7"), "0 to 1"),
    ],
)
def test_a_token_or_block_that_is_not_there_is_refused(figure, arguments, word):
    assert refused(figure("--step", "why", *arguments), word)


def test_a_threshold_leaves_edges_of_the_flow_out(figure):
    counts = []
    for threshold in ("0.01", "0.1"):
        shown = words(figure("--step", "flow", "--threshold", threshold, name=f"{threshold}.svg")[2])
        counts.append(int(next(text for text in shown if " edges of " in text).split()[0].replace(",", "")))
    assert counts[0] > counts[1] > 0


FORMS = {
    ("heads", "--heads-show", "mean"): "Mean over all heads of all blocks",
    ("heads", "--heads-show", "one"): "Strongest pairs",
    ("heads", "--heads-by", "entropy"): "All heads by entropy",
    ("heads", "--heads-of", "block"): "Heads of block 1 by induction",
    ("lens", "--lens", "kl"): "KL from the model's own prediction",
    ("lens", "--lens-of", "mlp_out"): "What each MLP alone would predict",
    ("why", "--baseline", "none"): "Part by part to the logit",
    ("look", "--look", "raw"): "largest sums first; scale included",
    ("look", "--look-parts", "kinds"): "MLPs",
    ("look", "--key", "2"): "why '?' at 5 looks at 'c' at 2",
    ("flow", "--threshold", "0.1"): "edges of 10 % or more",
}
"""Workspace, option and value -> words that the figure shows only with this value."""


@pytest.mark.parametrize("asked", FORMS)
def test_every_view_option_of_a_workspace_has_an_option(figure, asked):
    step, option, value = asked
    status, err, out = figure("--step", f"workspace:{step}", "--layer", 1, option, value)
    assert (status, err) == (0, "")
    shown = " ".join(words(out))
    plain = " ".join(words(figure("--step", f"workspace:{step}", "--layer", 1, name="plain.svg")[2]))
    assert FORMS[asked] in shown and shown != plain


def test_the_lens_follows_pinned_tokens_and_reads_translators(figure, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    status, err, out = figure("--step", "lens", "--lens", "rank", "--pin", "q", "--pin", "z")
    assert (status, err) == (0, "") and "Rank of 'q'" in " ".join(words(out)) and "z" in words(out)
    save_file(
        {f"lens.{n}.weight": np.eye(CONFIG["n_embd"], dtype=np.float32) for n in (0, 1)}, tmp_path / "t.safetensors"
    )
    status, err, out = figure("--step", "lens", "--translators", tmp_path / "t.safetensors", name="through.svg")
    assert (status, err) == (0, "") and "0 pre T" in words(out) and "1 post" in words(out)
    assert refused(figure("--step", "lens", "--pin", "two words", name="no.svg"), "--pin", "give one token")
    assert refused(figure("--step", "lens", "--translators", tmp_path / "gone", name="no.svg"), "gone")
    assert refused(
        figure("--step", "look", "--token", 1, "--key", 3, name="no.svg"),
        "Key 3 comes after token 1; choose a key from 0 to 1",
    )
    assert refused(figure("--step", "look", "--key", 99, name="no.svg"), "Key 99 is outside")
    assert refused(figure("--step", "workspace:luck", name="no.svg"), "there are sheet, heads, lens, why, look, flow")
