"""A user's template: its layouts are used, missing ones are reported, and hostile files are refused."""

import io
import re
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.util import Inches

from desktop_app.figures.deck import package
from desktop_app.figures.deck.master import empty_deck
from desktop_app.figures.deck.template import read_template
from desktop_app.figures.theme import DARK, LIGHT
from desktop_app.gpt2.errors import ExportError


def default_deck(change=lambda _deck: None):
    """A template like PowerPoint's default design: 4:3, eleven layouts."""
    deck = Presentation()
    change(deck)
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def with_parts(data, change):
    """The same file with `change` made to the dictionary of its parts."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def saved(tmp_path):
    def save(data, name="dept.pptx"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return save


def add_slides(deck):
    for _ in range(2):
        deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text_frame.text = "an old slide"


def test_its_layout_and_slide_size_are_used_and_its_slides_are_not(build, scene, saved):
    design = read_template(saved(default_deck(add_slides)))
    deck = Presentation(build(scene, ["tokens", "blocks.1.attn.pattern", "probabilities"], design=design))
    assert len(deck.slides) == 3 and deck.slide_width == Inches(10)
    for slide in deck.slides:
        assert slide.slide_layout.name == "Title and Content"
        content = next(p for p in slide.slide_layout.placeholders if p.placeholder_format.idx == 1)
        title = slide.shapes.title
        assert title.text_frame.text and title.text_frame.text != "an old slide"
        assert not [s for s in slide.placeholders if s.placeholder_format.idx == 1], "no empty box is left"
        for shape in slide.shapes:
            if not shape.is_placeholder:
                inside = content.left - 64000 <= shape.left and content.top - 64000 <= shape.top
                assert inside and shape.left + shape.width <= content.left + content.width + 64000, shape.name
                assert shape.top + shape.height <= content.top + content.height + 64000, shape.name
        footers = [s.text_frame.text for s in slide.placeholders if "The cat sat" in s.text_frame.text]
        assert len(footers) == 1
    with zipfile.ZipFile(io.BytesIO(open_bytes(build, scene, design))) as archive:
        assert not any(b"an old slide" in archive.read(name) for name in archive.namelist() if name.endswith(".xml"))


def open_bytes(build, scene, design):
    return build(scene, ["tokens"], design=design, name="again.pptx").read_bytes()


def test_a_template_for_new_files_is_as_good(saved):
    def as_potx(parts):
        types = parts["[Content_Types].xml"]
        parts["[Content_Types].xml"] = types.replace(b"presentation.main+xml", b"template.main+xml")

    assert read_template(saved(with_parts(default_deck(), as_potx), "dept.potx")).layout == 1


def test_title_only_will_do(saved):
    def keep(deck):
        for layout in list(deck.slide_layouts):
            if layout.name not in ("Title Only", "Blank"):
                deck.slide_layouts.remove(layout)

    design = read_template(saved(default_deck(keep)))
    assert design.content is None and design.room.y > 100 and design.room.w > 600


@pytest.mark.parametrize(("theme", "found"), [(DARK, "dark"), (LIGHT, "light")])
def test_pictures_go_with_its_background(saved, theme, found):
    path = saved(empty_deck(theme))
    assert read_template(path).theme == found
    assert read_template(path, "print").theme == "print", "unless told"


def test_a_template_without_a_title_says_what_to_add(saved):
    def keep(deck):
        for layout in list(deck.slide_layouts):
            if layout.name != "Blank":
                deck.slide_layouts.remove(layout)

    with pytest.raises(ExportError, match=r"none of its 1 slide layouts has a title.*Title and Content"):
        read_template(saved(default_deck(keep)))


def test_a_template_without_room_says_so(saved):
    def shrink(deck):
        for layout in deck.slide_layouts:
            for placeholder in layout.placeholders:
                placeholder.left = placeholder.top = placeholder.width = placeholder.height = Inches(1)

    with pytest.raises(ExportError, match="too little for a step"):
        read_template(saved(default_deck(shrink)))


OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relation(kind, target):
    row = f'<Relationship Id="rId99" Type="{OFFICE}/{kind}" Target="{target}" TargetMode="External"/></Relationships>'

    def change(parts):
        name = "ppt/slideMasters/_rels/slideMaster1.xml.rels"
        parts[name] = parts[name].replace(b"</Relationships>", row.encode())

    return change


def part(name, content):
    return lambda parts: parts.update({name: content})


def in_types(old, new):
    def change(parts):
        parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(old, new)

    return change


def in_master(old, new):
    def change(parts):
        name = "ppt/slideMasters/slideMaster1.xml"
        parts[name] = parts[name].replace(old, new, 1)

    return change


_MAIN = b"openxmlformats-officedocument.presentationml.presentation.main+xml"
HOSTILE = {
    "a picture from elsewhere": (relation("image", "https://evil.example/track.png"), "evil.example"),
    "a file of the reader's": (relation("oleObject", "file:///etc/passwd"), "etc/passwd"),
    "a share": (relation("hyperlink", "file://server/share"), "server/share"),
    "a part outside": (part("../../outside.xml", b"<a/>"), "outside"),
    "an absolute part": (part("/etc/outside.xml", b"<a/>"), "outside"),
    "macros": (in_types(_MAIN, b"ms-powerpoint.presentation.macroEnabled.main+xml"), "macros"),
    "entities": (in_master(b"<p:sldMaster", b'<!DOCTYPE x [<!ENTITY a "b">]><p:sldMaster'), "entities"),
    "broken XML": (in_master(b"<p:cSld", b"<p:cSld <"), "damaged"),
    "nothing of a presentation": (
        in_types(_MAIN, b"openxmlformats-officedocument.wordprocessingml.document.main+xml"),
        "not a presentation",
    ),
    "no parts": (lambda parts: [parts.pop(name) for name in list(parts) if name.startswith("ppt/slideM")], "damaged"),
    "no types": (lambda parts: parts.pop("[Content_Types].xml"), "not a PowerPoint file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_template_gets_a_sentence(saved, kind):
    change, words = HOSTILE[kind]
    with pytest.raises(ExportError, match=re.escape(words)) as told:
        read_template(saved(with_parts(default_deck(), change)))
    assert "dept.pptx" in str(told.value) and "\n" not in str(told.value)


def test_links_that_one_clicks_may_stay(saved):
    read_template(saved(with_parts(default_deck(), relation("hyperlink", "https://www.university.example/"))))


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18), b"PK\x03\x04 cut off"])
def test_what_is_no_template_is_told(saved, content):
    with pytest.raises(ExportError, match="not a PowerPoint file"):
        read_template(saved(content))


def test_a_missing_template_is_told(tmp_path):
    with pytest.raises(ExportError, match="no template"):
        read_template(tmp_path / "none.pptx")


def test_what_unpacks_to_too_much_is_not_unpacked(saved, monkeypatch):
    monkeypatch.setattr(package, "_UNPACKED_LIMIT", 1 << 20)
    with pytest.raises(ExportError, match="unpacks to more"):
        read_template(saved(with_parts(default_deck(), part("ppt/media/zeros.bin", bytes(2 << 20)))))


def test_a_part_that_is_longer_than_it_says_is_refused(saved):
    """The size in a ZIP file's directory may be wrong."""
    data = bytearray(with_parts(default_deck(), part("ppt/media/zeros.bin", bytes(1 << 20))))
    at = data.rindex(b"ppt/media/zeros.bin")
    size = at - 46 + 24  # the uncompressed size in the directory's last entry
    assert data[size : size + 4] == (1 << 20).to_bytes(4, "little")
    data[size : size + 4] = (10).to_bytes(4, "little")
    with pytest.raises(ExportError, match="not a PowerPoint file"):
        read_template(saved(bytes(data)))


def test_too_many_parts_are_refused(saved, monkeypatch):
    monkeypatch.setattr(package, "_PARTS", 10)
    with pytest.raises(ExportError, match="too many parts"):
        read_template(saved(default_deck()))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_template_is_used_or_told_never_more(tmp_path_factory, data):
    with zipfile.ZipFile(io.BytesIO(empty_deck(LIGHT))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = data.draw(st.sampled_from(sorted(parts)))
    content = bytearray(parts[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        cut = data.draw(st.integers(0, 30))
        content[at : at + cut] = data.draw(st.binary(max_size=6))
        content = content or bytearray(b" ")
    path = tmp_path_factory.mktemp("damaged") / "dept.pptx"
    path.write_bytes(with_parts(empty_deck(LIGHT), lambda p: p.update({name: bytes(content)})))
    try:
        read_template(path)
    except ExportError as told:
        assert "dept.pptx" in str(told)
