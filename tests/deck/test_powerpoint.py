"""A deck opened by python-pptx: its numbers are the trace's, and nothing on it lacks words or leaves the slide."""

import io
import re
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.util import Emu

from desktop_app.core.panels import GridPanel
from desktop_app.core.steps import build_view, find_step, step_list
from desktop_app.figures import fonts
from desktop_app.figures.deck.walk import choose, slides
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.marks import Heat, Page, Rect
from desktop_app.figures.theme import THEMES
from tests.scenes import panels_of, scene_of

SVG = "{http://schemas.microsoft.com/office/drawing/2016/SVG/main}svgBlip"
EMBED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}embed"
WORDS = "The cat sat on the mat; the dog did not. " * 8


def opened(path):
    return Presentation(path)


def charts(slide):
    return [shape.chart for shape in slide.shapes if shape.has_chart]


def table_of(slide):
    return next(shape.table for shape in slide.shapes if shape.has_table)


def pictures(slide):
    return [shape for shape in slide.shapes if shape.shape_type == MSO_SHAPE_TYPE.PICTURE]


def shown(text):
    """A cell's number, or None if it is empty."""
    if not text:
        return None
    mantissa, _, power = text.replace("−", "-").replace("∞", "inf").lstrip(">").partition("·10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


def described(shape):
    return shape._element.xpath(".//p:cNvPr")[0].get("descr")


def test_probability_bars_are_a_chart_with_the_softmax_of_the_logits(build, tiny):
    scene = scene_of(tiny, "The cat sat")
    slide = opened(build(scene, ["probabilities"])).slides[0]
    said, drawn = charts(slide)
    logits = scene.trace.logits(10).astype(float)
    softmax = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    order = np.argsort(-softmax, kind="stable")
    values = [v for v in said.plots[0].series[0].values if v is not None]
    np.testing.assert_allclose(values, softmax[order[: len(values)]], rtol=1e-6)
    assert list(said.plots[0].categories)[: len(values)] == [tiny.tokenizer.label(int(t)) for t in order[: len(values)]]
    assert len(drawn.plots[0].series) == 2, "and what they were before the cut"


def test_a_cut_is_a_line_between_bars_and_what_is_cut_is_zero(build, tiny):
    scene = scene_of(tiny, "The cat sat")
    scene = scene_of(tiny, "The cat sat", sampling=scene.state.with_sampling(top_k=3).sampling)
    chart = charts(opened(build(scene, ["top_k"])).slides[0])[1]
    names, (before, now) = list(chart.plots[0].categories), (list(s.values) for s in chart.plots[0].series)
    line = next(n for n, name in enumerate(names) if name.startswith("—"))
    assert line == 3 and now[line] is None and before[line] is None
    assert sum(now[:3]) == pytest.approx(1) and now[4] == 0 and before[4] > 0


def test_the_weights_of_a_query_are_the_patterns_row(build, scene):
    chart = charts(opened(build(scene, ["blocks.1.attn.z"])).slides[0])[0]
    row = scene.trace["blocks.1.attn.pattern"][1, 6, :7]
    np.testing.assert_allclose(chart.plots[0].series[0].values, row, rtol=1e-6)


def test_a_charts_sheet_holds_the_same_numbers_and_words_are_no_formulas(build, tiny):
    scene = scene_of(tiny, "=1+1 http://x")
    chart = charts(opened(build(scene, ["blocks.0.attn.z"])).slides[0])[0]
    with zipfile.ZipFile(io.BytesIO(chart.part.chart_workbook.xlsx_part.blob)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        strings = re.findall("<t[^>]*>(.*?)</t>", book.read("xl/sharedStrings.xml").decode())
        assert {entry.date_time[0] for entry in book.infolist()} == {1980}
    assert "<f>" not in sheet and "=" in strings
    numbers = [float(v) for v in re.findall(r'<c r="B\d+" s="\d+"><v>([^<]+)</v>', sheet)]
    assert numbers == pytest.approx(list(chart.plots[0].series[0].values), rel=1e-14)


@pytest.mark.parametrize("stage", ["scores", "masked", "pattern"])
@pytest.mark.parametrize("theme", THEMES)
def test_grids_are_tables_with_the_traces_numbers_in_the_painters_colours(build, scene, stage, theme):
    key = f"blocks.1.attn.{stage}"
    table = table_of(opened(build(scene, [key], theme=theme)).slides[0])
    truth = scene.trace[key][1]
    here = replace(scene, state=state_at(scene, key))
    panel = next(p for p in panels_of(here, find_step(key, scene.config)) if isinstance(p, GridPanel) and not p.small)
    page = Page(THEMES[theme], fonts.width)
    KINDS[GridPanel].paint(panel, Rect(0, 0, 500, 500), page)
    heat = next(m for m in page.marks if isinstance(m, Heat))
    for r in range(11):
        assert table.cell(0, r + 1).text_frame.text == table.cell(r + 1, 0).text_frame.text == scene.labels[r]
        for c in range(11):
            cell = table.cell(r + 1, c + 1)
            colour = str(cell.fill.fore_color.rgb)
            value = shown(cell.text_frame.text)
            if stage != "scores" and c > r:
                assert value is None and colour == THEMES[theme].void[1:].upper()
                continue
            assert value == pytest.approx(float(truth[r, c]), abs=0.0051 if abs(truth[r, c]) < 9.99 else 0.051)
            painted = heat.table[int(heat.fractions[r, c] * 255)]
            assert colour == "{:02X}{:02X}{:02X}".format(*painted)


def state_at(scene, key):
    from desktop_app.core.asking.navigation import at_step

    return at_step(scene.state, find_step(key, scene.config))


def test_turned_grids_have_keys_as_rows(build, tiny):
    from desktop_app.core.session.state import ViewOptions

    scene = scene_of(tiny, "abcd", view=ViewOptions(keys_down=True))
    table = table_of(opened(build(scene, ["blocks.0.attn.pattern"])).slides[0])
    assert table.cell(0, 0).text_frame.text == "key ↓"
    value = shown(table.cell(1, 4).text_frame.text)
    assert value == pytest.approx(scene.trace["blocks.0.attn.pattern"][0, 3, 0], abs=0.0051)


@pytest.mark.parametrize(("count", "native"), [(1, True), (24, True), (25, False)])
def test_grids_of_more_than_24_tokens_are_pictures(build, tiny, count, native):
    slide = opened(build(scene_of(tiny, WORDS[:count]), ["blocks.0.attn.pattern"])).slides[0]
    assert any(shape.has_table for shape in slide.shapes) == native
    assert any(shape.name == "blocks.0.attn.pattern" for shape in pictures(slide)) != native


def test_pictures_have_300_dpi_and_an_svg_whose_words_are_shapes(build, tiny):
    deck = opened(build(scene_of(tiny, WORDS[:30]), ["blocks.0.attn.pattern"], drawn=True))
    slide = deck.slides[0]
    assert len(pictures(slide)) >= 6
    for shape in pictures(slide):
        with Image.open(io.BytesIO(shape.image.blob)) as drawn:
            assert drawn.width == pytest.approx(300 * shape.width / 914400, abs=1)
        (blip,) = shape._element.iter(SVG)
        part = slide.part.related_part(blip.get(EMBED))
        assert part.content_type == "image/svg+xml"
        root = ElementTree.fromstring(part.blob)
        assert root.tag.endswith("svg") and not list(root.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize(("count", "theme"), [(1, "light"), (8, "dark"), (40, "light"), (250, "dark")])
def test_titles_are_the_steps_notes_are_there_all_has_words_and_stays_on_the_slide(build, tiny, count, theme):
    scene = scene_of(tiny, WORDS[:count], head=2)
    selection = ["text", "tokens", "blocks.*", "blocks.1.*", "probabilities", "draw", "append"]
    selection = selection if count != 250 else ["tokens", "blocks.1.attn.pattern", "blocks.1", "logits"]
    deck = opened(build(scene, selection, theme=theme))
    walk = list(slides(scene, choose(scene.config, selection)))
    assert [s.shapes.title.text_frame.text for s in deck.slides] == [slide.title for slide in walk]
    for made, slide in zip(deck.slides, walk, strict=True):
        assert made.notes_slide.notes_text_frame.text == slide.notes
        assert slide.place in [s.text_frame.text for s in made.placeholders]
        assert slide.job.caption in [s.text_frame.text for s in made.placeholders]
        ids = [shape.shape_id for shape in made.shapes]
        assert len(ids) == len(set(ids))
        for shape in made.shapes:
            assert shape.left >= -Emu(12700 * 5) and shape.left + shape.width <= deck.slide_width + 12700 * 5, (
                shape.name
            )
            assert shape.top >= -Emu(12700 * 5) and shape.top + shape.height <= deck.slide_height, shape.name
            if shape.shape_type == MSO_SHAPE_TYPE.PICTURE or shape.has_chart or shape.has_table:
                assert len(described(shape)) > 10, shape.name


def test_every_step_has_a_headline_of_its_view(build, scene):
    deck = opened(build(scene, "overview"))
    steps = {step.key: step for step in step_list(scene.config)}
    for made, item in zip(deck.slides, choose(scene.config, "overview"), strict=True):
        if not item.whole and item.step.layer is None:
            assert made.shapes.title.text_frame.text == build_view(scene, steps[item.key]).title


def test_the_same_scene_gives_the_same_bytes_without_a_date(build, scene):
    names = ["blocks.1.attn.pattern", "probabilities"]
    one, two = (build(scene, names, name=name, drawn=True) for name in ("one.pptx", "two.pptx"))
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"created" not in archive.read("docProps/core.xml")


def test_tokens_that_xml_cannot_hold_are_written_out(build, tiny):
    scene = scene_of(tiny, "\x00\x1b<&>\"' \ufffe]]>")
    slide = opened(build(scene, ["blocks.0.attn.scores", "blocks.0.attn.z", "probabilities"])).slides[0]
    assert table_of(slide).cell(1, 0).text_frame.text == tiny.tokenizer.label(scene.trace.ids[0])


def test_a_deck_without_captions_has_no_prompt_in_its_footer(build, scene):
    slide = opened(build(scene, ["tokens"], captions=False)).slides[0]
    assert not [s for s in slide.placeholders if "The cat" in s.text_frame.text]


def test_a_thousand_long_tokens_find_room_on_a_slide(tmp_path):
    """Text that did not fit would be cut off at the picture's edge."""
    from desktop_app.figures.deck import pieces, powerpoint
    from desktop_app.figures.deck.template import own_design
    from desktop_app.figures.layout import height_in
    from tests.scenes import CONFIG, open_tiny

    model = open_tiny(tmp_path / "long", {**CONFIG, "n_positions": 1024})
    scene = scene_of(model, ids=tuple(model.tokenizer.encode("日本語" * 200).ids[:1024]))
    design = own_design("light")
    for slide in slides(scene, choose(model.config, ["text", "tokens", "blocks.0.attn.pattern", "blocks.0", "append"])):
        *_, room, _ = powerpoint.words_above(slide, design)
        content = slide.view.content
        shrink = pieces._largest(content, room, pieces.Look("light"))
        page = Page(THEMES["light"], fonts.width, shrink, 4)
        assert height_in(content, room.w, room.h, page) <= room.h + 1, slide.key
