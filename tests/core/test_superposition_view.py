"""The superposition workspace: its counts of nearly orthogonal directions open."""

import numpy as np
import pytest

from desktop_app.core.analysis.superposition import WITHIN, directions_of
from desktop_app.core.asking.follow import follow
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of, view_of
from desktop_app.core.panels import TextPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import build_view, workspaces
from desktop_app.gpt2.errors import ModelError
from tests.scenes import open_tiny, panels, scene_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("shows", ["embedding", "neurons"])
def test_a_count_of_nearly_orthogonal_directions_opens_to_how_it_is_counted(model, shows):
    state = with_option(scene_of(model, "abc", workspace="superposition").state, "superposition", shows)
    place = next(w for w in workspaces(model.config) if w.key == "superposition")
    scene = completed(scene_of(model, "abc", workspace="superposition", view=state.view), place.spec.wants, model)
    vectors = directions_of(model.checkpoint, "embedding" if shows == "embedding" else "blocks.0.mlp.W_out")
    counts = next(p for p in panels(build_view(scene, place).content) if isinstance(p, TextPanel))
    for line, within in zip(counts.lines, WITHIN, strict=True):
        kept = []
        for vector in vectors:
            if all(abs(vector @ other) <= within for other in kept):
                kept.append(vector)
        [cell] = follow(line.pick, scene.state, model).opened
        assert readout_of(scene, cell).value == str(len(kept))
        opened = next(p for p in panels(view_of(scene, cell).content) if isinstance(p, TextPanel))
        assert opened.lines[1].text == str(len(kept))
        bound = float(opened.lines[-1].remark.removeprefix("= "))
        assert bound == pytest.approx(np.exp(24 * within**2 / 4), rel=1e-3)
    with pytest.raises(ModelError, match="the limits are 0 to 5"):
        view_of(scene, Cell("superposition.packed", (6,)))
