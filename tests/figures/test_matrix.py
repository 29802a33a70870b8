"""Every kind of figure in every format, theme and length of text: clear words, the asked size, a bar for colours."""

import re
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from desktop_app.core.panels import (
    AtlasPanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    ShadedPanel,
    SheetPanel,
    StripsPanel,
)
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import STEPS
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures import draw, fonts
from desktop_app.figures.export import FORMATS, SIZES, Options, lay_out, make_job, render
from desktop_app.figures.marks import Heat, Words
from desktop_app.figures.subject import find_cell, find_subject, subject_job
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.sampling import Sampling
from tests.figures.boxes import faint, faults
from tests.scenes import open_tiny, panels, scene_of, shown_steps

LAYER, HEAD = 1, 2
COUNTS = (1, 8, 40, 250)
TEXT = "The fluffy blue creature; “Straße”, naïve 中文 🙂 שלום \t\u200b and <|endoftext|>. " * 9
COLOURED = StripsPanel | MapPanel | MultiplesPanel | AtlasPanel | ShadedPanel
NAMES = (
    [step.op for step in STEPS]
    + [f"@{spec.key}" for spec in WORKSPACES if spec.keys]
    + [f"@heads {shows}" for shows in ("scores", "one", "rollout")]
    + [
        *("overview:blocks.1.attn.pattern", "census", "check", "weights:blocks.1.attn.W_Q", "weights:embed.W_E"),
        *("weights:blocks.0.ln1.w", "blocks.1.attn.pattern[1,0,0]", "blocks.1.attn.q[0,0,1]", "blocks.1.mlp.post[0,3]"),
        *("blocks.1.ln1.mean[0,0]", "logits[0,4]", "probability[5]"),
    ]
)


@pytest.fixture(scope="module")
def job_of(tmp_path_factory):
    """(name, count) -> the figure of that name for so many tokens."""
    model = open_tiny(tmp_path_factory.mktemp("models") / "tiny")
    ids = model.tokenizer.encode(TEXT).ids

    @cache
    def scene(count):
        cut = ids[:count]
        sampling = Sampling(temperature=1.5, top_k=40, top_p=0.9)
        return scene_of(model, model.tokenizer.decode(cut), cut, layer=LAYER, head=HEAD, sampling=sampling)

    @cache
    def job(name, count):
        own = scene(count)
        if name.startswith("@"):
            key, _, shows = name[1:].partition(" ")
            shown = replace(own, state=with_option(own.state, key, shows)) if shows else own
            return subject_job(find_subject(key, own.config), model, shown)
        step = next((s for s in shown_steps(own.config, LAYER) if s.spec.op == name), None)
        if step is not None:
            return make_job(own, step)
        find = find_cell if "[" in name else find_subject
        return subject_job(find(name, own.config), model, own)

    return job


@pytest.mark.parametrize(
    ("name", "count"),
    [(n, c) for n in NAMES for c in COUNTS if c == 8 or not n.startswith(("census", "check", "weights"))],
)
def test_words_are_on_the_page_apart_and_legible_in_every_format_and_theme(job_of, name, count):
    job = job_of(name, count)
    for kind in FORMATS:
        sheet = lay_out(job, Options(kind))
        assert faults(sheet.marks, sheet.width, sheet.height) == [], kind
    for theme in THEMES:
        sheet = lay_out(job, Options("png", theme=theme))
        assert faint(sheet.marks, THEMES[theme].background) == [], theme


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_in_colours_has_a_bar_that_says_which(job_of, name):
    job = job_of(name, 40)
    coloured = [
        p for p in panels(job.view.content) if isinstance(p, COLOURED) or (isinstance(p, GridPanel) and not p.small)
    ]
    marks = lay_out(job, Options()).marks
    bars = [m for m in marks if isinstance(m, Heat) and m.fractions.shape == (1, 64)]
    sheets = [p for p in panels(job.view.content) if isinstance(p, SheetPanel)]
    assert len(bars) == len(coloured) + 2 * len(sheets)  # a sheet has one for patterns and one for the others


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("points", [6, 9.5, 14])
def test_the_font_size_that_was_asked_for_holds_whatever_the_page(job_of, size, points):
    for name in ("pattern", "mlp.post", "probabilities", "census"):
        job = job_of(name, 8)
        sheet = lay_out(job, Options("pdf", size=size, font_size=points))
        lead = next(m for m in sheet.marks if isinstance(m, Words) and job.view.lead.startswith(m.text))
        assert lead.size == pytest.approx(points)
        assert sheet.width == SIZES[size].width
        assert faults(sheet.marks, sheet.width, sheet.height) == []


def test_the_font_size_stands_in_the_file(job_of):
    job = job_of("pattern", 8)
    root = ElementTree.fromstring(render(job, Options("svg", size="page", font_size=7.5)))
    assert root.get("width").endswith("pt")
    assert root.get("viewBox").split()[2] == root.get("width").removesuffix("pt")  # a unit is a point
    lead = next(node for node in root.iter() if node.text and job.view.lead.startswith(node.text[:30]))
    assert re.search(r"font(?:-size)?: (?:\d+ )?7\.5px", lead.get("style"))


@pytest.mark.parametrize("name", ["pattern", "mlp.post", "probabilities", "weights:blocks.1.attn.W_Q", "census"])
def test_the_renderer_s_own_boxes_are_those_that_were_laid_out(job_of, name):
    sheet = lay_out(job_of(name, 8), Options("png", caption=True))
    figure = draw.make_figure(sheet.marks, sheet.width, sheet.height, THEMES["light"])
    zoom = 4  # letters are measured in whole pixels
    figure.dpi = 72 * zoom
    renderer = FigureCanvasAgg(figure).get_renderer()
    words = [m for m in sheet.marks if isinstance(m, Words)]
    boxes = []
    with draw._our_settings():
        for mark, text in zip(words, figure.axes[0].texts, strict=True):
            x0, y0, x1, y1 = text.get_window_extent(renderer).extents / zoom
            if mark.angle == 0 and mark.text.strip():
                ours = fonts.width(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
                assert 0.8 * ours - 2 < x1 - x0 < ours * 1.02 + 1, mark.text  # of ink, so a little less
                boxes.append((x0, y0, x1, y1))
            assert -1 <= x0 < x1 <= sheet.width + 1
            assert -1 <= y0 < y1 <= sheet.height + 1
    for n, one in enumerate(boxes):
        for other in boxes[n + 1 :]:
            across, down = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
            assert across < 1 or down < 2


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("theme", THEMES)
def test_a_sample_is_drawn_in_every_format_and_theme(job_of, kind, theme):
    start = {"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG"}[kind]
    assert render(job_of("append", 40), Options(kind, theme=theme, dpi=60)).startswith(start)
