"""Numbers up to the largest of float32, and beyond: each view is drawn within its page and warns of nothing.

pytest turns numpy's warnings into errors here, as everywhere.
"""

import dataclasses
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.analysis import circuits, directions
from desktop_app.core.levels import Levels, number, percent
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import view_of, wants_of
from desktop_app.core.panels import Bar, BarsPanel, CurvePanel, View, column
from desktop_app.core.products import completed
from desktop_app.core.steps import step_list, wants_of_place, workspaces
from desktop_app.core.views.flow import EDGES, edges_of
from desktop_app.figures.export import Options, job_of, lay_out
from desktop_app.figures.marks import Heat
from desktop_app.figures.marks import Path as Drawn
from desktop_app.figures.order import Order, make
from desktop_app.figures.subject import find_subject, subject_job
from desktop_app.gpt2.edit import parse_edit
from desktop_app.gpt2.errors import ModelError
from tests.checkpoints import random_weights, sealed
from tests.scenes import CONFIG, open_tiny, scene_of

TEXT = "The cat sat; the cat"


def placed(marks):
    """Every number that says where something is drawn; NaN lifts the pen of a path, and makes a cell transparent."""
    for mark in marks:
        for field in dataclasses.fields(mark):
            value = getattr(mark, field.name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                yield from (value[~np.isnan(value)] if isinstance(mark, Heat | Drawn) else value).ravel().tolist()
            elif dataclasses.is_dataclass(value):
                yield from (v for v in vars(value).values() if isinstance(v, float))
            elif isinstance(value, float):
                yield value


def drawn(job):
    sheet = lay_out(job, Options("svg"))
    assert all(map(math.isfinite, placed(sheet.marks)))
    return sheet


def with_weights(folder, end, factor):
    """A model whose weights with names that end in `end` are multiplied."""
    weights = random_weights(CONFIG)
    return open_tiny(
        folder, CONFIG, {name: w * np.float32(factor) if name.endswith(end) else w for name, w in weights.items()}
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "plain", CONFIG)


@pytest.mark.parametrize(
    ("end", "factor"), [("wte.weight", 1e25), ("c_proj.weight", 1e30), ("weight", 1e-40)], ids=["wide", "steep", "tiny"]
)
def test_every_view_of_a_model_with_extreme_weights_is_drawn_or_refused_in_a_sentence(tmp_path, end, factor):
    model = with_weights(tmp_path / "model", end, factor)
    scene = scene_of(model, TEXT, layer=1, head=1)
    refused = []
    for step in (*(s for s in step_list(model.config) if s.layer in (None, 1)), *workspaces(model.config)):
        try:
            drawn(subject_job(find_subject(step.key, model.config), model, scene))
        except ModelError as reason:
            refused.append((step.key, str(reason)))
    assert all("too large for this" in words for _, words in refused)
    assert len(refused) <= 4


@pytest.mark.parametrize("value", [3e38, -3e38, math.inf, math.nan])
@pytest.mark.parametrize("places", ["all", "one of three"])
def test_every_view_of_a_saved_pass_with_extreme_numbers_is_drawn(plain, tmp_path, value, places):
    path = tmp_path / "trace.safetensors"
    plain.engine.trace(plain.tokenizer.encode(TEXT).ids).save(path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    for n, (name, row) in enumerate(header.items()):
        start, stop = row.get("data_offsets", (0, 0))
        if name not in ("__metadata__", "tokens", "logits") and (places == "all" or n % 3 == 0):
            numbers = np.frombuffer(body[start:stop], np.float32).copy()
            numbers[:: 1 if places == "all" else 7] = value
            body[start:stop] = numbers.tobytes()
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(sealed(struct.pack("<Q", len(text)) + text + bytes(body)))
    seen = 0
    for step in step_list(plain.config):
        if step.layer in (None, 1):
            try:
                drawn(make(Order(Path("x.svg"), step=step.key, trace=path), plain))
            except ModelError as reason:
                assert "not finite" in str(reason)  # logits of which no probabilities can be made
            else:
                seen += 1
    assert seen or not math.isfinite(value)


def test_a_matrix_with_infinite_numbers_is_refused_in_a_sentence(tmp_path):
    steep = with_weights(tmp_path / "steep", "c_proj.weight", 1e30)
    for call in (circuits.compute, directions.rows):
        wide = with_weights(tmp_path / "wide", "wte.weight", 1e25) if call is not circuits.compute else steep
        scene = scene_of(wide, TEXT)
        with pytest.raises(ModelError, match="too large for this"), np.errstate(all="ignore"):
            call(scene.checkpoint)


def test_a_pair_of_heads_that_write_nothing_opens_to_norms_of_0(tmp_path):
    model = with_weights(tmp_path / "silent", "c_attn.weight", 0)
    scene, cell = scene_of(model, TEXT), Cell("circuits.q", (0, 1, 1, 0))
    view = view_of(completed(scene, lambda own: wants_of(own, cell), model), cell)
    drawn(job_of(view, ""))


def test_an_edge_into_a_vector_of_zeros_opens_to_the_share_that_the_flow_shows(plain):
    edit = parse_edit("blocks.1.resid_pre=0", plain.config, 6)
    scene = scene_of(plain, trace=plain.engine.trace((5, 3, 1, 4, 1, 5), edits=(edit,)), workspace="flow")
    place = next(step for step in workspaces(plain.config) if step.key == "flow")
    scene = completed(scene, lambda own: wants_of_place(own, place, ("",)), plain)
    found = next(iter(scene.all_made.values())).value
    for cell in edges_of(found):
        drawn(job_of(view_of(scene, Cell(EDGES, cell)), ""))


def test_colours_span_from_the_smallest_to_the_largest_number():
    values = np.array([-3e38, 0, 3e38], np.float32)
    assert Levels(-3e38, 3e38).fraction(values).tolist() == pytest.approx([0, 0.5, 1])


def test_axes_hold_the_finite_values_and_bars_compare_them(plain):
    x, y = np.arange(4.0), np.array([1, np.inf, np.nan, 3], np.float32)
    curve = CurvePanel(lines=((x, y),), points=(x, y), focus=(1.0, math.inf, "here"), band=(-math.inf, math.inf))
    level = CurvePanel(lines=((x, np.full(4, 3e38)),))
    bars = BarsPanel(bars=tuple(Bar(str(v), v, number(v)) for v in (2.0, math.inf, math.nan, -1.0)))
    sheet = drawn(job_of(View("", "", column(curve, level, bars)), ""))
    assert {"∞", "not a number"} <= {getattr(mark, "text", "") for mark in sheet.marks}


def test_a_percentage_that_is_none_is_said_to_be_none():
    assert percent(math.nan) == "not a number"
