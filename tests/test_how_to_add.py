"""What CONTRIBUTING.md says about adding a tensor is true: one added to a copy of the program is found everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.checkpoints import write_checkpoint
from tests.scenes import CONFIG

ROOT = Path(__file__).resolve().parent.parent
LENGTH = '''

LENGTH = Formula(
    compute=lambda _place, x: np.sqrt((x * x).sum(-1, keepdims=True)),
    emit=lambda nodes, _site, out, x: nodes.op("ReduceL2", x, nodes.ints(-1), out=out, keepdims=1),
    cell=_OF_ROW,
    reads=(Operand("x", _ROW, "x"),),
    numpy="np.sqrt((x * x).sum())",
    numpy_whole="np.sqrt((x * x).sum(-1, keepdims=True))",
    numbers="√{sum} = {result}",
    terms=lambda _letters, operands: {"sum": float((operands[0] ** 2).sum())},
)
"""The vector's length: [pos, 1]."""
'''
TENSOR = """
    TensorSpec(
        _B + "resid_length",
        ("pos", "one"),
        "length of the residual stream",
        "‖x‖ = √Σ x²",
        (_B + "resid_post",),
        f.LENGTH,
    ),
"""
PROGRAM = """
import json, sys
from pathlib import Path
from desktop_app.core.check import check_pass
from desktop_app.core.model import open_model
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.as_numpy import as_numpy
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import describe
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.core.opening.view import opening_view
from desktop_app.core.scene import make_scene
from desktop_app.core.session.state import State
from desktop_app.gpt2 import engine as engines
from desktop_app.gpt2.export import export_onnx
import desktop_app, onnx

folder, name, index = Path(sys.argv[1]), "blocks.1.resid_length", (2, 0)
model = open_model(folder)
weights, cell = model.checkpoint.weights, Cell(name, index)
engine, ids = model.engine, [3, 1, 4, 1, 5]
trace = engine.trace(ids, everything=True)
trace.save(folder / "trace.safetensors")
engines.CAPTURE_LIMIT = 0
derived = engine.trace(ids)
scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, State(text="x"))
opening, view = open_cell(trace, weights, cell), opening_view(scene, cell)
export_onnx(model.checkpoint, folder / "m.onnx")
print(json.dumps({
    "package": desktop_app.__file__,
    "captured": [name in trace.captured, name in derived.captured],
    "values": [float(t[name][index]) for t in (trace, derived)],
    "found": [[f.name, f.good] for f in check_pass(engine, ids) if hasattr(f, "traced")],
    "onnx": [o.name for o in onnx.load(folder / "m.onnx").graph.output],
    "recomputed": opening.recomputed,
    "magnitude": opening.magnitude,
    "sentence": opening.numbers,
    "operand": opening.vectors[0].values.tolist(),
    "shown": repr(view),
    "said": repr(describe(scene, name, index)),
    "from": [[r.name, r.index] for r in computed_from(trace, cell)],
    "feeds": [[r.name, r.index] for r in feeds(trace, Cell("blocks.1.resid_post", (2, 7)))],
    "numpy": [as_numpy(model.checkpoint, name, i, trace_file=folder / "trace.safetensors") for i in (index, None)],
}))
"""


def insert(file, before, text):
    source = file.read_text(encoding="utf-8")
    assert source.count(before) == 1
    file.write_text(source.replace(before, text.removeprefix("\n") + before), encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    """A copy of the program."""
    target = tmp_path / "copy"
    shutil.copytree(ROOT / "desktop_app", target / "desktop_app", ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("resources", "models"):
        (target / data).symlink_to(ROOT / data)
    return target


def test_a_formula_is_a_row_and_its_tensor_is_another(copy, tmp_path, monkeypatch):
    insert(copy / "desktop_app/gpt2/tensors.py", ")\n\n_OUTPUT = (", TENSOR)
    with (copy / "desktop_app/gpt2/formulas.py").open("a", encoding="utf-8") as file:
        file.write(LENGTH)
    folder = write_checkpoint(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder], cwd=copy, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["package"]).is_relative_to(copy)

    x = load_file(folder / "trace.safetensors")["blocks.1.resid_post"].astype(float)
    length = float(np.linalg.norm(x[2]))
    assert found["captured"] == [True, False]
    assert found["values"] == pytest.approx([length] * 2, rel=1e-5)
    # The check.
    assert ["blocks.0.resid_length", True] in found["found"]
    assert all(good for _, good in found["found"])
    assert "blocks.1.resid_length" in found["onnx"]
    # The inspector.
    assert (found["recomputed"], found["magnitude"]) == pytest.approx((length, length))
    assert found["sentence"].startswith("√") and found["sentence"].endswith(f"{length:.4g}")
    assert found["operand"] == x[2].tolist()
    assert "rounding" in found["shown"] and "Strip(label='x'" in found["shown"]
    assert "‖x‖ = √Σ x²" in found["said"]
    # Lit cells.
    assert found["from"] == [["blocks.1.resid_post", [2, None]]]
    assert ["blocks.1.resid_length", [2, 0]] in found["feeds"]
    # Copy as numpy.
    for lines, expected in zip(found["numpy"], (length, np.linalg.norm(x, axis=-1, keepdims=True)), strict=True):
        names = {}
        exec(compile(lines, "copied", "exec"), names)
        assert names["result"] == pytest.approx(expected, rel=1e-12)


def run_in(copy, program, *arguments):
    """The JSON that a program prints which imports the copy's packages and the tests' scenes."""
    folder = write_checkpoint(copy.parent / "model", CONFIG)
    path = os.pathsep.join((str(copy), str(ROOT)))  # `desktop_app` of the copy, `tests` of the checkout
    done = subprocess.run(
        [sys.executable, "-c", program, folder, *arguments],
        cwd=copy, capture_output=True, text=True, check=False, encoding="utf-8", env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["package"]).is_relative_to(copy)
    return found


BEGIN = """
import json, sys
from dataclasses import replace
from pathlib import Path
import desktop_app
from desktop_app.core.asking.commands import COMMANDS, find_command
from desktop_app.core.model import open_model
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.core.session.state import State
from tests.scenes import scene_of

model = open_model(Path(sys.argv[1]))
found = {"package": desktop_app.__file__}
state = State(text="Hello there")
"""
END = "\nprint(json.dumps(found))\n"


def test_a_view_option_is_a_field_and_a_row(copy):
    table = copy / "desktop_app/core/session/state.py"
    insert(table, "    sort_neurons: bool", "\n    loud: bool = kept(False, kinds.flag)\n")
    insert(
        copy / "desktop_app/core/asking/commands.py",
        '    switch("sort_neurons"',
        '\n    switch("loud", "Louder colours", ("loud", "loud")),\n',
    )
    program = f"""{BEGIN}
command = find_command("loud")
on = command.change(state, model)
found |= {{
    "menu": [c.title for c in COMMANDS if c.menu == "View"],
    "on": [command.on(state, model), command.on(on, model), command.on(command.change(on, model), model)],
    "session": from_json(to_json(on), "a session").view.loud,
    "short": command.short,
}}{END}"""
    found = run_in(copy, program)
    assert "Louder colours" in found["menu"] and found["short"] == ["loud", "loud"]
    assert found["on"] == [False, True, False] and found["session"] is True


def test_a_command_is_a_row(copy):
    insert(
        copy / "desktop_app/core/asking/commands.py",
        '    Command("back", "Back"',
        '\n    Command("third", "Third token", "Go", ("Ctrl+3",), "scene", change=lambda s, _: replace(s, token=2)),\n',
    )
    program = f"""{BEGIN}
from desktop_app.core.asking.follow import follow
from desktop_app.core.asking.intents import Do
found |= {{"token": follow(Do("third"), state, model).token, "keys": find_command("third").keys}}{END}"""
    found = run_in(copy, program)
    assert found["token"] == 2 and found["keys"] == ["Ctrl+3"]


MINE = '''"""How long every token's last vector is."""

import numpy as np

from desktop_app.core.panels import Bar, BarsPanel, Box, Hue, column
from desktop_app.core.scene import Scene


def content(scene: Scene) -> Box:
    """A bar for each token."""
    lengths = np.linalg.norm(scene.trace["ln_final.out"], axis=-1)
    bars = (Bar(label, float(n), f"{n:.3g}") for label, n in zip(scene.labels, lengths, strict=True))
    return column(BarsPanel("Lengths", bars=tuple(bars), hue=Hue.RESIDUAL))
'''


def test_a_workspace_is_a_row_and_a_module_and_its_words(copy):
    (copy / "resources").unlink()
    shutil.copytree(ROOT / "resources", copy / "resources")
    (copy / "desktop_app/core/views/lengths.py").write_text(MINE, encoding="utf-8")
    table = copy / "desktop_app/core/workspaces.py"
    insert(
        table,
        '    StepSpec(\n        "atlas",',
        '\n    StepSpec("lengths", BESIDE, "lengths", Hue.RESIDUAL, (), lengths.content, keys=("Ctrl+9",)),\n',
    )
    insert(table, "WORKSPACES: tuple", "\nfrom desktop_app.core.views import lengths\n\n")
    with (copy / "resources/workspaces.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[lengths]\nname = "Lengths"\ntitle = "how long each vector is"\nlead = "One bar a token."\n'
            'explain = "A length."\nformula = "‖x‖"\n'
        )
    program = f"""{BEGIN}
from desktop_app.core.session.fitted import fitted
from desktop_app.core.asking.intents import Do
from desktop_app.core.asking.follow import follow
from desktop_app.figures.subject import find_subject, subject_job
import numpy as np
there = follow(Do("workspace:lengths"), state, model)
scene = scene_of(model)
job = subject_job(find_subject("lengths", model.config), model, scene)
found |= {{
    "kept": fitted(from_json(to_json(there), "a session"), model).workspace,
    "keys": find_command("workspace:lengths").keys,
    "title": job.view.title,
    "bars": [bar.value for bar in job.view.content.children[0].bars],
    "truth": np.linalg.norm(scene.trace["ln_final.out"].astype(float), axis=-1).tolist(),
}}{END}"""
    found = run_in(copy, program)
    assert found["kept"] == "lengths" and found["keys"] == ["Ctrl+9"]
    assert "ow long each vector is" in found["title"]
    assert found["bars"] == pytest.approx(found["truth"], rel=1e-5)


LAMP = '''"""A lamp: one number between 0 and 1."""

from collections.abc import Iterator

import numpy as np

from desktop_app.core.panels import LampPanel
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.tables import Table


def extent(panel: LampPanel, width: float, page: Page) -> tuple[float, float]:
    """A line."""
    return 20.0, 20.0


def paint(panel: LampPanel, rect: Rect, page: Page) -> None:
    """A word."""
    page.words(rect.x, rect.y + 10, f"lamp at {panel.glow:g}")


def tables(panel: LampPanel) -> Iterator[Table]:
    """The number."""
    yield Table("glow", np.array([[panel.glow]]))


def words(panel: LampPanel) -> str:
    """It, spoken."""
    return f"A lamp at {panel.glow:g}."
'''


def test_a_kind_of_panel_is_a_dataclass_a_row_and_its_module(copy):
    panels = copy / "desktop_app/core/panels.py"
    insert(panels, "AnyPanel = (\n", "\n@dataclass(frozen=True)\nclass LampPanel(Panel):\n    glow: float = 0.0\n\n\n")
    insert(panels, "    TokensPanel\n    | ProsePanel", "\n    LampPanel |\n")
    (copy / "desktop_app/figures/paint_lamp.py").write_text(LAMP, encoding="utf-8")
    kinds = copy / "desktop_app/figures/kinds.py"
    insert(
        kinds,
        "@dataclass(frozen=True)\nclass PanelKind",
        "\nfrom desktop_app.core.panels import LampPanel\nfrom desktop_app.figures import paint_lamp as lamp\n",
    )
    insert(
        kinds,
        "    TokensPanel: PanelKind(",
        "\n    LampPanel: PanelKind(lamp.extent, lamp.paint, 100, lamp.tables, lamp.words, panel_phrases.nothing),\n",
    )
    program = f"""{BEGIN}
from desktop_app.core.panels import LampPanel, View, column
from desktop_app.figures.data import data_csv
from desktop_app.figures.export import Options, job_of, lay_out
from desktop_app.figures.language import translated
from desktop_app.figures.marks import Words
from desktop_app.figures.spoken import spoken
view = View("A lamp", "It glows.", column(LampPanel("Lamp", glow=0.5)))
job = job_of(view, "caption")
found |= {{
    "marks": [m.text for m in lay_out(job, Options(kind="svg")).marks if isinstance(m, Words)],
    "csv": data_csv(job).decode(),
    "spoken": spoken(view),
    "german": translated(view, lambda text: text.upper()).content.children[0].title,
}}{END}"""
    found = run_in(copy, program)
    assert "lamp at 0.5" in found["marks"]
    assert found["csv"].splitlines()[1].endswith(",0.5")
    assert "A lamp at 0.5." in found["spoken"] and found["german"] == "LAMP"
