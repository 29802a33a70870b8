"""Films: one frame per step, each shown as long as asked, and the same bytes each time."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from desktop_app.figures.deck import film
from desktop_app.figures.deck.walk import choose, slides
from desktop_app.gpt2.errors import ExportError
from tests.scenes import scene_of

STEPS = ["tokens", "blocks.0.attn.pattern", "probabilities"]


@pytest.fixture(scope="module")
def frames(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    walk = list(slides(scene_of(tiny, "The cat"), choose(tiny.config, STEPS)))
    return {
        kind: [folder / film.draw_frame(slide.job, "dark", kind, folder, f"{kind}{n}") for n, slide in enumerate(walk)]
        for kind in ("gif", "webp")
    }


@pytest.mark.parametrize(("kind", "seconds", "each"), [("gif", 3.0, 3000), ("webp", 3.0, 3000), ("gif", 0.25, 250)])
def test_a_film_has_a_frame_a_step_each_as_long_as_asked(frames, tmp_path, kind, seconds, each):
    path = tmp_path / f"walk.{kind}"
    film.write(kind, frames[kind], seconds, path)
    with Image.open(path) as shown:
        assert (shown.n_frames, shown.size) == (3, film.SIZE)
        durations = []
        for n in range(3):
            shown.seek(n)
            shown.load()
            durations.append(shown.info["duration"])
            with Image.open(frames[kind][n]) as drawn:
                colours = [np.asarray(i.convert("RGB").resize((64, 36)), int) for i in (shown, drawn)]
            assert np.abs(colours[0] - colours[1]).max() < 24
        assert durations == [pytest.approx(each, abs=10)] * 3 and shown.info["loop"] == 0
    again = tmp_path / f"again.{kind}"
    film.write(kind, frames[kind], seconds, again)
    assert again.read_bytes() == path.read_bytes()


def test_a_step_that_needs_a_higher_page_is_made_smaller_not_cut(tiny, tmp_path):
    tall = Image.new("RGB", (1280, 1440), "red")
    fitted = film._fitted(tall, "#17181b")
    assert fitted.size == film.SIZE
    assert fitted.getpixel((640, 700)) == (255, 0, 0) and fitted.getpixel((5, 5)) == (0x17, 0x18, 0x1B)


def test_without_ffmpeg_an_mp4_names_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ExportError, match=re.escape("pip install 'logitscope[video]'")):
        film.find_ffmpeg()


def test_an_mp4_lasts_as_long_as_its_steps(frames, tmp_path):
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "walk.mp4"
    film.write("mp4", frames["webp"], 0.5, path, film.find_ffmpeg())
    command = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=width,height,nb_read_frames,duration",
    ]
    told = subprocess.run([*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True)
    width, height, duration, count = told.stdout.strip().split(",")
    assert (int(width), int(height)) == film.SIZE and float(duration) == pytest.approx(1.5, abs=0.11)
    assert int(count) == pytest.approx(15, abs=1)
    again = tmp_path / "again.mp4"
    film.write("mp4", frames["webp"], 0.5, again, film.find_ffmpeg())
    assert again.read_bytes() == path.read_bytes()


def test_what_ffmpeg_says_is_told(frames, tmp_path):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ExportError, match="Unknown encoder libx264"):
        film.write("mp4", frames["webp"], 1, tmp_path / "walk.mp4", str(program))
    with pytest.raises(ExportError, match="cannot be run"):
        film.write("mp4", frames["webp"], 1, tmp_path / "walk.mp4", str(tmp_path / "gone"))
