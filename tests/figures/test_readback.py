"""Figures read back by other programs: they contain the trace's numbers, and all renderers show the same picture."""

import base64
import io
import os
import re
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.image import imread

from desktop_app.figures import draw
from desktop_app.figures.export import Options, lay_out, make_job, render
from desktop_app.figures.subject import find_subject, subject_job
from desktop_app.figures.theme import LIGHT, rgb
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import open_tiny, scene_of, shown_steps

SVG = "{http://www.w3.org/2000/svg}"
LAYER, HEAD = 1, 2
CLOSE = 5.0  # of 255, averaged over a page: how much two text renderers differ


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def scene(model):
    return scene_of(model, "The cat", layer=LAYER, head=HEAD, sampling=Sampling(temperature=0.8, top_k=30))


def job(scene, op):
    return make_job(scene, next(s for s in shown_steps(scene.config, LAYER) if s.spec.op == op))


def program(*names):
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(names)}")
    return found


def pixels_of(data):
    return (imread(io.BytesIO(data))[..., :3] * 255).round()


# Numbers


def cells_of(root, width):
    """(x, y, #rrggbb) of the middle of every square of about this width among the paths of an SVG file."""
    for path in root.iter(SVG + "path"):
        style = re.search(r"fill: (#[0-9a-f]{6})", path.get("style", ""))
        numbers = [float(v) for v in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
        if style and len(numbers) in (8, 10):
            x, y = numbers[0:8:2], numbers[1:8:2]
            if abs(max(x) - min(x) - width) < 0.6 and abs(max(y) - min(y) - width) < 0.6:
                yield sum(x[:4]) / 4, sum(y[:4]) / 4, style[1]


def test_the_colours_of_a_grid_stand_for_the_numbers_of_the_trace(model, scene):
    """Each cell's colour is converted back to a number by the scale, and compared with the pattern's number."""
    made = subject_job(find_subject("overview:blocks.1.attn.pattern", scene.config), model, scene)
    root = ElementTree.fromstring(render(made, Options("svg")))
    found = [c for width in np.arange(6, 60, 0.5) for c in cells_of(root, width)]
    cells = sorted(set(found))
    heads, count = scene.trace["blocks.1.attn.pattern"].shape[:2]
    assert len(cells) == heads * count * (count + 1) // 2
    table = LIGHT.table(False).astype(int)

    def number(colour):
        distance = np.abs(table - np.array(rgb(colour))).sum(1)
        assert distance.min() == 0
        return float(np.flatnonzero(distance == 0).mean()) / 255

    across = np.unique(np.round([x for x, _, _ in cells], 2))
    steps = np.diff(across)
    size = steps.min()
    starts = [float(group[0]) for group in np.split(across, np.flatnonzero(steps > 1.1 * size) + 1)]
    top = min(y for _, y, _ in cells)
    assert len(starts) == heads
    for x, y, colour in cells:
        head = max(n for n, start in enumerate(starts) if x >= start - 0.1)
        row, column = round((y - top) / size), round((x - starts[head]) / size)
        assert abs(number(colour) - scene.trace["blocks.1.attn.pattern"][head, row, column]) < 1.01 / 255


def test_the_numbers_in_the_cells_of_a_grid_are_the_trace_s(scene):
    root = ElementTree.fromstring(render(job(scene, "pattern"), Options("svg", size="poster")))
    pattern = scene.trace["blocks.1.attn.pattern"][HEAD]
    expected = sorted(float(pattern[q, k]) for q in range(len(pattern)) for k in range(q + 1))
    cell = re.compile(r"(\d\.\d+)(?:·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?")
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    texts = [cell.fullmatch(node.text or "") for node in root.iter(SVG + "text")]
    found = sorted(float(m[1]) * 10.0 ** int((m[2] or "0").translate(digits)) for m in texts if m)
    assert found == pytest.approx(expected, rel=0.05), "two digits of each, however small"


def test_bars_are_as_long_as_the_probabilities_that_they_stand_for(scene):
    root = ElementTree.fromstring(render(job(scene, "probabilities"), Options("svg")))
    logits = scene.trace["logits"][-1].astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    expected = np.sort(probabilities / probabilities.sum())[::-1][:10]
    lengths = []
    for path in root.iter(SVG + "path"):
        if f"fill: {LIGHT.hues[job_hue()]}" in path.get("style", ""):
            x = [float(v) for v in re.findall(r"-?\d+\.?\d*", path.get("d"))[0::2]]
            lengths.append(max(x) - min(x))
    assert np.array(lengths[:10]) / lengths[0] == pytest.approx(expected / expected[0], abs=0.01)


def job_hue():
    from desktop_app.core.panels import Hue

    return Hue.RESIDUAL


# Fonts


def test_an_svg_file_carries_the_faces_that_its_words_need(scene):
    data = render(job(scene, "pattern"), Options("svg")).decode()
    faces = re.findall(
        r"@font-face\{font-family:'([^']+)';font-weight:(\d+);src:url\(data:font/ttf;base64,([^)]+)\)", data
    )
    assert {(name, weight) for name, weight, _ in faces} >= {
        ("Inter", "400"),
        ("Inter", "600"),
        ("JetBrains Mono", "400"),
    }
    known = {}
    for name, weight, encoded in faces:
        with TTFont(io.BytesIO(base64.b64decode(encoded))) as font:
            known[name, weight] = set(font.getBestCmap())
            assert len(font.getGlyphOrder()) < 200
    letters = set(map(ord, "".join(n.text or "" for n in ElementTree.fromstring(data).iter(SVG + "text"))))
    assert letters <= set.union(*known.values())


def test_a_browser_without_the_fonts_shows_the_same_letters(scene, tmp_path):
    """Chromium with only DejaVu draws an SVG file like our PNG, since the file embeds its fonts."""
    browser = program("chromium", "chromium-browser", "google-chrome")
    made = job(scene, "probabilities")
    (tmp_path / "f.svg").write_bytes(render(made, Options("svg")))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,720",
               f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'f.png'}",
               (tmp_path / "f.svg").as_uri()]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, timeout=120, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    if not (tmp_path / "f.png").exists():
        pytest.skip(f"{browser} does not run here: {done.stderr.decode()[-200:]}")
    theirs = pixels_of((tmp_path / "f.png").read_bytes())
    sheet = lay_out(made, Options("svg"))
    figure = draw.make_figure(sheet.marks, sheet.width, sheet.height, LIGHT)
    ours = pixels_of(draw.figure_bytes(figure, "png", dpi=96))
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).mean() < CLOSE


@pytest.mark.parametrize("op", ["pattern", "mlp.post"])
def test_a_reader_of_pdf_files_shows_what_the_png_shows(scene, op, tmp_path):
    made = job(scene, op)
    (tmp_path / "f.pdf").write_bytes(render(made, Options("pdf")))
    subprocess.run(
        [program("pdftoppm"), "-png", "-r", "96", "-singlefile", tmp_path / "f.pdf", tmp_path / "f"], check=True
    )
    theirs, ours = pixels_of((tmp_path / "f.png").read_bytes()), pixels_of(render(made, Options("png", dpi=96)))
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).mean() < CLOSE


# Words about the figure


def test_every_format_says_what_it_shows(scene, tmp_path):
    made = job(scene, "pattern")
    svg = ElementTree.fromstring(render(made, Options("svg")))
    assert svg.get("role") == "img"
    assert svg.find(SVG + "title").text == made.view.title
    assert svg.find(SVG + "desc").text == made.description
    (tmp_path / "f.pdf").write_bytes(render(made, Options("pdf")))
    told = subprocess.run([program("pdfinfo"), tmp_path / "f.pdf"], capture_output=True, check=True).stdout.decode()
    assert made.view.title in told
    assert "The cat" in told
    png = render(made, Options("png", dpi=72))
    assert made.description[:20].encode() in png
