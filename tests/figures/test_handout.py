"""The hand-out: one small file that can load nothing, whose numbers are the pass' own, for every way of reading it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from desktop_app import cli
from desktop_app.core.model import open_model
from desktop_app.figures.deck.lecture import Lecture
from desktop_app.figures.deck.lecture_material import words_of
from desktop_app.figures.handout import page
from desktop_app.figures.handout.leaves import of_lecture
from desktop_app.figures.handout.make import handout
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import BUNDLED, scene_of

TEXT = "A fluffy blue creature lived in the forest. One day the fluffy blue"


@pytest.fixture(scope="module")
def bundled():
    return open_model(BUNDLED)


@pytest.fixture(scope="module")
def made(bundled):
    scene = scene_of(bundled, TEXT, sampling=Sampling(0.8, 40, 0.9))
    data, count, left = handout(of_lecture(Lecture(scene, bundled), scene), scene.name)
    return scene, data.decode(), count, left


class Page(HTMLParser):
    """Elements with their attributes, and the text in each kind of element."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside, self.texts = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "rect", "path", "circle"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self.inside:
            self.texts.setdefault(self.inside[-1], []).append(data)


def looking(text):
    """The block and the head that the page names as looking at what came after the word before."""
    found = re.search(r"L(\d+)H(\d+) looks at what came after", text)
    return int(found[1]), int(found[2])


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_policy_lets_in_its_own_script_and_style_and_nothing_else(made):
    _, text, _, _ = made
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy and "'self'" not in policy

    def digest(found):
        return "'sha256-" + base64.b64encode(hashlib.sha256(found.encode()).digest()).decode() + "'"

    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert [digest(s) for s in scripts] == [rules["script-src"]]
    assert [digest(s) for s in styles] == [rules["style-src"]]
    for tag, attributes in Page(text).tags:
        loads = {"src", "href", "srcset", "action", "data", "style", "formaction", "background"} & attributes.keys()
        assert not loads and not [a for a in attributes if a.startswith("on")], (tag, loads)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text) and "@import" not in text and "url(" not in text


def test_a_page_is_small_and_says_what_it_is_of(made):
    scene, text, count, _ = made
    assert len(text.encode()) < 2_000_000 and count == 18 == text.count('<section id="s')
    assert scene.name in Page(text).texts["p"][-1]


def test_the_logits_in_the_page_are_the_models_own(made):
    scene, text, _, _ = made
    (found,) = data_of(text)["tries"]
    logits = np.frombuffer(base64.b64decode(found["logits"]), "<f4")
    own = np.asarray(scene.trace.logits(-1), np.float32)
    np.testing.assert_array_equal(logits, -np.sort(-own))
    assert found["labels"][0] == scene.tokenizer.quoted(int(own.argmax())) and len(found["labels"]) == len(own)


def test_what_stands_under_the_pointer_is_the_tensors_number(made):
    scene, text, _, _ = made
    seen = 0
    for groups in data_of(text)["cells"].values():
        for group in groups:
            if group["name"] not in scene.trace.table or group["stride"] is not None:
                continue
            tensor = np.asarray(scene.trace[group["name"]])
            for at, value in enumerate(group["values"][: 5 * group["width"]]):
                row, col = divmod(at, group["width"])
                where = {"row": group["first"][0] + row, "col": group["first"][1] + col}
                index = tuple(where.get(i, i) for i in group["index"])
                if value is not None and "·" not in value:
                    number = float(value.replace("−", "-"))
                    # Bars of shares stand for the logit that they were made of, and say that one's name.
                    if group["name"] != "logits":
                        assert number == pytest.approx(float(tensor[index]), rel=2e-3, abs=2e-4), group["name"]
                        seen += 1
    assert seen >= 8


def test_pictures_have_words_and_tables_for_those_who_do_not_see_them(made):
    scene, text, _, _ = made
    found = Page(text)
    pictures = [a for tag, a in found.tags if tag == "svg"]
    assert pictures and all(a["role"] == "img" and len(a["aria-label"]) > 5 for a in pictures)
    layer, head = looking(text)
    share = float(scene.trace[f"blocks.{layer}.attn.pattern"][head, -1, 3])
    assert f"{share:.4f}" in found.texts["td"]
    assert all("for" in a for tag, a in found.tags if tag == "label" and "class" in a)


def test_opened_numbers_show_their_arithmetic(made):
    scene, text, _, _ = made
    opened = re.findall(r'<details id="o[\d-]+" data-cell="([^"]+)">(.*?)</details>', text, re.DOTALL)
    cells = dict(opened)
    layer, head = looking(text)
    assert f"blocks.{layer}.attn.pattern[{head}, {len(scene.trace) - 1}, 3]" in cells
    assert any(name.startswith("logits[") and "formula" in html for name, html in opened)


def test_what_does_not_fit_is_left_out_and_named(bundled, monkeypatch):
    scene = scene_of(bundled, TEXT)
    leaves = list(of_lecture(Lecture(scene, bundled), scene))
    words = words_of("en")["handout"]
    whole, _, _ = handout(leaves, scene.name)
    monkeypatch.setattr(page, "LIMIT", len(whole) - 10)
    data, _, left = handout(leaves, scene.name)
    assert len(data) < len(whole) and words["no_sliders"] in left
    assert (
        words["no_sliders"] in data.decode()
        and not data_of(data.decode())["tries"]
        and 'class="try"' not in data.decode()
    )
    monkeypatch.setattr(page, "LIMIT", 10_000)
    with pytest.raises(ExportError, match="at most"):
        handout(leaves, scene.name)


def test_a_text_with_markup_stays_text(bundled):
    scene = scene_of(bundled, "</script><b onclick=x>&amp; 'a\" <")
    data, _, _ = handout(of_lecture(Lecture(scene, bundled), scene), scene.name)
    text = data.decode()
    assert not [tag for tag, _ in Page(text).tags if tag == "b"]
    assert text.count("</script>") == 2 and data_of(text)["tries"]


def test_the_command_writes_a_text_or_a_story_and_refuses_what_it_cannot(capfd, tmp_path):
    out = tmp_path / "walk.html"
    assert cli.main(["handout", "Hello there", "--out", str(out), "--lang", "de"]) == 0, capfd.readouterr().err
    assert '<html lang="de">' in out.read_text() and "Was kommt nach" in out.read_text()
    assert cli.main(["handout", "Hello there", "--out", str(out)]) == 2
    assert cli.main(["handout", "Hello", "--out", str(tmp_path / "walk.pdf")]) == 2
    assert ".html" in capfd.readouterr().err
    assert cli.main(["handout", "--story", "heads", "--out", str(out), "--force"]) == 0
    text = out.read_text()
    asks = data_of(text)["asks"]
    assert len(asks) == 2 and all(ask["right"] for ask in asks.values())
    assert "What heads do" in text and len(text) < 5_000_000
