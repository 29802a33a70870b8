"""A deck rendered by LibreOffice: every slide has its title and its numbers."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from desktop_app.figures.deck.template import read_template
from desktop_app.figures.deck.walk import choose, slides
from tests.deck.test_template import default_deck
from tests.scenes import scene_of

STEPS = ["tokens", "blocks.1.attn.pattern", "probabilities"]


def rendered(path):
    """(words of each page, each page as pixels), as LibreOffice and poppler draw it."""
    for program in ("soffice", "pdftoppm", "pdftotext"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = path.parent
    home = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = ["soffice", home, "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(path)]
    subprocess.run(command, capture_output=True, timeout=180, check=True)
    pdf = path.with_suffix(".pdf")
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    subprocess.run(["pdftoppm", "-r", "40", "-png", str(pdf), str(folder / "page")], check=True)
    pages = [np.asarray(Image.open(p).convert("RGB"), int) for p in sorted(folder.glob("page-*.png"))]
    return text.split("\f")[: len(pages)], pages


@pytest.mark.parametrize("departments", [False, True])
def test_libreoffice_draws_every_slide_with_title_pictures_and_numbers(build, tiny, tmp_path, departments):
    scene = scene_of(tiny, "The cat sat")
    design = read_template(_saved(tmp_path)) if departments else None
    path = build(scene, STEPS, drawn=True, design=design)
    words, pages = rendered(path)
    walk = list(slides(scene, choose(scene.config, STEPS)))
    assert len(pages) == len(walk)
    for text, pixels, slide in zip(words, pages, walk, strict=True):
        assert " ".join(slide.title.split()) in " ".join(text.split())
        ground = pixels[3 * len(pixels) // 4, 2]
        assert (np.abs(pixels - ground).max(axis=2) > 40).mean() > 0.02, "something is on it"
    row = scene.trace["blocks.1.attn.pattern"][0, 5, :3]
    assert all(f"{value:.2f}" in words[1] for value in row)


def _saved(folder):
    (folder / "dept.pptx").write_bytes(default_deck())
    return folder / "dept.pptx"
