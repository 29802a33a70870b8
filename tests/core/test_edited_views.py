"""Every view of an edited pass is shown, every cell of it can be read and opened, and its parts still add up."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.analysis.parts import combine, parts, vector_of
from desktop_app.core.lessons.cover import covered
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.products import completed
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view, find_step, workspaces
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.errors import LogitscopeError
from tests.scenes import open_tiny, scene_of, shown_steps

TEXT = "Hello, you"
EDITS = {
    "stream": ["blocks.1.resid_pre[2:4]*=2", "blocks.1.mlp_out[5]=0"],
    "inside": [
        "embed[2]=0.1",
        "blocks.0.attn.z[1]=0",
        "blocks.1.attn.scaled[0,5,2]=-inf",
        "blocks.0.mlp.post[:,5]=1.5",
    ],
    "written": ["blocks.1.attn_out=0", "blocks.0.mlp_out=0", "blocks.0.resid_pre=1"],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def edited(model, name):
    ids = model.tokenizer.encode(TEXT).ids
    return model.engine.trace(ids, edits=parse_edits(EDITS[name], model.config, len(ids)))


def visit(scene, view, depth, seen):
    """Draw a view, read the first and last cell of each picture, and open one cell of each name, recursively."""
    for shown in (covered(view), view):
        page = Page(LIGHT, fonts.width)
        place_view(shown, 1200, 800, page)
    for cells in page.cells:
        if cells.source is None:
            continue
        rows = cells.values.shape[0] if cells.values.ndim > 1 else 1
        for row, column in {(0, cells.start), (rows - 1, cells.values.shape[-1] - 1)}:
            cell = cells.source.cell(row, column)
            if cell.name in scene.trace.table:
                computed_from(scene.trace, cell), feeds(scene.trace, cell)
            with suppress(LogitscopeError):  # a cell hidden by the mask is refused
                readout_of(scene, cell)
                find_step(clicked(scene, cell).step, scene.config)
                opened = view_of(scene, cell) if (cell.name, depth) not in seen and depth < 2 else None
                seen.add((cell.name, depth))
                if opened is not None:
                    visit(scene, opened, depth + 1, seen)


@pytest.mark.parametrize("name", EDITS)
def test_every_view_of_an_edited_pass_can_be_drawn_read_and_opened(model, name):
    trace, seen, refused = edited(model, name), set(), {}
    for look in ("heads", "kinds"):
        options = ViewOptions(look_parts=look)
        scene = scene_of(model, TEXT, trace=trace, view=options, layer=1, head=1, token=5, unfolded=(0, 1))
        for place in workspaces(model.config):
            own = replace(scene, state=replace(scene.state, workspace=place.key))
            try:
                own = completed(own, place.spec.wants, model)
            except LogitscopeError as reason:
                refused[place.key] = str(reason)
                continue
            visit(own, build_view(own, place), 0, seen)
    for step in shown_steps(model.config, 1):
        visit(scene, build_view(scene, step), 0, seen)
    # Views that an edited pass cannot have are refused, naming the edit that prevents them.
    assert set(refused) <= {"look"}
    assert all("leave that edit out" in words for words in refused.values())


@pytest.mark.parametrize("name", EDITS)
def test_the_parts_of_an_edited_stream_are_what_combine_has_and_add_up_to_it(model, name):
    trace, n = edited(model, name), model.config.n_layer
    row = 5
    rows = np.stack([vector_of(model.checkpoint, trace, part, row) for part in parts(trace, n)])
    assert np.allclose(rows, combine(model.checkpoint, trace, n, row, np.ones(1)), atol=1e-5)
    whole = trace.read(f"blocks.{n - 1}.resid_post", row=row)
    assert np.abs(rows.sum(0) - whole).max() < 1e-4 * max(1, np.abs(whole).max())
