"""No product is computed from a pass with a model other than the one that computed the pass."""

import pytest

from desktop_app.core.products import are_of, completed
from desktop_app.core.steps import build_view, workspaces
from desktop_app.gpt2.errors import ModelError
from tests.scenes import CONFIG, open_tiny, scene_of


def test_what_another_model_computed_is_not_taken_for_this_one_s(tmp_path):
    one = open_tiny(tmp_path / "one")
    two = open_tiny(tmp_path / "two", CONFIG | {"n_layer": 3})
    scene = scene_of(one, "Hello, you")
    assert are_of(scene.passes, one) and not are_of(scene.passes, two)
    asked = 0
    for place in workspaces(one.config):
        if not place.spec.wants(scene):
            continue
        asked += 1
        assert build_view(completed(scene, place.spec.wants, one), place).content
        with pytest.raises(ModelError, match="not computed by two"):
            completed(scene, place.spec.wants, two)
    assert asked > 5
