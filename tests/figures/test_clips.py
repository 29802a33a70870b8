"""Clips of animated operations, read back by another program: each frame in its order and for its time."""

import numpy as np
import pytest
from PIL import Image

from desktop_app.cli import main
from desktop_app.core.motion.operations import OPERATIONS, motion_of
from desktop_app.figures import clips
from desktop_app.figures.deck.film import SIZE
from desktop_app.figures.export import Options, job_of, lay_out
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError
from tests.figures.boxes import faint, faults
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


def test_the_command_writes_a_storyboard_and_refuses_what_cannot_be(tmp_path, capsys):
    out = tmp_path / "board.svg"
    assert main(["clip", "The cat sat", "--step", "mlp.post", "--layer", "2", "--out", str(out)]) == 0
    assert b"neurons go through the curve" in out.read_bytes()
    assert "24 beats" in capsys.readouterr().out
    for wrong, words in (
        (["--step", "text"], "does not move"),
        (["--step", "scores", "--pace", "99"], "--pace is 99"),
        (["--step", "scores", "--theme", "pink"], "no theme 'pink'"),
        (["--step", "scores", "--head", "99"], "99"),
    ):
        assert main(["clip", "The cat sat", *wrong, "--out", str(tmp_path / "x.gif")]) == 2
        assert words in capsys.readouterr().err
    assert main(["clip", "The cat sat", "--step", "scores", "--out", str(tmp_path / "x.avi")]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["board.svg"]
