"""A clip of a training run: one frame per snapshot, in order, from that snapshot's own pass."""

import numpy as np
import pytest
from PIL import Image

from desktop_app import cli
from desktop_app.core.library.training import training_of
from desktop_app.core.model import open_model
from desktop_app.core.panels import GridPanel
from desktop_app.core.passes import Asked
from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.session.state import State
from desktop_app.core.steps import WORKSPACES
from desktop_app.figures.data import data_csv
from desktop_app.figures.export import Options, lay_out
from desktop_app.figures.marks import Words
from desktop_app.figures.trainings import beside_of, ends_of, frames_of, some_of, views_of
from desktop_app.gpt2.errors import ExportError
from tests.scenes import panels

SORTER = bundled_models()["sorter"]
IDS = (2, 1, 0, 0, 1, 2)


def frames(name, state, **asked):
    training = training_of(SORTER)
    return frames_of(views_of(training, training.snapshots, name, Asked(IDS, **asked), state))


def test_each_frame_is_the_view_of_its_own_snapshot():
    name = "blocks.1.attn.pattern"
    jobs = frames(name, State(step=name, layer=1, head=2))
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


def test_the_frames_of_a_clip_have_one_scale_of_colours():
    name = "blocks.1.resid_post"
    shown = [next(iter(panels(job.view.content))).levels for job in frames(name, State(step=name))]
    apart = [alone_at(step, name).levels for step in (0, 1000)]
    assert len(set(shown)) == 1 and apart[0].high != apart[1].high
    assert shown[0].high == max(alone_at(step, name).levels.high for step in snapshots(SORTER))
    assert shown[0].rule == "all snapshots"


def alone_at(step, name):
    """The first panel of a step's view at one snapshot, on a scale of its own."""
    training = training_of(SORTER)
    (shown,) = views_of(training, some_of(training, [step]), name, Asked(IDS), State(step=name))
    return next(iter(panels(shown.view.content)))


def test_frames_show_the_edits_of_the_pass():
    """With queries of zero every score is 0, and a token looks at all before it alike, whatever was learned."""
    name = "blocks.1.attn.pattern"
    jobs = frames(name, State(step=name, layer=1, head=2), edits=("blocks.1.attn.q[2]=0",))
    even = np.tril(np.ones((len(IDS), len(IDS)))) / np.arange(1, len(IDS) + 1)[:, None]
    lower = np.tril_indices(len(IDS))
    for job in jobs:
        assert "blocks.1.attn.q[2]=0" in str(job.caption) and job.view.badge == "edited"
        grid = next(panel for panel in panels(job.view.content) if isinstance(panel, GridPanel) and not panel.small)
        np.testing.assert_allclose(np.asarray(grid.values)[lower], even[lower], atol=1e-6)


@pytest.mark.parametrize("name", [*(spec.key for spec in WORKSPACES if spec.keys), "tokens", "logits", "probabilities"])
def test_every_workspace_is_drawn_over_a_training(name):
    training = training_of(SORTER)
    views = views_of(training, some_of(training, [0, 30, 1000]), name, Asked(IDS), State(step="blocks.0.attn.pattern"))
    for job, steps in (*((one, 1) for one in frames_of(views)), (beside_of(views), 3)):
        words = " ".join(mark.text for mark in lay_out(job, Options("svg")).marks if isinstance(mark, Words))
        said = ("Before its training", "After 30 steps", "After 1,000 steps")
        assert sum(one in words for one in said) == steps and "Letter sorter" in words, words


def test_a_few_snapshots_stand_side_by_side_in_one_figure():
    name = "blocks.1.attn.pattern"
    training = training_of(SORTER)
    views = views_of(training, ends_of(training, 5), name, Asked(IDS), State(step=name, layer=1, head=2))
    job = beside_of(views)
    shown = list(panels(job.view.content))
    assert [panel.title for panel in shown] == ["Before its training", "After 30 steps", "After 1,000 steps"]
    assert "Letter sorter ·" in job.caption and "after" not in str(job.caption).lower()
    for panel, step in zip(shown, (0, 30, 1000), strict=True):
        expected = open_model(snapshots(SORTER)[step]).engine.trace(IDS).read(name)[2]
        lower = np.tril_indices(len(IDS))
        np.testing.assert_allclose(np.asarray(panel.values)[lower], expected[lower], atol=1e-6)
    with pytest.raises(ExportError, match="5 snapshots do not fit side by side; name 4 at most"):
        beside_of(views_of(training, training.snapshots[:5], name, Asked(IDS), State(step=name)))


def test_three_of_a_training_are_the_ends_and_the_open_one():
    training = training_of(SORTER)
    assert [s.step for s in ends_of(training, 3)] == [0, 20, 1000]
    assert [s.step for s in ends_of(training)] == [0, 30, 1000]
    assert [s.step for s in ends_of(training, 11)] == [0, 1000]


def test_the_command_puts_some_snapshots_side_by_side(tmp_path, capsys):
    asked = ["clip", "CBAABC", "--snapshots", "1000,0,30", "--model", "sorter", "--step", "pattern", "--layer", "1"]
    assert cli.main([*asked, "--out", str(tmp_path / "a.svg")]) == 0
    assert "3 of 12 snapshots, steps 0 to 1,000" in capsys.readouterr().out
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    at = [drawn.index(words) for words in ("Before its training", "After 30 steps", "After 1,000 steps")]
    assert at == sorted(at)


@pytest.mark.parametrize(
    ("steps", "words"),
    [("31", "no snapshot after 31 steps"), ("a", "must be steps of the training"), ("", "must be steps"),
     ("0,10,15,20,25", "do not fit side by side")],
)  # fmt: skip
def test_snapshots_that_are_not_there_are_told(tmp_path, capfd, steps, words):
    asked = ["clip", "CBA", "--snapshots", steps, "--model", "sorter", "--step", "pattern"]
    assert cli.main([*asked, "--out", str(tmp_path / "a.svg")]) == 2
    assert words in capfd.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_list_of_figures_names_snapshots(tmp_path):
    listing = tmp_path / "figures.toml"
    rows = [
        f'[[figure]]\nname = "{name}-{step}"\nmodel = "sorter@{step}"\nstep = "{name}"\n'
        for step in (0, 30)
        for name in ("training", "lens", "blocks.1.attn.pattern")
    ]
    rows.append(
        '[[figure]]\nname = "pair"\nmodel = "sorter@30"\nbeside = "sorter@0"\ncompare = "pair"\n'
        'step = "blocks.1.attn.pattern"\n'
    )
    defaults = '[defaults]\nformat = "svg"\nprompt = "CBAABC"\ndata = "csv"\n'
    listing.write_text(defaults + "".join(rows), encoding="utf-8")
    assert cli.main(["build", str(listing), "--jobs", "1"]) == 0
    drawn = (tmp_path / "training-30.svg").read_text(encoding="utf-8")
    assert "After 30 steps" in drawn and "0.5720 here" in drawn
    assert "this model" in (tmp_path / "pair.svg").read_text(encoding="utf-8")
    for step in (0, 30):
        scene = views_of(training_of(SORTER), some_of(training_of(SORTER), [step]), "lens", Asked(IDS), State())
        alone = data_csv(frames_of(scene)[0])
        assert (tmp_path / f"lens-{step}.csv").read_bytes() == alone
