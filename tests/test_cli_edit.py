"""`--edit`: the commands that take it compute the edited pass, and say so."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from desktop_app import cli
from desktop_app.core.analysis import attribution, lens, what_if
from desktop_app.core.analysis.checks import check_analyses
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import TINY, write_checkpoint

CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}  # all 256 bytes and <|endoftext|>
TEXT = "A cat sat. A cat"
EDITS = ("blocks.0.attn.z[2]=0", "blocks.1.mlp.post[:, 5]=1.5")
GIVEN = [word for edit in EDITS for word in ("--edit", edit)]
SAID = "blocks.0.attn.z[2]=0, blocks.1.mlp.post[:, 5]=1.5"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture(scope="module")
def engine(model):
    return Engine(load_checkpoint(model))


@pytest.fixture(scope="module")
def ids(model):
    return Tokenizer.load(model).encode(TEXT).ids


@pytest.fixture(scope="module")
def edited(engine, ids):
    return engine.trace(ids, edits=parse_edits(EDITS, engine.config, len(ids)))


@pytest.fixture
def command(capfd, model):
    """Runs a command on the model in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main([*map(str, arguments), "--model", str(model)])
        return status, *capfd.readouterr()

    return run


def test_trace_writes_the_edited_tensors_what_they_were_and_the_edits(command, tmp_path, edited):
    out = tmp_path / "t.safetensors"
    status, said, _ = command("trace", TEXT, *GIVEN, "--out", out)
    assert status == 0
    assert f"edited: {SAID}" in said
    with safe_open(out, "numpy") as file:
        assert json.loads(file.metadata()["edits"]) == list(EDITS)
        assert set(file.keys()) == set(edited.table)
        for name in ("blocks.0.attn.z", "blocks.0.attn.z.before", "blocks.1.mlp.post", "logits"):
            assert np.allclose(file.get_tensor(name), edited[name], atol=1e-4), name
        assert not file.get_tensor("blocks.0.attn.z")[2].any()
        assert file.get_tensor("blocks.0.attn.z.before")[2].any()


@pytest.mark.parametrize("kind", ["lens", "attribute"])
def test_analyses_are_of_the_edited_pass_and_say_so(command, tmp_path, engine, ids, edited, kind):
    out = tmp_path / "a.safetensors"
    status, _, _ = command(kind, TEXT, *GIVEN, "--target", "c", "--out", out)
    assert status == 0
    with safe_open(out, "numpy") as file:
        assert json.loads(file.metadata()["edits"]) == list(EDITS)
        if kind == "lens":
            expected, found = lens.compute(engine.checkpoint, edited).entropy, file.get_tensor("entropy")
        else:
            made = attribution.compute(engine.checkpoint, edited, target=ids[2])
            expected, found = made.contribution, file.get_tensor("contribution")
        assert np.allclose(found, expected, atol=1e-5)
    status, said, _ = command(kind, TEXT, *GIVEN, "--target", "c")
    assert (status, said.splitlines()[0]) == (0, f"The pass is edited: {SAID}.")


@pytest.mark.parametrize(
    "edit",
    [
        "blocks.0.attn.z[1, 3:]*=2",
        "blocks.0.attn_out[:, 3]+=1",
        "blocks.0.mlp_out[2:]=0",
        "blocks.1.resid_pre[:, 2]=1",
        "blocks.0.resid_mid*=1.5",
        "blocks.1.attn.scaled[0, 9, 1]=-inf",
        "blocks.1.mlp.post[:, 3]=1",
        "blocks.0.attn.v[0]=0",
    ],
)
def test_what_analyses_take_apart_closes_on_edited_passes(engine, ids, edit):
    closings = list(check_analyses(engine, ids, edits=parse_edits([edit], engine.config, len(ids))))
    assert any("attribution" in closing.name for closing in closings)
    assert all(closing.good for closing in closings), [closing for closing in closings if not closing.good]


def test_an_edit_of_the_stream_is_a_part_of_its_own(engine, ids):
    edits = parse_edits(["blocks.1.resid_pre[-1]+=0.5"], engine.config, len(ids))
    found = attribution.compute(engine.checkpoint, engine.trace(ids, edits=edits), target=7)
    at = [part.name for part in found.parts].index("edit of blocks.1.resid_pre")
    assert found.contribution[at] == pytest.approx(0.5 * found.direction.sum(), abs=1e-5)


def test_score_refuses_an_edited_score(command):
    status, _, said = command("score", TEXT, "--edit", "blocks.1.attn.q[0]=0", "--cell", "blocks.1.attn.scaled[0,4,1]")
    assert status == 2
    assert "blocks.1.attn.q is edited" in said
    status, said, _ = command("score", TEXT, "--edit", "blocks.0.attn.q[0]=0", "--cell", "blocks.1.attn.scaled[0,4,1]")
    assert (status, said.splitlines()[0]) == (0, "The pass is edited: blocks.0.attn.q[0]=0.")


def test_heads_are_measured_in_edited_passes(command):
    status, said, _ = command("heads", "--edit", "blocks.0.attn.scaled[1, 1:, 0]=-inf")
    assert (status, said.splitlines()[0]) == (0, "Every pass is edited: blocks.0.attn.scaled[1, 1:, 0]=-inf.")
    row = next(line for line in said.splitlines() if line.startswith("L0H1"))
    header = next(line for line in said.splitlines() if line.startswith("head"))
    first = header.split().index("first") - len(header.split())
    assert float(row.split()[first]) == 0


def test_check_holds_an_edited_pass_to_keep_and_put(command, tmp_path):
    status, said, _ = command("check", TEXT, *GIVEN, "--json", tmp_path / "c.json")
    assert status == 0
    assert f"The pass is edited: {SAID}." in said
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["edits"] == list(EDITS)
    names = [tensor["name"] for tensor in found["tensors"]]
    assert names.index("blocks.0.attn.z.before") < names.index("blocks.0.attn.z")


def test_generate_draws_from_edited_passes(command, engine, ids):
    edit = "blocks.1.mlp_out[:, 3]=4"
    status, said, told = command("generate", TEXT, "-n", 5, "--greedy", "--edit", edit)
    assert status == 0
    assert f"The passes were edited: {edit}." in told
    now = tuple(ids)
    for _ in range(5):  # each a full pass that reuses nothing
        trace = engine.trace(now, edits=parse_edits([edit], engine.config, len(now)))
        now = (*now, int(trace.logits(-1).argmax()))
    status, ours, _ = command("generate", "--ids", ",".join(map(str, now[:-1])), "-n", 1, "--greedy", "--edit", edit)
    assert ours == said
    assert said != command("generate", TEXT, "-n", 5, "--greedy")[1]


def test_a_figure_is_of_the_edited_pass_and_its_caption_says_so(command, tmp_path):
    def drawn(*more):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.svg"
        assert command("figure", TEXT, "--step", "blocks.1.attn.pattern", "--out", out, "--data", "json", *more)[0] == 0
        return out.read_text(encoding="utf-8"), out.with_suffix(".json").read_text(encoding="utf-8")

    plain, numbers = drawn()
    edited, edited_numbers = drawn("--edit", "blocks.0.attn.z[2]=0")
    assert "edited" not in plain
    assert "edited: blocks.0.attn.z[2]=0" in edited
    assert numbers != edited_numbers
    out = tmp_path / "cell.svg"
    assert command("figure", TEXT, "--edit", EDITS[0], "--cell", "blocks.0.attn.z[2,3,1]", "--out", out)[0] == 0
    assert "before" in out.read_text(encoding="utf-8")
    out = tmp_path / "check.svg"
    assert command("figure", TEXT, "--edit", EDITS[0], "--step", "check", "--out", out)[0] == 0
    status, _, said = command("figure", TEXT, "--step", "heads", "--edit", EDITS[0], "--out", tmp_path / "heads.svg")
    assert (status, "its own texts, to which --edit does not apply" in said) == (2, True)
    status, _, said = command("figure", "--step", "census", "--edit", EDITS[0], "--out", tmp_path / "census.svg")
    assert (status, "--edit changes a pass" in said) == (2, True)


def test_a_list_of_figures_holds_edited_ones_and_makes_them_again_only_when_the_edit_changes(capfd, model, tmp_path):
    listing = tmp_path / "figures.toml"
    (tmp_path / "out").mkdir()

    def build(edit):
        listing.write_text(
            f'[[figure]]\nname = "a"\nprompt = "{TEXT}"\nmodel = "{model}"\nstep = "logits"\nedit = {edit}\n',
            encoding="utf-8",
        )
        status = cli.main(["build", str(listing), "--out-dir", str(tmp_path / "out")])
        said, told = capfd.readouterr()
        assert status == 0, told
        return said, (tmp_path / "out" / "a.svg").read_bytes()

    _, first = build(json.dumps(list(EDITS)))
    assert SAID.encode() in first
    said, again = build(json.dumps(list(EDITS)))
    assert again == first
    assert "0 made" in said
    _, other = build(json.dumps(EDITS[0]))
    assert b"blocks.0.attn.z[2]=0" in other
    assert SAID.encode() not in other
    assert other != first


def test_a_bad_edit_is_one_sentence(command, tmp_path):
    for arguments in (
        ("trace", TEXT, "--out", tmp_path / "t.npz"),
        ("check", TEXT),
        ("lens", TEXT),
        ("generate", TEXT),
    ):
        status, _, said = command(*arguments, "--edit", "blocks.0.attn.z[3]=0")
        assert status == 2
        assert "head 3 does not exist; head goes from 0 to 2" in said
        assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ablate_writes_what_it_measures_and_prints_the_largest(command, tmp_path, engine, ids):
    tokens = ("--target", "c", "--against", "s")
    target, against = ids[2], ids[6]
    found = what_if.ablate(engine, engine.trace(ids), target=target, against=against)
    status, said, _ = command("ablate", TEXT, *tokens, "--out", tmp_path / "a.npz")
    assert (status, "2 arrays" in said) == (0, True)
    with np.load(tmp_path / "a.npz") as file:
        assert file["base"] == pytest.approx(found.base, abs=1e-5)
        assert np.allclose(file["logit_difference"], found.logit_difference, atol=1e-5)
        assert file["logit_difference"].shape == (2, 3)
    status, said, _ = command("ablate", TEXT, *tokens)
    assert status == 0
    layer, head = np.unravel_index(np.abs(found.logit_difference - found.base).argmax(), (2, 3))
    first = said.splitlines()[3].split()
    assert first[0] == f"L{layer}H{head}"
    assert float(first[1]) == pytest.approx(found.logit_difference[layer, head], abs=1e-4)
    for what, shape in (("mlps", (2,)), ("neurons:1", (96,))):
        out = tmp_path / f"{what[:4]}.safetensors"
        assert command("ablate", TEXT, *tokens, "--what", what, "--how", "mean", "--out", out)[0] == 0
        with safe_open(out, "numpy") as file:
            assert file.get_tensor("logit_difference").shape == shape
            assert file.metadata()["how"] == "mean"
        assert command("ablate", TEXT, *tokens, "--what", what)[0] == 0
    status, _, said = command("ablate", TEXT, *tokens, "--what", "neurons:7")
    assert (status, "There is no block 7" in said) == (2, True)


def test_patch_writes_both_prompts_the_differences_and_effects_that_are_refused_where_they_say_nothing(
    command, tmp_path
):
    prompts = ("--clean", "A cat sat", "--corrupt", "A dog sat", "--target", "c", "--against", "s")
    for what, shape in (("resid_pre", (2, 9)), ("heads", (2, 3))):
        out = tmp_path / f"{what}.npz"
        assert command("patch", *prompts, "--what", what, "--out", out)[0] == 0
        with np.load(out) as file:
            assert file["logit_difference"].shape == file["effect"].shape == shape
            apart = file["clean"] - file["corrupt"]
            if abs(apart) < 0.5:
                assert np.isnan(file["effect"]).all()
            else:
                expected = (file["logit_difference"] - file["corrupt"]) / apart
                assert np.allclose(file["effect"], expected, atol=1e-5)
        assert command("patch", *prompts, "--what", what, "--direction", "noise")[0] == 0
    same = ("--clean", "A cat sat", "--corrupt", "A cat sat", "--target", "c", "--against", "s")
    status, said, _ = command("patch", *same)
    assert (status, "below 0.5 an effect is meaningless" in said) == (0, True)
    # Positions of a longer prompt without a counterpart in this one are left out.
    out = tmp_path / "longer.npz"
    longer = ("--clean", "A cat", "--corrupt", "A cat sat", *same[4:])
    assert command("patch", *longer, "--out", out)[0] == 0
    with np.load(out) as file:
        assert np.isnan(file["logit_difference"]).tolist() == [[False] * 5 + [True] * 4] * 2
    said = command("patch", *longer)[1]
    assert said.count("/ none") == 4 and "nan" not in said
    with np.load(out) as file:
        started = file["logit_difference"]
    assert command("patch", *longer, "--align", "end", "--out", out, "--force")[0] == 0
    with np.load(out) as file:
        assert np.isnan(file["logit_difference"]).tolist() == [[True] * 4 + [False] * 5] * 2
        assert not np.allclose(file["logit_difference"][:, 4], started[:, 4])
    status, _, said = command("patch", *same, "--edit", "blocks.0.attn.z[0, 9]=0")
    assert (status, "pos 9 does not exist" in said) == (2, True)
