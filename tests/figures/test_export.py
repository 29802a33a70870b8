"""Files of figures, read back by other programs: real text, embedded fonts, exact sizes, the same bytes every time."""

import io
import logging
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.image import imread

from desktop_app.core.caption import caption
from desktop_app.core.panels import GridPanel, View, column
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import STEPS
from desktop_app.figures import fonts
from desktop_app.figures.export import SIZES, Job, Options, Sheet, kind_of, lay_out, make_job, render, write
from desktop_app.figures.marks import Heat
from desktop_app.figures.theme import THEMES, rgb
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import BUNDLED, CONFIG, open_tiny, panels, scene_of, shown_steps

ROOT = Path(__file__).resolve().parents[2]
OPS = [step.op for step in STEPS]
SVG = "{http://www.w3.org/2000/svg}"
LAYER = 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def silence(caplog):
    """Check that nothing is logged while a figure is made; warnings fail a test anyway."""
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.records == []


def job(model, op="pattern", text="The cat sat", **state):
    scene = scene_of(model, text, layer=LAYER, **state)
    return make_job(scene, next(s for s in shown_steps(scene.config, LAYER) if s.spec.op == op))


def program(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian: apt install {'librsvg2-bin' if 'rsvg' in name else 'poppler-utils'})")
    return found


def svg_words(data):
    return [node.text for node in ElementTree.fromstring(data).iter(SVG + "text")]


def pdf_words(data, tmp_path):
    (tmp_path / "f.pdf").write_bytes(data)
    done = subprocess.run([program("pdftotext"), "-raw", tmp_path / "f.pdf", "-"], capture_output=True, check=True)
    return done.stdout.decode()


def pixels_of(data):
    return (imread(io.BytesIO(data))[..., :3] * 255).round()


# SVG


@pytest.mark.parametrize("op", OPS)
def test_the_words_of_an_svg_file_are_text(tiny, op):
    made = job(tiny, op)
    data = render(made, Options("svg"))
    words = svg_words(data)
    assert made.view.title in words
    assert any(made.caption.startswith(text.rstrip()) for text in words)
    root = ElementTree.fromstring(data)
    assert root.get("width") == "960pt"
    assert not root.findall(f".//{SVG}script")
    sheet = lay_out(made, Options("svg"))
    assert len(words) == sum(1 for m in sheet.marks if type(m).__name__ == "Words")


def test_every_token_stands_in_the_svg_file_as_it_is_labelled(tiny):
    scene = scene_of(tiny, "a $_{x}$ & <b> \\frac")
    words = svg_words(render(job(tiny, "tokens", "a $_{x}$ & <b> \\frac"), Options("svg")))
    for label in scene.labels:
        assert label in words


def test_dollars_are_no_mathematics(tiny, tmp_path):
    text = "cost $_{x}^2$ and \\alpha $5"
    made = job(tiny, "text", text)
    assert any(f"“{text}”" in words for words in svg_words(render(made, Options("svg"))))
    assert text in pdf_words(render(made, Options("pdf")), tmp_path).replace("\n", " ")


def test_an_svg_file_describes_itself(tiny):
    made = job(tiny)
    data = render(made, Options("svg")).decode()
    assert f"<dc:title>{made.view.title}</dc:title>" in data
    assert "The cat sat" in data.split("<dc:description>")[1].split("</dc:description>")[0]
    assert "<dc:date>" not in data


def test_an_svg_file_asks_for_no_ligatures_and_keeps_spaces(tiny):
    data = render(job(tiny), Options("svg"))
    style = ElementTree.fromstring(data).find(f".//{SVG}style").text
    assert "font-variant-ligatures:none" in style
    assert "white-space:pre" in style


def test_families_end_in_what_every_viewer_has(tiny):
    data = render(job(tiny), Options("svg")).decode()
    found = set(re.findall(r"font-family: ([^;\"]*)", data))
    assert found == {
        "'Inter', 'DejaVu Sans', sans-serif",
        "'JetBrains Mono', 'DejaVu Sans Mono', monospace, 'Inter', 'DejaVu Sans', sans-serif",
    }


def test_small_grids_are_cells_and_large_ones_pictures(tiny):
    small = render(job(tiny), Options("svg"))
    assert small.count(b"<image") == 0
    large = render(job(tiny, "pattern", "x" * 120), Options("svg"))
    assert large.count(b"<image") >= 1
    assert len(large) < 1_500_000


@pytest.mark.parametrize("op", ["pattern", "mlp.post", "probabilities", "tokens"])
def test_another_program_draws_the_svg_file_as_we_draw_the_png(tiny, op, tmp_path):
    made = job(tiny, op)
    converter = program("rsvg-convert")
    (tmp_path / "f.svg").write_bytes(render(made, Options("svg")))
    command = [converter, "--dpi-x", "144", "--dpi-y", "144", tmp_path / "f.svg", "-o", tmp_path / "f.png"]
    subprocess.run(command, check=True, capture_output=True)
    theirs = pixels_of((tmp_path / "f.png").read_bytes())
    ours = pixels_of(render(made, Options("png", dpi=144)))
    assert theirs.shape == ours.shape == (1080, 1920, 3)
    assert np.abs(theirs - ours).mean() < 4


# PDF


@pytest.mark.parametrize("text", ["The cat sat", "Grüße, Привет, Ωμέγα"])
def test_a_pdf_file_embeds_its_fonts(tiny, tmp_path, text):
    (tmp_path / "f.pdf").write_bytes(render(job(tiny, "text", text), Options("pdf")))
    listed = subprocess.run([program("pdffonts"), tmp_path / "f.pdf"], capture_output=True, check=True, text=True)
    rows = listed.stdout.splitlines()[2:]
    assert any("Inter" in row for row in rows)
    assert any("JetBrainsMono" in row for row in rows)
    for row in rows:
        assert "TrueType" in row
        assert re.search(r"\s(yes|no) (yes|no) (yes|no)\s+\d+\s+\d+$", row)[1] == "yes", row


def test_the_words_of_a_pdf_file_can_be_copied(tiny, tmp_path):
    made = job(tiny, "probabilities", "naïve café")
    words = pdf_words(render(made, Options("pdf")), tmp_path)
    assert "What the model says" in words
    assert "naïve café" in words


def test_a_pdf_page_has_the_size_that_was_asked_for(tiny, tmp_path):
    for size in ("half", "column"):
        data = render(job(tiny, "logits"), Options("pdf", size=size))
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", data).groups()
        sheet = lay_out(job(tiny, "logits"), Options("pdf", size=size))
        assert tuple(map(float, box)) == pytest.approx((sheet.width, sheet.height), abs=0.01)
        assert sheet.width == SIZES[size].width


# PNG


def png_chunks(data):
    at, found = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.setdefault(data[at + 4 : at + 8].decode(), []).append(data[at + 8 : at + 8 + length])
        at += 12 + length
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dpi", [72, 96, 200])
def test_a_png_file_has_as_many_pixels_as_were_asked_for(tiny, size, dpi):
    made, options = job(tiny, "logits"), Options("png", size=size, dpi=dpi)
    data = render(made, options)
    width, height = struct.unpack(">II", png_chunks(data)["IHDR"][0][:8])
    sheet = lay_out(made, options)
    assert abs(width - sheet.width * dpi / 72) <= 1
    assert abs(height - sheet.height * dpi / 72) <= 1
    (physical,) = png_chunks(data)["pHYs"]
    assert struct.unpack(">I", physical[:4])[0] == pytest.approx(dpi / 0.0254, abs=1)


def test_a_png_file_describes_itself_and_has_no_date(tiny):
    chunks = png_chunks(render(job(tiny), Options("png", dpi=72)))
    texts = b"".join(chunks.get("tEXt", []) + chunks.get("iTXt", []) + chunks.get("zTXt", []))
    assert b"Logitscope" in texts
    assert b"Description" in texts
    assert "tIME" not in chunks
    assert b"Date" not in texts


def test_a_slide_is_16_by_9():
    assert SIZES["slide"].width / SIZES["slide"].height == pytest.approx(16 / 9)


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_has_the_theme_s_background_unless_it_is_transparent(tiny, theme):
    plain = pixels_of(render(job(tiny), Options("png", theme=theme, dpi=72)))
    assert tuple(plain[2, 2]) == rgb(THEMES[theme].background)
    clear = imread(io.BytesIO(render(job(tiny), Options("png", theme=theme, dpi=72, transparent=True))))
    assert clear[2, 2, 3] == 0
    assert clear[..., 3].max() == 1


def test_a_bright_diagonal_of_a_long_prompt_is_still_on_the_slide(tiny):
    """A head in which every token attends to itself: the diagonal must cross the picture without a gap."""
    made = job(tiny, "pattern", "x" * 250)
    large = next(p for p in panels(made.view.content) if isinstance(p, GridPanel) and not p.small)
    grid = np.full((2000, 2000), 0.0)
    np.fill_diagonal(grid, 1.0)
    grid[np.triu_indices(2000, 1)] = np.nan
    panel = replace(large, values=grid, labels=("x",) * 2000, selected=None, source=None)
    content = replace(made.view.content, children=(panel,), wide=None, weights=())
    options = Options("png", theme="print", dpi=72, caption=False)
    shown = replace(made, view=replace(made.view, content=content))
    data = pixels_of(render(shown, options))
    dark = np.abs(data - rgb(THEMES["print"].sequential_stops[-1])).sum(-1) < 60
    box = max((m.rect for m in lay_out(shown, options).marks if isinstance(m, Heat)), key=lambda r: r.h)
    cut = dark[round(box.y) : round(box.y + box.h), round(box.x) : round(box.x + box.w)]
    assert cut.any(0).mean() > 0.99
    assert cut.any(1).mean() > 0.99


# The same bytes


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
@pytest.mark.parametrize("op", ["pattern", "mlp.post"])
def test_the_same_figure_has_the_same_bytes(tiny, kind, op):
    assert render(job(tiny, op), Options(kind, dpi=72)) == render(job(tiny, op), Options(kind, dpi=72))


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_nobody_s_matplotlib_settings_change_a_figure(tiny, kind, monkeypatch):
    plain = render(job(tiny, "mlp.post"), Options(kind, dpi=72))
    theirs = {
        "lines.linewidth": 9,
        "patch.linewidth": 9,
        "lines.solid_capstyle": "round",
        "text.color": "red",
        "font.family": ["serif"],
        "font.sans-serif": ["Comic Sans"],
        "axes.facecolor": "red",
        "figure.facecolor": "red",
        "savefig.facecolor": "red",
        "savefig.pad_inches": 3,
        "savefig.bbox": "tight",
        "savefig.dpi": 11,
        "image.interpolation": "bilinear",
        "image.resample": False,
        "text.usetex": True,
        "svg.fonttype": "path",
        "svg.hashsalt": None,
        "pdf.fonttype": 3,
        "pdf.compression": 0,
        "path.sketch": (1, 2, 3),
        "figure.autolayout": True,
    }
    with mpl.rc_context(theirs):
        assert render(job(tiny, "mlp.post"), Options(kind, dpi=72)) == plain
        assert mpl.rcParams["text.usetex"] is True  # and the user's settings are unchanged


def test_another_process_makes_the_same_bytes(tiny):
    program = (
        "import sys, zlib; from pathlib import Path; from desktop_app.core.model import open_model;"
        "from tests.figures.test_export import job; from desktop_app.figures.export import *;"
        "m = open_model(Path(sys.argv[1]));"
        "print([zlib.crc32(render(job(m), Options(k, dpi=72))) for k in ('svg', 'pdf', 'png')])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo", "LANG": "de_DE"}
    command = [sys.executable, "-c", program, str(tiny.folder)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ours = [zlib.crc32(render(job(tiny), Options(kind, dpi=72))) for kind in ("svg", "pdf", "png")]
    assert done.stdout.strip() == str(ours)


# Texts that no font can show, and invalid text


STRANGE = (
    "🙂👩‍👩‍👧 中文 日本語 العربية שלום e\u0301 \u0301x \x00\x01\x1b[31m\x7f\x9f \u200b\u202eabc\ufeff \ue000\U0010ffff"
)
UNSEEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ufeff\ue000\U0010ffff]"


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
@pytest.mark.parametrize("op", ["text", "append"])
def test_characters_without_a_glyph_are_written_out_and_nothing_complains(tiny, op, kind):
    data = render(job(tiny, op, STRANGE), Options(kind, dpi=72))
    assert len(data) > 5000
    if kind == "svg":
        words = "".join(svg_words(data))
        assert not re.search(UNSEEN, words)
        assert "\\u{10ffff}" in words


@pytest.mark.parametrize("mono", [False, True])
def test_every_character_has_a_glyph_or_is_written_out(mono):
    for char in STRANGE:
        shown = fonts.shown(char, mono, False)
        assert shown in (char, f"\\u{{{ord(char):x}}}")
        assert fonts.width(char, 10, mono=mono) > 0 or char == "\u0301"
    assert fonts.shown("plain text, naïve → −1 · Ωδ", mono, False) == "plain text, naïve → −1 · Ωδ"


def test_widths_are_those_that_the_font_s_own_table_gives():
    font = TTFont(fonts.font_file(False, False))
    advances, glyphs, unit = font["hmtx"], font.getBestCmap(), font["head"].unitsPerEm
    for text in ("The quick brown fox", "0.0031 %", "−12.5·10⁻⁷"):
        by_hand = sum(advances[glyphs[ord(c)]][0] for c in text) / unit * 13
        assert fonts.width(text, 13) == pytest.approx(by_hand, rel=1e-3)
    assert fonts.width("ab", 20) == pytest.approx(2 * fonts.width("ab", 10))


def test_what_is_not_seen_is_said_in_the_caption(tiny):
    scene = scene_of(tiny, "a\x1b\u202e\u200bb\nc\u00a0d")
    words = caption(scene, next(s for s in shown_steps(scene.config, 0) if s.spec.op == "text"))
    assert words.startswith("“a\\u{1b}\\u{202e}\\u{200b}b c d”")


def test_a_caption_says_prompt_model_place_and_settings(tiny):
    scene = scene_of(
        tiny,
        "one two three " * 9,
        layer=1,
        head=2,
        sampling=Sampling(temperature=0.7, top_k=5, top_p=0.5, seed=4),
        view=ViewOptions(skip_first=True),
    )
    steps = {s.spec.op: s for s in shown_steps(scene.config, 1)}
    assert caption(scene, steps["pattern"]).endswith("126 tokens · tiny · block 1 · head 2 · position 0 left out")
    assert caption(scene, steps["ln2"]).endswith("tiny · block 1")
    assert "temperature 0.7, top-k 5, top-p 0.5, seed 4" in caption(scene, steps["draw"])
    assert "temperature" not in caption(scene, steps["embed"])
    assert " … " in caption(scene, steps["text"])
    assert len(caption(scene, steps["text"])) < 130
    assert "“a” · 1 token · " in caption(scene_of(tiny, "a"), steps["text"])


# Options and files


@pytest.mark.parametrize(
    "options", [{"kind": "gif"}, {"size": "A0"}, {"theme": "pink"}, {"dpi": 35}, {"dpi": 1201}], ids=str
)
def test_options_that_are_not_there_are_refused(options):
    with pytest.raises(ExportError, match="choose"):
        Options(**options)


@pytest.mark.parametrize(("name", "kind"), [("a.svg", "svg"), ("a.b.PDF", "pdf"), ("/x/y.Png", "png")])
def test_the_name_says_the_format(name, kind):
    assert kind_of(Path(name)) == kind


@pytest.mark.parametrize("name", ["a", "a.", ".svg", "a.jpg", "a.svg.gz", "svg"])
def test_a_name_that_says_no_format_is_refused(name):
    with pytest.raises(ExportError, match=r"\.svg"):
        kind_of(Path(name))


def test_a_figure_is_written_whole(tmp_path):
    write(tmp_path / "f.svg", b"figure")
    assert (tmp_path / "f.svg").read_bytes() == b"figure"
    with pytest.raises(ExportError):
        write(tmp_path / "missing" / "f.svg", b"figure")
    assert [p.name for p in tmp_path.iterdir()] == ["f.svg"]


# The whole context


@pytest.mark.parametrize("op", OPS)
def test_a_prompt_that_fills_the_context_has_every_figure(tiny, op):
    ids = [n % CONFIG["vocab_size"] for n in range(CONFIG["n_positions"])]
    scene = scene_of(tiny, "", ids, layer=LAYER)
    made = make_job(scene, next(s for s in shown_steps(scene.config, LAYER) if s.spec.op == op))
    assert render(made, Options("svg", size="page")).endswith(b"</svg>\n")


def test_the_bundled_model_has_figures():
    if not (BUNDLED / "config.json").exists():
        pytest.skip("needs the bundled model, which is not in this checkout")
    from desktop_app.core.model import open_model

    model = open_model(BUNDLED)
    for op in OPS[::3]:
        assert svg_words(render(job(model, op), Options("svg")))


def test_a_png_of_more_pixels_than_memory_is_a_sentence_that_says_what_fits(monkeypatch):
    drawn = []
    monkeypatch.setattr("desktop_app.figures.draw.make_figure", lambda *_, **__: drawn.append(1))
    job = Job(View("A picture", "", column()), "", "")
    high = Sheet(7200.0, 7200.0, ())  # a hundred inches square
    monkeypatch.setattr("desktop_app.figures.export.lay_out", lambda *_: high)
    with pytest.raises(ExportError, match=r"100 by 100 inches, at 300 dpi 900 million pixels.*choose at most 158 dpi"):
        render(job, Options("png", dpi=300))
    assert not drawn


def test_threads_draw_the_same_figure_and_keep_no_font_open(tiny):
    """matplotlib's settings are those of the process, and it keeps the files of fonts open for each thread."""
    figure = job(tiny)
    kinds = ("svg", "pdf", "svg", "png")
    alone = [render(figure, Options(kind, dpi=50)) for kind in kinds]
    kept = font_manager._get_font
    assert kept.cache_info().currsize
    kept.cache_clear()
    together = threading.Barrier(len(kinds))

    def drawn(kind):
        together.wait()
        return render(figure, Options(kind, dpi=50))

    with ThreadPoolExecutor(len(kinds)) as threads:
        assert list(threads.map(drawn, kinds)) == alone
    assert kept.cache_info().currsize == 0
