"""A clip of a training run: one frame per snapshot, in order, from that snapshot's own pass."""

import numpy as np
import pytest
from PIL import Image

from desktop_app import cli
from desktop_app.core.bundle import bundled_models, snapshots
from desktop_app.core.library.training import training_of
from desktop_app.core.model import open_model
from desktop_app.core.panels import GridPanel
from desktop_app.core.state import State
from desktop_app.figures.trainings import views_of
from tests.scenes import panels

SORTER = bundled_models()["sorter"]
IDS = (2, 1, 0, 0, 1, 2)


def test_each_frame_is_the_view_of_its_own_snapshot():
    name = "blocks.1.attn.pattern"
    jobs = views_of(training_of(SORTER), name, IDS, State(step=name, layer=1, head=2))
    assert len(jobs) == 12 and jobs[0].view.title.startswith("Before its training")
    for job, (step, folder) in zip(jobs, snapshots(SORTER).items(), strict=True):
        if step:
            assert job.view.title.startswith(f"After {step:,} steps") and f"after {step:,} steps" in str(job.caption)
        grid = next(panel for panel in panels(job.view.content) if isinstance(panel, GridPanel))
        expected = open_model(folder).engine.trace(IDS).read(name)[2]
        lower = np.tril_indices(len(IDS))
        np.testing.assert_allclose(np.asarray(grid.values)[lower], expected[lower], atol=1e-6)


def test_the_command_writes_a_frame_for_each_snapshot(tmp_path, capsys):
    out = tmp_path / "learned.gif"
    asked = ["clip", "CBAABC", "--training", "--model", "sorter@50", "--step", "pattern", "--out", str(out)]
    assert cli.main([*asked, "--pace", "4"]) == 0
    assert "12 snapshots, steps 0 to 1,000" in capsys.readouterr().out
    with Image.open(out) as film:
        assert film.n_frames == 12 and film.info["duration"] == 250


@pytest.mark.parametrize("more", [["--model", "bundled"]])
def test_a_model_without_snapshots_is_told(tmp_path, capfd, more):
    asked = ["clip", "Hello", "--training", "--step", "pattern", "--out", str(tmp_path / "a.gif"), *more]
    assert cli.main(asked) == 2
    assert "has no snapshots of its training here" in capfd.readouterr().err
    assert not (tmp_path / "a.gif").exists()
