"""`import logitscope`: what scripts and notebooks do, in a checkout and from a wheel, with the commands' numbers."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import logitscope
from desktop_app import cli
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.names import answer
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
TEXT = "Once upon a time"
OTHER = "Once upon a day"
EDITS = ("blocks.1.attn.z[2]=0", "blocks.0.attn.scaled[1, 3, 0]=-inf")
GIVEN = [word for edit in EDITS for word in ("--edit", edit)]
JUPYTER = "module://matplotlib_inline.backend_inline"


@pytest.fixture(scope="module")
def run():
    return logitscope.open_model("bundled").run(TEXT)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    config = {**TINY, "vocab_size": 257, "n_positions": 48}
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", config)


def test_a_model_opens_by_name_and_by_folder_and_is_looked_for_nowhere_else(tiny):
    assert logitscope.open_model().name == logitscope.open_model(default_model()).name == "Storybook GPT-2"
    model = logitscope.open_model(str(tiny))
    assert model.config.n_head == 3 and len(model.run(ids=[1, 2, 3])) == 3
    with pytest.raises(logitscope.LogitscopeError, match="is not on this machine; get it with"):
        logitscope.open_model("nobody/nothing")


def test_a_downloaded_repository_opens_by_its_name(tiny, own_home):
    folder = own_home / "huggingface" / "hub" / "models--ann--tiny"
    (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    for path in tiny.iterdir():
        (folder / "snapshots" / ("a" * 40) / path.name).write_bytes(path.read_bytes())
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "desktop_app" / "importable")}
    program = "import logitscope; print(logitscope.open_model('ann/tiny').run('A').names[0])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.stdout == "tokens\n", done.stderr


def test_tensors_are_those_of_the_trace_command_and_have_the_axes_that_they_say(run, tmp_path):
    out = tmp_path / "trace.npz"
    assert cli.main(["trace", TEXT, "--out", str(out)]) == 0
    written = np.load(out)
    config = run.model.config
    sizes = {"head": config.n_head, "query": len(run), "key": len(run), "pos": len(run), "d_model": config.n_embd}
    for name in ("blocks.0.attn.pattern", "blocks.2.resid_post", "logits"):
        assert np.allclose(run[name], written[name], atol=1e-4)
        assert run[name].shape == tuple(sizes.get(axis, config.vocab_size) for axis in run.axes(name))
        assert not run[name].flags.writeable and name in run
    assert list(run) == list(run.names) and run.ids == tuple(written["tokens"])
    assert run.tokens == ("Once", "·upon", "·a", "·time")


def test_an_edited_run_is_the_pass_of_edit_on_the_command_line(run, tmp_path):
    edited = run.model.run(TEXT, edits=EDITS)
    out = tmp_path / "trace.npz"
    assert cli.main(["trace", TEXT, *GIVEN, "--out", str(out)]) == 0
    written = np.load(out)
    for name in ("blocks.1.attn.z", "blocks.0.attn.pattern", "blocks.2.resid_post", "logits"):
        assert np.allclose(edited[name], written[name], atol=1e-4) and not np.allclose(
            edited[name], run[name], atol=1e-4
        )
    assert not edited["blocks.1.attn.z"][2].any() and edited["blocks.0.attn.pattern"][1, 3, 0] == 0
    assert edited["blocks.1.attn.z.before"][2].any() and edited.axes("blocks.1.attn.z.before") == (
        "head",
        "pos",
        "d_head",
    )
    assert edited.edits == EDITS and run.edits == () and "blocks.1.attn.z[2]=0" in repr(edited)
    assert run.model.run(ids=run.ids, edits=edited.edits)["logits"].tobytes() == edited["logits"].tobytes()


@pytest.mark.parametrize("name", ["blocks.0.attn.hook_pattern", "blocks.1.hook_resid_pre", ("pattern", 0)])
def test_names_of_other_tools_are_answered(run, name):
    with pytest.raises(logitscope.LogitscopeError) as told:
        run[name]
    assert answer(name, run.model.config) in str(told.value) and "[" in str(told.value)
    if isinstance(name, str):
        with pytest.raises(logitscope.LogitscopeError, match="stands for"):
            run.axes(name)


def test_the_next_tokens_are_the_softmax_of_the_last_logits(run):
    logits = run["logits"][-1].astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    found = run.next(3)
    assert [p for _, p in found] == pytest.approx(np.sort(probabilities)[::-1][:3].tolist(), rel=1e-4)
    assert [t for t, _ in found] == [run.model.label(int(t)) for t in np.argsort(-probabilities)[:3]]
    assert run.next(1, temperature=0.1)[0][1] > found[0][1]


TOKENS = ["--target-id", "98", "--against-id", "99"]
LETTERS = ["abcab", "abcdb"]
ANALYSES = {
    "lens": (["lens", LETTERS[0], "--target-id", "98"], lambda run: run.lens(98)),
    "attribute": (["attribute", LETTERS[0], *TOKENS], lambda run: run.attribute(98, 99)),
    "score": (["score", LETTERS[0], "--cell", "blocks.1.attn.scaled[2,4,1]"], lambda run: run.score(1, 2, -1, 1)),
    "heads": (["heads", "--seed", "1"], lambda run: run.model.heads(seed=1, edits=run.edits)),
    "ablate": (["ablate", LETTERS[0], *TOKENS], lambda run: run.ablate(98, 99)),
    "ablate by mean": (
        ["ablate", LETTERS[0], *TOKENS, "--what", "mlps", "--how", "mean"],
        lambda run: run.ablate(98, 99, what="mlps", how="mean"),
    ),
    "patch": (
        ["patch", "--clean", LETTERS[0], "--corrupt", LETTERS[1], *TOKENS, "--what", "heads", "--direction", "noise"],
        lambda run: run.patch(run.model.run(LETTERS[1], edits=run.edits), 98, 99, what="heads", direction="noise"),
    ),
}


@pytest.mark.parametrize("edits", [(), EDITS], ids=["plain", "edited"])
@pytest.mark.parametrize("analysis", ANALYSES)
def test_analyses_are_those_of_the_commands(tiny, analysis, edits, tmp_path):
    """The arrays equal those that the commands write, whose correctness is tested with each analysis."""
    arguments, of = ANALYSES[analysis]
    out = tmp_path / "found.npz"
    assert cli.main([*arguments, *(GIVEN if edits else []), "--model", str(tiny), "--out", str(out)]) == 0
    made = of(logitscope.open_model(tiny).run(LETTERS[0], edits=edits))
    written, arrays = np.load(out), made.arrays()
    assert set(arrays) <= set(written)
    for name, array in arrays.items():
        assert np.ndim(getattr(made, name, array)) == len(made.AXES[name]), name
        same = (
            np.allclose(array, written[name], atol=1e-4, equal_nan=True)
            if array.dtype.kind in "fi"
            else (array == written[name]).all()
        )
        assert same, name
    assert repr(made).startswith(f"<{type(made).__name__}: ") and "e-0" not in repr(made)


def test_circuits_and_directions_are_those_of_the_commands(run, tmp_path):
    for arguments, made in [
        (["circuits"], run.model.circuits()),
        (["directions", "he - his + her"], run.model.directions("he - his + her")),
    ]:
        out = tmp_path / f"{arguments[0]}.npz"
        assert cli.main([*arguments, "--out", str(out)]) == 0
        written, arrays = np.load(out), made.arrays()
        assert set(made.AXES) == set(arrays) <= set(written)
        assert all(np.allclose(array, written[name], atol=1e-4, equal_nan=True) for name, array in arrays.items())
    tables = [run.model.head_table(circuit, 5, 1, " blue", top=3) for circuit in ("OV", "QK")]
    assert [table.promoted.shape for table in tables] == [(1, 3), (1, 3)]
    assert run.model.label(int(tables[0].promoted[0, 0])) == "·blue"
    assert run.model.singular_directions("OV", 5, 1).reads.shape == (32, run.model.config.n_embd)


def test_how_heads_look_and_what_flows_have_an_entry_for_every_head_and_part(run):
    assert run.heads().arrays()["first"].shape == (run.model.config.n_layer, run.model.config.n_head)
    assert run.flow().position == 3


def test_figures_are_those_of_the_figure_command(run, tmp_path):
    for arguments, made in [
        (["--step", "blocks.0.attn.pattern", "--head", "3"], run.figure("blocks.0.attn.pattern", head=3)),
        (["--step", "lens", "--theme", "dark"], run.figure("lens", theme="dark")),
        (["--step", "overview:pattern", "--layer", "1", "--lang", "de"],
         run.figure("overview:pattern", layer=1, language="de")),
        (["--step", "blocks.0.attn.pattern", "--head", "1", *GIVEN],
         run.model.run(TEXT, edits=EDITS).figure("blocks.0.attn.pattern", head=1)),
    ]:  # fmt: skip
        out = tmp_path / "figure.svg"
        assert cli.main(["figure", TEXT, *arguments, "--out", str(out), "--force"]) == 0
        assert made._repr_svg_() == out.read_text(encoding="utf-8")
        assert ElementTree.fromstring(made.svg).tag.endswith("svg") and made.description
    kept = run.figure("tokens").save(tmp_path / "kept.png")
    assert kept.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(logitscope.LogitscopeError, match="already exists"):
        run.figure("tokens").save(kept)
    weight = run.model.figure("weights:blocks.0.attn.W_Q", head=1)
    assert "head 1" in repr(weight) and "census" not in repr(weight)


def test_a_run_of_ids_is_drawn_from_its_ids(tiny):
    run = logitscope.open_model(tiny).run(ids=[3, 200, 256])
    assert run.ids == (3, 200, 256) and "3 tokens" in run.figure("tokens").description


def test_weights_are_those_of_the_file(tiny):
    model = logitscope.open_model(tiny)
    whole, one = model.weight("blocks.0.attn.W_Q"), model.weight("blocks.0.attn.W_Q", head=1)
    width = model.config.n_embd // model.config.n_head
    assert (one == whole[:, width : 2 * width]).all() and not one.flags.writeable
    assert model.weight("unembed.W_U").shape == (model.config.vocab_size, model.config.n_embd)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda run: run.figure("blocks.0.attn.patern"), "did you mean blocks.0.attn.pattern"),
        (lambda run: run.figure("blocks.0.attn.pattern", head=99), "Head 99 is outside the model's heads"),
        (lambda run: run.figure("tokens", position=9), "Position 9 is outside the prompt's tokens"),
        (lambda run: run.figure("tokens", colour="red"), "has no option 'colour'; it has size"),
        (lambda run: run.model.run(), "Give either a text or ids"),
        (lambda run: run.model.run(""), "[Ee]mpty"),
        (lambda run: run.attribute("two words"), "tokens .* give one token"),
        (lambda run: run.lens(1 << 20), "outside the model's vocabulary"),
        (lambda run: run.next(1, position=12), "Position 12 is outside the text"),
        (lambda run: run.model.weight("W_Z"), "no weight 'W_Z'"),
        (lambda run: run.score(0, 0, 9, 0), "outside the text"),
        (
            lambda run: run.model.run(TEXT, edits=["blocks.1.attn.z[10]=0"]),
            "head 10 does not exist; head goes from 0 to 9",
        ),
        (lambda run: run.model.run(TEXT, edits=["blocks.1.attn.hook_z=0"]), "stands for blocks.1.attn.z"),
        (lambda run: run.model.run(TEXT, edits=EDITS[0]), r"a list of texts; give edits=\['blocks.1.attn.z\[2\]=0'\]"),
        (lambda run: run.model.run(TEXT, edits=EDITS).figure("heads"), "to which --edit does not apply"),
        (lambda run: run.ablate(" was", " he", what="norms"), "'norms' cannot be muted"),
        (lambda run: run.ablate(" was", " he", how="mean", reference=[]), "no reference text"),
        (lambda run: run.patch(logitscope.open_model().run(OTHER), " was", " he"), "two opened models"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, asked, words):
    with pytest.raises(logitscope.LogitscopeError, match=words):
        asked(run)


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_says(path):
    notebooks = script("notebooks")
    found, stands = notebooks.executed(path), json.loads(path.read_text(encoding="utf-8"))
    assert {"nbformat": 4, "nbformat_minor": 5}.items() <= stands.items()
    assert all(cell["id"] for cell in stands["cells"]) and len(NOTEBOOKS) == 3
    for now, then in zip(found["cells"], stands["cells"], strict=True):
        assert now == then, f"{path.name} shows something else now: packaging/notebooks.py writes it anew"


def test_a_wheel_gives_the_import_and_the_notebooks_run_on_it_without_qt_under_jupyters_settings(tmp_path):
    pytest.importorskip("hatchling.build")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / made.stdout.split()[-1]) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"desktop_app", "logitscope"}
        assert not any("importable" in name for name in wheel.namelist())
        wheel.extractall(tmp_path / "site")
    program = (
        "import importlib.util, os, sys\n"
        "sys.modules.update(dict.fromkeys(['PySide6', 'shiboken6', 'pyqtgraph']))\n"
        "import logitscope\n"
        "assert logitscope.__file__.startswith(sys.argv[1]), logitscope.__file__\n"
        "spec = importlib.util.spec_from_file_location('notebooks', sys.argv[2])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "status = module.main(['--check'])\n"
        "print(os.environ['MPLBACKEND'])\n"
        "sys.exit(status)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "MPLBACKEND": JUPYTER}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(tmp_path / "site"), str(ROOT / "packaging" / "notebooks.py")],
        cwd="/", env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("unchanged") == len(NOTEBOOKS) and done.stdout.splitlines()[-1] == JUPYTER


@pytest.mark.parametrize(("named", "found"), [("svg", "svg"), (JUPYTER, None), ("", None)])
def test_the_backend_that_a_notebook_names_stays_and_one_that_is_not_here_stops_nothing(named, found):
    program = (
        "import os, logitscope, matplotlib\n"
        "logitscope.open_model().run('A').figure('tokens').svg\n"
        "print(repr(os.environ['MPLBACKEND']), matplotlib.rcParams._get('backend'))\n"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "desktop_app" / "importable")])
    environ = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": named}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name, _, backend = done.stdout.strip().partition(" ")
    assert name == repr(named) and (backend == found or found is None)
