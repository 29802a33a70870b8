"""Clips of animated operations, read back by another program: each frame in its order and for its time."""

import numpy as np
import pytest
from PIL import Image

from desktop_app.cli import main
from desktop_app.core.motion.operations import OPERATIONS, motion_of
from desktop_app.core.panels import View
from desktop_app.figures import clips
from desktop_app.figures.deck.film import SIZE
from desktop_app.figures.export import Options, job_of, lay_out
from desktop_app.figures.marks import Heat, Path, Words
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError
from tests.figures.boxes import crossed, faint, faults
from tests.scenes import open_tiny, scene_of, shown_steps

MOVING = [op for row in OPERATIONS for op in row.steps]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scene_of(open_tiny(tmp_path_factory.mktemp("models") / "tiny"), layer=1, head=2, token=20)


def motion(scene, op):
    return motion_of(scene, next(s for s in shown_steps(scene.config, 1) if s.spec.op == op))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_clip_has_its_frames_for_its_time_and_ends_as_the_motion_does(scene, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(clips, "RATE", 2)
    found = motion(scene, "draw")
    times = clips.clip_times(found, 1.0)
    out = tmp_path / f"clip.{kind}"
    told = []
    made = []

    def figure(time):
        made.append(time)
        return clips.moment(found, "a caption")(time)

    clips.write_clip(times, figure, out, seconds=0.5, progress=lambda done, count: told.append((done, count)))
    with Image.open(out) as film:
        assert film.size == SIZE
        total, frames = 0, []
        for n in range(film.n_frames):
            film.seek(n)
            film.load()
            total += film.info["duration"]
            frames.append(np.asarray(film.convert("RGB")).copy())
    assert total == 500 * len(times)
    assert not np.array_equal(frames[0], frames[-1])
    assert told[-1] == (len(set(times)), len(set(times)))
    assert made == list(dict.fromkeys(times)), "each distinct moment once, none before it is drawn"


def test_what_is_no_clip_or_too_long_a_one_is_refused(scene, tmp_path):
    found = motion(scene, "scores")
    with pytest.raises(ExportError, match=r"ends in \.gif, \.webp or \.mp4"):
        clips.write_clip([0.0], clips.moment(found, ""), tmp_path / "clip.avi")
    with pytest.raises(ExportError, match="choose a higher pace"):
        clips.clip_times(found, 0.01)
    with pytest.raises(ExportError, match="at least one frame"):
        clips.write_clip([], clips.moment(found, ""), tmp_path / "clip.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("op", MOVING)
def test_a_moment_and_a_storyboard_have_words_apart_and_legible(scene, op):
    found = motion(scene, op)
    for view in (found.view(found.length * 0.4), found.storyboard()):
        job = job_of(view, "")
        for theme in ("light", "dark"):
            sheet = lay_out(job, Options("png", theme=theme))
            assert faults(sheet.marks, sheet.width, sheet.height) == []
            assert faint(sheet.marks, THEMES[theme].background) == []


def standing(view):
    """Where the cells of a view are, where its bars begin, and the numbers on its axes."""
    sheet = lay_out(job_of(view, ""), Options("png"))
    cells = [mark.rect for mark in sheet.marks if isinstance(mark, Heat) and len(mark.fractions) * mark.rect.h > 8]
    axes = [
        (float(m.x[0]), float(m.y[0]))
        for m in sheet.marks
        if isinstance(m, Path) and len(m.x) == 2 and m.x[0] == m.x[1]
    ]
    return [tuple(round(v, 2) for v in (r.x, r.y, r.w, r.h)) for r in cells], sorted({round(x, 2) for x, _ in axes})


STANDING = [op for op in MOVING if op not in ("draw", "probabilities")]  # there the marker on the ruler moves


@pytest.mark.parametrize(("op", "by"), [(op, by) for op in STANDING for by in ("cell", "row")])
def test_what_does_not_change_stays_in_its_place_while_beats_move(scene, op, by):
    found = motion_of(scene, next(s for s in shown_steps(scene.config, 1) if s.spec.op == op), by)
    for n in (0, len(found.beats) // 2, len(found.beats) - 1):
        beat = [standing(found.view(n + share)) for share in (0.01, 0.5, 0.99)]
        assert beat[0] == beat[1] == beat[2]
    first, last = (standing(found.view(time)) for time in (0.01, found.length))
    assert first[0] == last[0], "the labels of all beats have room from the first"


def test_the_vectors_of_a_product_stand_below_each_other(scene):
    for op in ("scores", "mlp.pre", "z", "resid_mid"):
        cells, _ = standing(motion(scene, op).view(0.5))
        vectors = [cell for cell in cells if cell[3] > 8]
        assert len(vectors) == 3 and len({(x, w) for x, _, w, _ in vectors}) == 1


def test_the_name_of_a_neuron_covers_the_curve_nowhere(scene):
    found = motion(scene, "mlp.post")
    for view in (found.storyboard(), *(View("", "", beat.panels(1.0)) for beat in found.beats[::4])):
        sheet = lay_out(job_of(view, ""), Options("png"))
        names = [m for m in sheet.marks if isinstance(m, Words) and "→" in m.text]
        curves = [m for m in sheet.marks if isinstance(m, Path) and len(m.x) > 100]
        assert names and crossed(names, curves) == []


def test_the_command_writes_a_storyboard_and_refuses_what_cannot_be(tmp_path, capsys):
    out = tmp_path / "board.svg"
    assert main(["clip", "The cat sat", "--step", "mlp.post", "--layer", "2", "--out", str(out)]) == 0
    assert b"neurons go through the curve" in out.read_bytes()
    assert "24 beats" in capsys.readouterr().out
    for wrong, words in (
        (["--step", "text"], "has no animation"),
        (["--step", "scores", "--pace", "99"], "--pace is 99"),
        (["--step", "scores", "--theme", "pink"], "no theme 'pink'"),
        (["--step", "scores", "--head", "99"], "99"),
    ):
        assert main(["clip", "The cat sat", *wrong, "--out", str(tmp_path / "x.gif")]) == 2
        assert words in capsys.readouterr().err
    assert main(["clip", "The cat sat", "--step", "scores", "--out", str(tmp_path / "x.avi")]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["board.svg"]
