"""A template as an untrusted package: checked as parsed, limited in size, and without links to removed slides."""

import io
import posixpath
import random
import re
import zipfile
from xml.etree import ElementTree

import pytest
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.oxml import parse_xml
from pptx.util import Inches

from desktop_app.figures.deck import package
from desktop_app.figures.deck.template import read_template
from desktop_app.gpt2.errors import ExportError
from tests.deck.test_template import OFFICE, add_slides, default_deck, part, with_parts

MASTER = "ppt/slideMasters/slideMaster1.xml"
MASTER_RELS = "ppt/slideMasters/_rels/slideMaster1.xml.rels"
PRESENTATION = "ppt/presentation.xml"
VBA = "application/vnd.ms-office.vbaProject"
EXTERNAL = f'Id="rId99" Type="{OFFICE}/image" Target="https://evil.example/a.png"'


@pytest.fixture
def saved(tmp_path):
    def save(*changes, deck=lambda _deck: None):
        data = default_deck(deck)
        for change in changes:
            data = with_parts(data, change)
        (tmp_path / "dept.pptx").write_bytes(data)
        return tmp_path / "dept.pptx"

    return save


def replaced(name, old, new):
    def change(parts):
        assert old in parts[name]
        parts[name] = parts[name].replace(old, new, 1)

    return change


def with_relation(row, name=MASTER_RELS):
    return replaced(name, b"</Relationships>", f"{row}</Relationships>".encode())


def encoded(encoding, name=MASTER_RELS):
    def change(parts):
        text = parts[name].decode().replace("</Relationships>", f'<Relationship {EXTERNAL} TargetMode="External"/>')
        text = re.sub("^<[?].*?[?]>", "", f"{text}</Relationships>").strip()
        parts[name] = f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding.replace("-le", "le"))

    return change


SPELLINGS = {
    "in the package's own relations": with_relation(f'<Relationship {EXTERNAL} TargetMode="External"/>', "_rels/.rels"),
    "with > in an attribute": with_relation(f'<Relationship TargetMode="External" {EXTERNAL[:-1]}?x=>"/>'),
    "with a namespace prefix": with_relation(
        f'<x:Relationship xmlns:x="http://schemas.openxmlformats.org/package/2006/relationships" {EXTERNAL} '
        'TargetMode="External"/>'
    ),
    "with a character reference": with_relation(f'<Relationship {EXTERNAL} TargetMode="&#69;xternal"/>'),
    "with white space": with_relation(f'<Relationship {EXTERNAL} TargetMode=" External "/>'),
    "as a link by a type of its own": with_relation(
        '<Relationship Id="rId99" Type="http://evil/hyperlink" Target="https://evil.example" TargetMode="External"/>'
    ),
    "in UTF-7": encoded("utf-7"),
    "in UTF-16 without a mark": encoded("utf-16-le"),
    "in UTF-16": encoded("utf-16"),
    "a document type": replaced("_rels/.rels", b"<Relationships", b'<!DOCTYPE x SYSTEM "file:///x"><Relationships'),
    "an entity in the master": replaced(MASTER, b"<p:sldMaster", b'<!DOCTYPE x [<!ENTITY a "b">]><p:sldMaster'),
    "macros in a part": lambda parts: (
        parts.update({"ppt/vbaProject.bin": b"x"}),
        with_relation(
            '<Relationship Id="rId99" Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject" '
            'Target="vbaProject.bin"/>',
            "ppt/_rels/presentation.xml.rels",
        )(parts),
    ),
    "macros by type": lambda parts: (
        parts.update({"ppt/vba.bin": b"x"}),
        replaced(
            "[Content_Types].xml",
            b"</Types>",
            f'<Override PartName="/ppt/vba.bin" ContentType="{VBA}"/></Types>'.encode(),
        )(parts),
    ),
    "macros with a character reference": replaced(
        "[Content_Types].xml",
        b"openxmlformats-officedocument.presentationml.presentation.main+xml",
        b"ms-power&#112;oint.presentation.macro&#69;nabled.main+xml",
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_refused_does_not_get_through_in_another_spelling(saved, spelling):
    with pytest.raises(ExportError, match=r"dept\.pptx.*(outside|document type|macros|no XML|damaged)") as told:
        read_template(saved(SPELLINGS[spelling]))
    assert "\n" not in str(told.value)


DAMAGED = {
    "a slide's size": replaced(PRESENTATION, b'cx="9144000"', b'cx="abc"'),
    "a size that is missing": replaced(PRESENTATION, b'cx="9144000"', b""),
    "an index": replaced("ppt/slideLayouts/slideLayout2.xml", b'idx="1"', b'idx="["'),
    "a type": replaced("ppt/slideLayouts/slideLayout2.xml", b'type="title"', b'type="none of them"'),
    "relations twice": with_relation(f'<Relationship Id="rId1" Type="{OFFICE}/theme" Target="../theme/theme1.xml"/>'),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_value_is_a_sentence(saved, what):
    with pytest.raises(ExportError, match=r"dept\.pptx.*(damaged|size)"):
        read_template(saved(DAMAGED[what]))


def test_a_part_without_a_name_is_a_sentence(saved):
    path = saved(part("docProps/QQQ", b"x"))
    path.write_bytes(path.read_bytes().replace(b"docProps/QQQ", b"\0ocProps/QQQ"))  # ZIP names end at a NUL
    with pytest.raises(ExportError, match="damaged"):
        read_template(path)


def test_one_flipped_bit_is_a_sentence_or_does_no_harm(saved):
    path = saved()
    data, chance = path.read_bytes(), random.Random(0)
    told = 0
    for _ in range(60):
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        try:
            read_template(path)
        except ExportError as reason:
            told += 1
            assert "dept.pptx" in str(reason) and "\n" not in str(reason)
    assert told > 20


@pytest.mark.parametrize("name", ["(", "(a+)+b", "none", "lt1"])
def test_a_colours_name_is_a_name_and_no_pattern(saved, name):
    mapped = replaced(MASTER, b'bg1="lt1"', f'bg1="{name}"'.encode())
    themed = replaced("ppt/theme/theme1.xml", b"<a:dk1>", b"<a:%s/><a:dk1>" % (b"a" * 40))
    assert read_template(saved(mapped, themed)).theme == "light"


def test_elements_are_counted_before_any_is_made(saved, monkeypatch):
    parsed = []
    fromstring = package.etree.fromstring
    monkeypatch.setattr(
        package.etree, "fromstring", lambda text, parser: parsed.append(len(text)) or fromstring(text, parser)
    )
    bomb = replaced(MASTER, b"</p:sldMaster>", b"<p:extLst>" + b"<a/>" * 600_000 + b"</p:extLst></p:sldMaster>")
    with pytest.raises(ExportError, match="more than 500,000 elements and attributes"):
        read_template(saved(bomb))
    assert max(parsed) < 1 << 20


def test_nesting_and_relations_are_bounded(saved, monkeypatch):
    deep = replaced(MASTER, b"</p:sldMaster>", b"<a>" * 300 + b"</a>" * 300 + b"</p:sldMaster>")
    with pytest.raises(ExportError, match="within each other"):
        read_template(saved(deep))
    monkeypatch.setattr(package, "_RELATIONS", 5)
    with pytest.raises(ExportError, match="more than 5 relations"):
        read_template(saved())


# A template's own slides, and links to them


def custom_show(deck):
    add_slides(deck)
    ids = [deck.part.relate_to(slide.part, RT.SLIDE) for slide in deck.slides]
    rows = "".join(f'<p:sld r:id="{name}"/>' for name in ids)
    show = f'<p:custShow name="Short" id="0"><p:sldLst>{rows}</p:sldLst></p:custShow>'
    listed = parse_xml(f"<p:custShowLst {NAMES}>{show}</p:custShowLst>")
    deck.part._element.find(f"{{{P}}}notesSz").addnext(listed)


P = "http://schemas.openxmlformats.org/presentationml/2006/main"
NAMES = f'xmlns:p="{P}" xmlns:r="{OFFICE}"'


def jumping(holder):
    """Buttons on the master or a layout: one to the first slide, one to the next, and one that ends the show."""

    def change(deck):
        add_slides(deck)
        place = deck.slide_master if holder == "master" else deck.slide_layouts[1]
        shape = next(iter(place.shapes))
        run = shape._element.xpath(".//p:cNvPr")[0]
        name = place.part.relate_to(deck.slides[0].part, RT.SLIDE)
        link = '<a:hlinkClick xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        run.append(parse_xml(f'{link} {NAMES} r:id="{name}" action="ppaction://hlinksldjump"/>'))
        other = place.shapes[1]._element.xpath(".//p:cNvPr")[0]
        other.append(parse_xml(f'{link} {NAMES} r:id="" action="ppaction://hlinkshowjump?jump=nextslide"/>'))

    return change


def linked_slides(deck):
    add_slides(deck)
    first, second = deck.slides
    shape = first.shapes.add_textbox(0, 0, Inches(1), Inches(1))
    shape.click_action.target_slide = second
    second.notes_slide.notes_text_frame.text = "an old slide's note"


def faults(path):
    """What is wrong with a deck, by the rules of its format alone."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    rel = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
    found, reached = [], {"[Content_Types].xml"}
    for name, content in parts.items():
        if not name.endswith(".rels"):
            continue
        folder, file = posixpath.split(name)
        source = posixpath.join(posixpath.dirname(folder), file.removesuffix(".rels"))
        rows = {row.get("Id"): row for row in ElementTree.fromstring(content).iter(rel)}
        reached.add(name)
        for row in rows.values():
            if row.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", posixpath.dirname(source), row.get("Target")))[1:]
                reached.add(target)
                if target not in parts:
                    found.append(f"{name} leads to {target}, which is missing")
                kind = row.get("Type").rpartition("/")[2]
                if kind == "slide" and "slideMaster" in source + "slideLayout" in source:
                    found.append(f"{source} leads to a slide")
        if source in parts and source.endswith(".xml"):
            for element in ElementTree.fromstring(parts[source]).iter():
                for key, value in element.attrib.items():
                    if key.startswith("{" + OFFICE + "}") and value and value not in rows:
                        found.append(f"{source}: {element.tag} refers to {value}, which is missing")
                if element.get("action", "").startswith(("ppaction://hlinksldjump", "ppaction://customshow")):
                    found.append(f"{source}: {element.get('action')} to a slide that is gone")
    listed = len(re.findall(rb"<p:sldId ", parts[PRESENTATION]))
    slides = [name for name in parts if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    if listed != len(slides):
        found.append(f"{listed} slides are listed and {len(slides)} are there")
    return found + [f"nothing leads to {name}" for name in parts if name not in reached]


@pytest.mark.parametrize(
    "change",
    [add_slides, custom_show, jumping("master"), jumping("layout"), linked_slides],
    ids=lambda c: c.__qualname__,
)
def test_a_template_that_shows_slides_leaves_a_sound_deck(build, scene, saved, change):
    design = read_template(saved(deck=change))
    path = build(scene, ["tokens", "probabilities"], design=design)
    assert faults(path) == []
    assert len(Presentation(path).slides) == 2
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"an old slide" not in everything


def test_a_button_that_goes_on_stays(saved):
    data = read_template(saved(deck=jumping("master"))).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert b"hlinkshowjump?jump=nextslide" in archive.read(MASTER)
