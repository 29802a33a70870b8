"""The lecture: each title is a finding of the pass, true by numbers made without it, and large enough to be read."""

import re
import string

import numpy as np
import pytest
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.util import Pt

from desktop_app import cli
from desktop_app.core import measured
from desktop_app.core.model import open_model
from desktop_app.core.panels import BarsPanel, ShadedPanel, panels_of
from desktop_app.core.program.bundle import languages
from desktop_app.figures.deck import pieces, powerpoint
from desktop_app.figures.deck.lecture import Lecture
from desktop_app.figures.deck.lecture_material import words_of
from desktop_app.figures.deck.template import own_design
from desktop_app.figures.deck.walk import MOST_SLIDES
from desktop_app.figures.marks import Words
from desktop_app.gpt2.sampling import Sampling
from tests.deck.conftest import Blank
from tests.scenes import BUNDLED, scene_of

BLUE = "A fluffy blue creature lived in the forest. One day the fluffy blue"
LIST = "one red bird, two green frogs, three white cats, one red bird, two green frogs, three"
LONG = "Once upon a time there was a little girl who had a golden bird. " * 12 + "She looked for the golden"
TEXTS = (BLUE, LONG, "Hi", "a a a a a a", "Grüße aus 東京, said «Zoë» —")


@pytest.fixture(scope="module")
def bundled():
    return open_model(BUNDLED)


@pytest.fixture(scope="module")
def blue(bundled):
    scene = scene_of(bundled, BLUE, sampling=Sampling(0.8, 40, 0.9))
    return scene, {slide.key: slide for slide in Lecture(scene, bundled).slides()}


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def in_percent(share):
    """A share with two decimals; one below 1 is never 100 %."""
    return ">99.99 %" if 0.99995 <= share < 1 else f"{100 * share:.2f} %"


@pytest.mark.parametrize(("text", "language"), [(TEXTS[0], "de"), *((text, "en") for text in TEXTS)])
def test_a_lecture_has_at_most_18_slides_with_titles_that_are_all_different(bundled, tiny, text, language):
    for model in (bundled, tiny):
        text = text[-200:] if model is tiny else text  # every byte is a token of its own there
        walk = list(Lecture(scene_of(model, text), model, language).slides())
        titles = [slide.title for slide in walk]
        assert 8 <= len(walk) <= MOST_SLIDES and len(set(titles)) == len(titles)
        assert [slide.number for slide in walk] == list(range(1, len(walk) + 1))
        assert not any(re.search(r"\{[a-z_]+\}", slide.title + slide.notes) for slide in walk)
        assert walk[0].kind == "title" and walk[-1].kind == "closing" and walk[-1].lines


def test_titles_say_what_the_pass_holds(blue):
    scene, slides = blue
    trace, tokenizer = scene.trace, scene.tokenizer
    probs = softmax(trace.logits(-1))
    top = int(probs.argmax())
    assert slides["next"].title == f"The likeliest token is {tokenizer.quoted(top)}, with {in_percent(probs[top])}"
    cooler = softmax(np.asarray(trace.logits(-1), np.float64) / 0.8)
    assert f"from {in_percent(probs[top])} to {in_percent(cooler[top])}" in slides["temperature"].title
    said = re.fullmatch(r"L(\d)H(\d) looks one token back (\d+) times out of (\d+)", slides["previous"].title)
    layer, head, good, count = map(int, said.groups())
    pattern = trace[f"blocks.{layer}.attn.pattern"][head]
    assert (good, count) == (sum(pattern[q].argmax() == q - 1 for q in range(1, len(trace))), len(trace) - 1)
    found = re.match(r"L(\d)H(\d) looks at what came after the earlier '·blue': '·creature', ([\d.]+) %",
                     slides["look"].title)  # fmt: skip
    row = trace[f"blocks.{found[1]}.attn.pattern"][int(found[2]), -1]
    assert int(row.argmax()) == 3 and float(found[3]) == pytest.approx(100 * row[3], abs=0.006)
    rows = np.asarray(scene.checkpoint.weights["embed.W_E"], np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = np.argsort(-(rows @ rows[trace.ids[-1]]))[1:4]
    assert slides["embed"].title == "{}, {} and {} are closest to '·blue'".format(*map(tokenizer.quoted, near))


@pytest.mark.parametrize("text", [BLUE, LIST])  # a head that others stand in for, and one that is missed a little
def test_the_title_about_a_missing_head_is_what_the_pass_without_it_gives(bundled, text):
    scene = scene_of(bundled, text)
    (title,) = (slide.title for slide in Lecture(scene, bundled).slides() if slide.key == "without")
    layer, head, after = re.fullmatch(r"Without L(\d)H(\d), .* to (>?[\d.]+ %)", title).groups()
    trace = bundled.engine.trace(scene.trace.ids, edits=[_muted(bundled, scene, int(layer), int(head))])
    top = int(np.argmax(scene.trace.logits(-1)))
    assert after == in_percent(softmax(trace.logits(-1))[top])


def _muted(model, scene, layer, head):
    from desktop_app.gpt2.edit import parse_edits

    return parse_edits([f"blocks.{layer}.attn.z[{head}]=0"], model.config, len(scene.trace))[0]


def test_the_mean_loss_is_that_of_every_position(blue):
    scene, slides = blue
    logits = np.asarray(scene.trace["logits"], np.float64)
    ids = scene.trace.ids
    losses = [-np.log(softmax(logits[n])[ids[n + 1]]) for n in range(len(ids) - 1)]
    right = sum(int(logits[n].argmax()) == ids[n + 1] for n in range(len(ids) - 1))
    assert slides["positions"].title == f"Every token is an example; the model guessed {right} of {len(ids) - 1}"
    assert f"is {np.mean(losses):.2f}." in slides["positions"].lead


def test_a_question_does_not_give_its_answer_away(blue):
    _, slides = blue
    for key, answer in (("ask_look", "creature"), ("ask_next", "creature")):
        slide = slides[key]
        (panel,) = panels_of(slide.view.content)
        assert isinstance(panel, ShadedPanel) and np.isnan(panel.values).all()
        assert answer not in slide.title.split("“")[0] and "%" not in slide.title + slide.lead + slide.notes


def test_notes_begin_with_what_to_point_at(blue):
    _, slides = blue
    assert all(slide.notes.startswith("Point at: ") for slide in slides.values())
    assert "'·creature'" in slides["look"].notes.split("\n")[0]


@pytest.mark.parametrize("text", ["Hello, you", "aaaaaa"])
def test_under_a_mask_that_shows_later_tokens_the_question_can_be_answered(tiny, text):
    """The head looks most at a token that comes after the selected one, and is not said to look at an earlier one."""
    ids = tiny.tokenizer.encode(text).ids
    layer = 1
    plain = tiny.engine.trace(ids, mask="none")[f"blocks.{layer}.attn.pattern"]
    head, query, key = next((h, q, k) for h, q in np.ndindex(plain.shape[:2]) if (k := plain[h, q].argmax()) > q > 1)
    scene = scene_of(tiny, ids=ids, trace=tiny.engine.trace(ids, mask="none"), token=query, layer=layer, head=head)
    lecture = {slide.key: slide for slide in Lecture(scene, tiny, chosen=(layer, head)).slides()}
    ask, look = lecture["ask_look"].ask, lecture["look"]
    (right,) = ask.right
    assert "earlier" not in look.title
    shown, bars = panels_of(look.view.content)
    assert shown.pieces[right] == scene.labels[key] and shown.values[right] == np.nanmax(shown.values)
    assert bars.bars[0].source[1] == (head, query, key)
    assert bars.bars[0].value == pytest.approx(float(plain[head, query, key]))


def test_a_head_is_worth_showing_only_for_the_token_to_which_it_attends_most(bundled, monkeypatch):
    """Every weight of the row counts, that on the first token too, however small the weights that are called clear."""
    monkeypatch.setattr(measured, "_CLEAR", 0.05)
    for text in TEXTS[:2]:
        for token in range(3, len(bundled.tokenizer.encode(text).ids), 5):
            scene = scene_of(bundled, text, token=token)
            look = measured.worth_showing(scene, None)
            if look is not None:
                row = scene.trace.read(f"blocks.{look.layer}.attn.pattern", head=look.head, row=token)
                assert int(row.argmax()) == look.key


class Sized(pieces.Draw):
    """Draws nothing, and keeps the size of every word."""

    def __init__(self, folder):
        super().__init__(folder, "")
        self.sizes = []

    def _picture(self, paint, rect, page, name, alt):
        from dataclasses import replace

        own = replace(page, marks=[], cells=[], picks=[])
        paint(rect, own)
        self.sizes += [mark.size for mark in own.marks if isinstance(mark, Words)]
        return pieces.Picture(rect, name, "", "", alt)


@pytest.mark.parametrize("text", TEXTS)
def test_no_word_of_a_lecture_is_smaller_than_twelve_points(bundled, tmp_path, text):
    design = own_design("light")
    draw = Sized(tmp_path)
    for slide in Lecture(scene_of(bundled, text), bundled, "de").slides():
        *_, room, _ = powerpoint.words_above(slide, design)
        look = pieces.Look("light", 1.0, slide.large, slide.language)
        for piece in pieces.compose(slide.view.content, room, look, draw):
            draw.sizes += [getattr(piece, name) for name in ("size", "label_size", "cell_size") if hasattr(piece, name)]
            place = piece.place
            assert place.y + place.h <= room.y + room.h + 6 and place.x >= room.x - 5, (slide.key, place)
        assert min(draw.sizes) >= 12 - 1e-9, slide.key


def test_what_is_written_is_readable_in_the_file_itself(bundled, blue, tmp_path):
    scene, _ = blue
    design = own_design("light")
    walk = list(Lecture(scene, bundled).slides())
    parts = []
    for slide in walk:
        *_, room, _ = powerpoint.words_above(slide, design)
        look = pieces.Look("light", 1.0, slide.large, slide.language)
        parts.append(pieces.compose(slide.view.content, room, look, Blank(tmp_path, "x")))
    powerpoint.build(design, [slide.without_content() for slide in walk], parts, tmp_path, tmp_path / "deck.pptx")
    deck = Presentation(tmp_path / "deck.pptx")
    assert deck.slides[0].slide_layout.name == "Title Slide" and BLUE in deck.slides[0].shapes.title.text_frame.text
    theme = deck.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob.decode()
    assert set(re.findall('latin typeface="([^"]+)"', theme)) == {"Arial"}, "a face that every program has"
    for slide, what in zip(deck.slides, walk, strict=True):
        for chart in (shape.chart for shape in slide.shapes if shape.has_chart):
            numbers = chart.plots[0].series[-1].data_labels.number_format
            assert ("%" in numbers) == (what.key not in ("embed", "writers")), what.key
        sizes = [int(size) for size in slide._element.xpath(".//@sz") if str(size).isdigit()]
        assert all(size >= Pt(12).pt * 100 for size in sizes), slide.shapes.title.text_frame.text


def test_every_language_has_the_same_rows_with_the_same_places():
    def places(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = words_of("en")
    for code in languages():
        other = words_of(code)
        assert {key: set(row) for key, row in other.items()} == {key: set(row) for key, row in english.items()}
        for key, row in english.items():
            for name, text in row.items():
                own, theirs = ({n.lower() for n in places(t)} for t in (text, other[key][name]))
                assert own == theirs, (code, key, name)


def test_a_head_that_was_named_is_the_one_that_is_shown(bundled):
    scene = scene_of(bundled, BLUE)
    slides = {slide.key: slide for slide in Lecture(scene, bundled, chosen=(2, 6)).slides()}
    key = int(np.argmax(scene.trace["blocks.2.attn.pattern"][6, -1]))
    assert slides["look"].title.startswith("L2H6 ") and scene.tokenizer.quoted(scene.trace.ids[key]) in (
        slides["look"].title
    )


def test_charts_have_one_unit_in_a_column(bundled):
    """99.99 % of one token leaves the others far below: no bar's number may change to a power of ten."""
    scene = scene_of(bundled, "What colour is a strawberry? It is")
    slides = {slide.key: slide for slide in Lecture(scene, bundled).slides()}
    (panel,) = panels_of(slides["next"].view.content)
    assert isinstance(panel, BarsPanel) and all(re.fullmatch(r"[<>]?\d+\.\d\d %", bar.text) for bar in panel.bars)


@pytest.mark.parametrize("text", [BLUE, "What colour is a strawberry? It is", "Once upon a time there was a"])
def test_a_temperature_that_nobody_chose_is_one_that_changes_something(bundled, text):
    """Of a sure prediction 0.5 leaves nothing to be seen."""
    (slide,) = [s for s in Lecture(scene_of(bundled, text), bundled).slides() if s.key == "temperature"]
    (panel,) = panels_of(slide.view.content)
    assert abs(panel.bars[0].value - panel.bars[0].outline) >= 0.05


def test_the_command_writes_a_lecture_unless_steps_are_named(capfd, tmp_path):
    out = tmp_path / "deck.pptx"
    assert cli.main(["deck", "Hi there, you", "--out", str(out), "--lang", "de", "--jobs", "1"]) == 0, (
        capfd.readouterr()
    )
    deck = Presentation(out)
    titles = [slide.shapes.title.text_frame.text for slide in deck.slides]
    assert titles[0].startswith("Was kommt nach „Hi there, you“?") and titles[-1].startswith("Kurz gesagt")
    steps = ["deck", "Hi", "--out", str(out), "--force", "--jobs", "1", "--steps", "tokens"]
    assert cli.main(steps) == 0
    assert len(Presentation(out).slides) == 1, "those alone"
    assert cli.main([*steps, "--lang", "tlh"]) == 2


def test_a_story_is_a_slide_for_each_stop_and_two_for_a_question(capfd, tmp_path):
    story = tmp_path / "mine.story.toml"
    story.write_text(
        'title = "Two blues"\nsay = "A test."\n'
        f'[[stop]]\ntitle = "It looks back"\ntext = "{BLUE}"\nstep = "blocks.5.attn.pattern"\nhead = 1\n'
        'say = "There."\n'
        'look_for = "the dark token"\nclaims = [{ looks = [5, 1], to = 3, above = 0.9, most = true }]\n'
        'question = { ask = "Where does it look?", look = true }\n'
        '[[stop]]\ntitle = "Wrong"\ntext = "Hello"\nstep = "probabilities"\nsay = "A claim that does not hold."\n'
        "claims = [{ count = 7 }]\n"
    )
    out = tmp_path / "deck.pptx"
    assert cli.main(["deck", "--story", str(story), "--out", str(out), "--jobs", "1"]) == 0, capfd.readouterr()
    deck = Presentation(out)
    titles = [slide.shapes.title.text_frame.text for slide in deck.slides]
    assert titles == ["Two blues", "Where does it look?", "It looks back", "Wrong", "Summary: Two blues"]
    notes = [slide.notes_slide.notes_text_frame.text for slide in deck.slides]
    assert notes[2].startswith("Point at: the dark token") and "Not so here: the text is 3 tokens." in notes[3]
    assert "position 3" in notes[1], "the answer is for whoever speaks"


def test_a_slide_of_a_stop_keeps_the_longest_bars(bundled, tmp_path):
    from desktop_app.core.lessons.stories import shipped
    from desktop_app.figures.deck.told import leaves

    slide, told = next(
        (slide, told)
        for slide, told in leaves(shipped()["attention"], lambda _name: bundled)
        if told is not None and told.step.spec.op == "z"
    )
    (panel,) = [p for p in panels_of(slide.view.content) if isinstance(p, BarsPanel)]
    row = told.scene.trace.read(told.step.key.replace(".z", ".pattern"), head=told.scene.head, row=told.scene.token)
    assert max(bar.value for bar in panel.bars) == pytest.approx(float(row.max()))
