"""The booklet: one page per step, bookmarks to the pages, embedded fonts, and the same bytes each time."""

import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from pypdf import PdfReader

from desktop_app.figures.deck import booklet
from desktop_app.figures.deck.walk import choose, slides
from desktop_app.figures.theme import THEMES
from tests.figures.boxes import faults
from tests.scenes import scene_of

STEPS = ["tokens", "blocks.0.attn.pattern", "blocks.1", "probabilities"]
WORDS = "The cat sat on the mat; the dog did not. " * 8


@pytest.fixture(scope="module")
def book(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    walk = list(slides(scene_of(tiny, "The cat (sat) 日"), choose(tiny.config, STEPS)))
    names = [booklet.draw_pages(part, "light", folder, f"{n}") for n, part in enumerate((walk[:3], walk[3:]))]
    path = folder / "book.pdf"
    path.write_bytes(booklet.bind([folder / name for name in names], walk))
    again = booklet.bind([folder / booklet.draw_pages(walk[:3], "light", folder, "x"), folder / names[1]], walk)
    assert again == path.read_bytes()
    return path, walk


def run(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} of poppler-utils is not installed")
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_bookmarks_are_the_steps_under_the_parts_of_the_walk(book):
    path, walk = book
    told = run("pdftohtml", "-xml", "-i", "-stdout", str(path)).stdout
    found = ElementTree.fromstring(re.search(r"<outline>.*</outline>", told, re.DOTALL).group())
    items = [(item.text, int(item.get("page"))) for item in found.findall("item")]
    under = [[(item.text, int(item.get("page"))) for item in part.findall("item")] for part in found.findall("outline")]
    pages = {slide.title: n for n, slide in enumerate(walk, 1)}
    assert [item for part in under for item in part] == list(pages.items())
    parts = list(dict.fromkeys(slide.part for slide in walk))
    assert items == [(part, min(pages[slide.title] for slide in walk if slide.part == part)) for part in parts]


def test_a_reader_opens_it_with_its_bookmarks_and_its_own_title(book):
    catalog = PdfReader(book[0]).trailer["/Root"]
    assert catalog["/PageMode"] == "/UseOutlines" and catalog["/Lang"] == "en"
    assert catalog["/ViewerPreferences"]["/DisplayDocTitle"]
    assert catalog["/Outlines"]["/First"]["/Count"] < 0, "the first part is closed"


def test_it_has_a_page_a_step_and_a_title_and_is_read_without_complaint(book):
    path, walk = book
    told = run("pdfinfo", str(path))
    assert re.search(r"Pages:\s+4\b", told.stdout) and not told.stderr
    assert walk[0].job.caption in told.stdout and "日" in told.stdout, "the document's own title"
    for n, slide in enumerate(walk, 1):
        words = run("pdftotext", "-f", str(n), "-l", str(n), "-layout", str(path), "-").stdout
        flat = " ".join(words.split())
        assert slide.title in flat and slide.place in flat, n
        assert " ".join(slide.notes.split("\n\n")[1].split()) in flat


def test_all_its_fonts_are_inside(book):
    rows = run("pdffonts", str(book[0])).stdout.splitlines()[2:]
    assert rows and all(re.search(r"\s(yes)\s+yes\s+yes\s+\d+\s+0$", row) for row in rows), rows


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", [1, 40, 250])
def test_no_words_leave_the_page_or_meet(tiny, count, theme):
    scene = scene_of(tiny, WORDS[:count])
    wanted = "overview" if (count, theme) == (40, "light") else STEPS
    for slide in slides(scene, choose(tiny.config, wanted)):
        marks, height = booklet.lay_out(slide, THEMES[theme])
        assert height >= booklet.HEIGHT
        assert not faults(marks, booklet.WIDTH, height), slide.key
