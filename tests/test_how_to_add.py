"""What CONTRIBUTING.md says of adding something is true: it is added in a copy of the program, and found everywhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.checkpoints import write_checkpoint

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
from desktop_app.core.state import State
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
