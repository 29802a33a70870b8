"""The hand-out in Chromium and Firefox with the network off: what it shows there is what the program computes."""

import re

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.figures.deck.lecture import Lecture
from desktop_app.figures.handout.leaves import of_lecture
from desktop_app.figures.handout.make import handout
from desktop_app.gpt2.sampling import Ranked, Sampling, stages
from tests.figures.browsers import Firefox, chromium_dom
from tests.scenes import BUNDLED, scene_of

TEXT = "A fluffy blue creature lived in the forest. One day the fluffy blue"
USUAL = Sampling(0.8, 40, 0.9)
SETTINGS = (USUAL, Sampling(1.0), Sampling(2.5, 0, 0.5), Sampling(0.05, 3, 0.99), Sampling(100, 7, 1.0))


@pytest.fixture(scope="module")
def model():
    return open_model(BUNDLED)


@pytest.fixture(scope="module")
def scene(model):
    return scene_of(model, TEXT, sampling=USUAL)


@pytest.fixture(scope="module")
def page(scene, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("handout") / "walk.html"
    path.write_bytes(handout(of_lecture(Lecture(scene, model), scene), scene.name)[0])
    return path


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    browser = Firefox(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def fragment(sampling):
    return f"#t={sampling.temperature}&k={sampling.top_k}&p={sampling.top_p}"


def hold(scene, sampling, kept, shares, labels):
    """Compare what a page shows with the program's own sampling."""
    own = stages(Ranked(scene.trace.logits(-1)), sampling)
    assert kept == own.n_kept
    assert len(shares) == min(12, own.n_kept)
    np.testing.assert_allclose(shares, own.final[: len(shares)], rtol=1e-12)
    assert labels == [scene.tokenizer.quoted(int(t)) for t in own.ranked.order[: own.n_kept][: len(shares)]]


@pytest.mark.parametrize("sampling", SETTINGS[:3])
def test_chromium_samples_as_the_program_does(scene, page, tmp_path, sampling):
    dom = chromium_dom(page, tmp_path, fragment(sampling))
    kept = int(re.search(r'data-kept="(\d+)"', dom)[1])
    rows = re.findall(r'<th scope="row">(.*?)</th>.*?data-share="([^"]+)"', dom)
    labels = [label.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">") for label, _ in rows]
    hold(scene, sampling, kept, [float(share) for _, share in rows], labels)
    assert 'class="covered"' in dom, "the script ran under the page's own policy"


def test_firefox_samples_as_the_program_does_at_every_setting(scene, page, firefox):
    for sampling in SETTINGS:
        firefox.open(page, fragment(sampling))
        kept, shares, labels = firefox.run(
            "return [Number(document.querySelector('.kept').dataset.kept),"
            "[...document.querySelectorAll('[data-share]')].map((c) => Number(c.dataset.share)),"
            "[...document.querySelectorAll('.try th[scope]')].map((c) => c.textContent)]"
        )
        hold(scene, sampling, kept, shares, labels)


def test_a_slider_that_is_moved_changes_the_shares(scene, page, firefox):
    firefox.open(page, fragment(Sampling(1.0)))
    kept, shares, labels = firefox.run(
        "const slide = document.querySelector('.try input[type=range][data-set=t]');"
        "slide.value = 0.5; slide.dispatchEvent(new Event('input'));"
        "return [Number(document.querySelector('.kept').dataset.kept),"
        "[...document.querySelectorAll('[data-share]')].map((c) => Number(c.dataset.share)),"
        "[...document.querySelectorAll('.try th[scope]')].map((c) => c.textContent)]"
    )
    hold(scene, Sampling(0.5), kept, shares, labels)


def test_the_answer_is_covered_until_the_question_is_answered(page, firefox):
    firefox.open(page)
    look = (
        "const ask = document.querySelector('.options').closest('.ask');"
        "const after = ask.closest('section').nextElementSibling;"
        "const said = () => [after.classList.contains('covered'), getComputedStyle(after.querySelector('h2')).display,"
        "ask.querySelector('.verdict').textContent];"
    )
    assert firefox.run(look + "return said()")[:2] == [True, "none"]
    wrong = firefox.run(look + "ask.querySelector('[data-answer=\"0\"]').click(); return said()")
    assert wrong[0] is True and wrong[2] == "Not that one. Try once more."
    covered, display, said = firefox.run(look + "ask.querySelector('[data-answer=\"3\"]').click(); return said()")
    assert not covered and display == "block" and said.startswith("Right. ") and "'·creature'" in said


def test_a_typed_token_is_graded(page, firefox):
    firefox.open(page)
    said = firefox.run(
        "const form = document.querySelector('form.typed'), ask = form.closest('.ask');"
        "form.querySelector('input').value = 'creature';"
        "form.requestSubmit(); return ask.querySelector('.verdict').textContent"
    )
    assert said.startswith("Right. The likeliest token is '·creature'")


def test_the_pointer_reads_the_cell_under_it_and_a_click_opens_it(scene, page, firefox):
    firefox.open(page)
    head, name, told, opened = firefox.run(
        "document.querySelectorAll('.reveal').forEach((b) => b.click());"
        "const data = JSON.parse(document.getElementById('data').textContent).cells;"
        "for (const [id, groups] of Object.entries(data)) for (const g of groups)"
        " if (g.name.endsWith('.attn.pattern') && g.index[2] === 3 && g.index[1] === 13) {"
        "  const figure = document.getElementById(id), svg = figure.querySelector('svg');"
        "  svg.scrollIntoView();"
        "  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;"
        "  const at = {bubbles: true, clientX: box.left + (g.at[0] + g.at[2] / 2) * scale,"
        "   clientY: box.top + (g.at[1] + g.at[3] / 2) * scale};"
        "  svg.dispatchEvent(new PointerEvent('pointermove', at)); svg.dispatchEvent(new MouseEvent('click', at));"
        "  return [g.index[0], g.name, figure.querySelector('.told').textContent,"
        "   [...document.querySelectorAll('details[open][data-cell]')].map((d) => d.dataset.cell)];"
        " } return [0, '', 'none', []]"
    )
    cell = f"{name}[{head}, 13, 3]"
    assert told.startswith(f"{cell} = {float(scene.trace[name][head, 13, 3]):.4f}")
    assert "query 13, key 3" in told and opened == [cell]


def test_page_down_goes_on_and_nothing_was_asked_of_a_network(page, firefox):
    firefox.open(page)
    moved = firefox.run(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'PageDown', bubbles: true}));"
        "return document.activeElement.id"
    )
    assert moved == "s1"
    assert firefox.run("return performance.getEntriesByType('resource').length") == 0


def test_both_themes_are_legible(page, firefox):
    firefox.open(page)
    ink = (
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        "getComputedStyle(document.querySelector('svg text')).fill]"
    )
    first = firefox.run(ink)
    other = firefox.run("document.getElementById('theme').click(); " + ink)
    assert first != other and all(one != two for one, two in zip(first, other, strict=True))
