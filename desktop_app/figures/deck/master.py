"""The program's own presentation template: theme, master and layouts without slides, in the colours of a theme.

Layouts have PowerPoint's standard names and types, so that a design applied later finds matching layouts.
"""

import io
import zipfile

from desktop_app.core.panels import Hue
from desktop_app.figures.marks import Rect
from desktop_app.figures.theme import Theme
from desktop_app.figures.xml_text import quoteattr

EMU = 12700
"""English metric units per point."""
WIDTH, HEIGHT = 960.0, 540.0
CONTENT = Rect(40, 130, 880, 362)
"""The area of a slide for pictures, charts and tables, in points."""
PLACE, LEAD = 13, 14
"""Indices of a step slide's placeholders besides its title: its place in the walk, and one or two sentences."""
STEP_LAYOUT = "Step"
FOOT = 12.0
"""Type size in points of caption, slide number and place: the smallest text on a slide."""

HEADLINE, LEAD_AT = Rect(40, 38, 880, 40), Rect(40, 82, 880, 40)
"""The rectangles of the title and of the sentences below it."""
NAMESPACES = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
)
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
# The program's fonts are not in the file. Text is set in Arial and Courier New, which every program has or replaces by
# fonts of the same widths (in LibreOffice, Liberation Sans and Mono).
_FACE = '<a:latin typeface="Arial" panose="020B0604020202020204" pitchFamily="34" charset="0"/>'
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.presentationml"


def empty_deck(theme: Theme) -> bytes:
    """A PPTX file without slides in the colours of `theme`."""
    layouts = (
        _layout("Title Slide", "title", _title_slide(theme)),
        _layout(STEP_LAYOUT, None, _step(theme)),
        _layout("Title and Content", "obj", _heading() + _body(1, CONTENT) + _foot()),
        _layout("Title Only", "titleOnly", _heading() + _foot()),
    )
    files = {
        "[Content_Types].xml": _content_types(len(layouts)),
        "_rels/.rels": _relations(
            ("officeDocument", "ppt/presentation.xml"), ("extended-properties", "docProps/app.xml")
        ),
        "docProps/app.xml": f'{_HEAD}<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/'
        'extended-properties"><Application>Logitscope</Application></Properties>',
        "ppt/presentation.xml": _presentation(),
        "ppt/_rels/presentation.xml.rels": _relations(
            ("slideMaster", "slideMasters/slideMaster1.xml"), ("theme", "theme/theme1.xml")
        ),
        "ppt/theme/theme1.xml": _theme(theme),
        "ppt/slideMasters/slideMaster1.xml": _master(theme, len(layouts)),
        "ppt/slideMasters/_rels/slideMaster1.xml.rels": _relations(
            *(("slideLayout", f"../slideLayouts/slideLayout{n + 1}.xml") for n in range(len(layouts))),
            ("theme", "../theme/theme1.xml"),
        ),
    }
    for n, layout in enumerate(layouts, 1):
        files[f"ppt/slideLayouts/slideLayout{n}.xml"] = layout
        files[f"ppt/slideLayouts/_rels/slideLayout{n}.xml.rels"] = _relations(
            ("slideMaster", "../slideMasters/slideMaster1.xml")
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def transform(rect: Rect, tag: str = "a:xfrm") -> str:
    """The XML element for a rectangle given in points."""
    x, y, w, h = (round(v * EMU) for v in (rect.x, rect.y, rect.w, rect.h))
    return f'<{tag}><a:off x="{x}" y="{y}"/><a:ext cx="{w}" cy="{h}"/></{tag}>'


def _relations(*rows: tuple[str, str]) -> str:
    lines = (f'<Relationship Id="rId{n}" Type="{_REL}/{kind}" Target="{to}"/>' for n, (kind, to) in enumerate(rows, 1))
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'{_HEAD}<Relationships xmlns="{space}">{"".join(lines)}</Relationships>'


def _content_types(layouts: int) -> str:
    parts = {
        "/ppt/presentation.xml": f"{_TYPE}.presentation.main+xml",
        "/ppt/slideMasters/slideMaster1.xml": f"{_TYPE}.slideMaster+xml",
        "/ppt/theme/theme1.xml": "application/vnd.openxmlformats-officedocument.theme+xml",
        "/docProps/app.xml": "application/vnd.openxmlformats-officedocument.extended-properties+xml",
    }
    parts |= {f"/ppt/slideLayouts/slideLayout{n + 1}.xml": f"{_TYPE}.slideLayout+xml" for n in range(layouts)}
    rows = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in parts.items())
    return (
        f'{_HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{rows}</Types>'
    )


def _presentation() -> str:
    size = f'<p:sldSz cx="{round(WIDTH * EMU)}" cy="{round(HEIGHT * EMU)}"/><p:notesSz cx="6858000" cy="9144000"/>'
    return (
        f'{_HEAD}<p:presentation {NAMESPACES} saveSubsetFonts="1"><p:sldMasterIdLst>'
        f'<p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst>{size}</p:presentation>'
    )


def _theme(theme: Theme) -> str:
    """Colours and fonts. In a dark theme the background is the theme's dark colour, as the master's colour map says."""
    hues, pair, second = theme.hues, (theme.ink, theme.background), (theme.dim, theme.panel)
    if theme.dark:
        pair, second = pair[::-1], second[::-1]
    colours = {
        "dk1": pair[0], "lt1": pair[1], "dk2": second[0], "lt2": second[1],
        "accent1": theme.accent, "accent2": hues[Hue.ATTENTION], "accent3": hues[Hue.QUERY], "accent4": hues[Hue.KEY],
        "accent5": hues[Hue.VALUE], "accent6": hues[Hue.MLP],
        "hlink": hues[Hue.QUERY], "folHlink": hues[Hue.ATTENTION],
    }  # fmt: skip
    scheme = "".join(f'<a:{name}><a:srgbClr val="{c[1:].upper()}"/></a:{name}>' for name, c in colours.items())
    font = f'{_FACE}<a:ea typeface=""/><a:cs typeface=""/>'
    fill = '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>'
    line = f'<a:ln w="9525">{fill}<a:prstDash val="solid"/></a:ln>'
    effect = "<a:effectStyle><a:effectLst/></a:effectStyle>"
    return (
        f'{_HEAD}<a:theme xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" name="Logitscope">'
        f'<a:themeElements><a:clrScheme name="Logitscope {theme.name}">{scheme}</a:clrScheme>'
        f'<a:fontScheme name="Logitscope"><a:majorFont>{font}</a:majorFont>'
        f"<a:minorFont>{font}</a:minorFont></a:fontScheme>"
        f'<a:fmtScheme name="Logitscope"><a:fillStyleLst>{fill * 3}</a:fillStyleLst>'
        f"<a:lnStyleLst>{line * 3}</a:lnStyleLst>"
        f"<a:effectStyleLst>{effect * 3}</a:effectStyleLst><a:bgFillStyleLst>{fill * 3}</a:bgFillStyleLst>"
        "</a:fmtScheme></a:themeElements></a:theme>"
    )


_TREE = (
    '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr>'
    '<a:xfrm><a:off x="0" y="0"/>'
    '<a:ext cx="0" cy="0"/><a:chOff x="0" y="0"/><a:chExt cx="0" cy="0"/></a:xfrm></p:grpSpPr>'
)


def _master(theme: Theme, layouts: int) -> str:
    ids = "".join(f'<p:sldLayoutId id="{2147483649 + n}" r:id="rId{n + 1}"/>' for n in range(layouts))
    back, fore = ("dk", "lt") if theme.dark else ("lt", "dk")
    accents = " ".join(f'accent{n}="accent{n}"' for n in range(1, 7))
    colours = f'bg1="{back}1" tx1="{fore}1" bg2="{back}2" tx2="{fore}2" {accents} hlink="hlink" folHlink="folHlink"'
    words = "".join(
        f'<a:lvl{n}pPr marL="{(n - 1) * 228600}" algn="l"><a:spcBef>'
        f'<a:spcPts val="{600 if n == 1 else 300}"/></a:spcBef>'
        f'<a:buNone/><a:defRPr sz="{size}"><a:solidFill><a:schemeClr val="tx1"/></a:solidFill>'
        '<a:latin typeface="+mn-lt"/></a:defRPr>'
        f"</a:lvl{n}pPr>"
        for n, size in enumerate((1800, 1600, 1400, 1300, 1300), 1)
    )
    title = (
        '<a:lvl1pPr algn="l"><a:lnSpc><a:spcPct val="95000"/></a:lnSpc><a:buNone/><a:defRPr sz="2800" b="1">'
        '<a:solidFill><a:schemeClr val="tx1"/></a:solidFill><a:latin typeface="+mj-lt"/></a:defRPr></a:lvl1pPr>'
    )
    shapes = _heading(HEADLINE) + _body(1, CONTENT, master=True) + _foot(theme)
    return (
        f'{_HEAD}<p:sldMaster {NAMESPACES}><p:cSld><p:bg><p:bgPr><a:solidFill><a:schemeClr val="bg1"/></a:solidFill>'
        f"<a:effectLst/></p:bgPr></p:bg><p:spTree>{_TREE}{shapes}</p:spTree></p:cSld><p:clrMap {colours}/>"
        f"<p:sldLayoutIdLst>{ids}</p:sldLayoutIdLst><p:txStyles><p:titleStyle>{title}</p:titleStyle>"
        f"<p:bodyStyle>{words}</p:bodyStyle><p:otherStyle/></p:txStyles></p:sldMaster>"
    )


def _layout(name: str, kind: str | None, shapes: str) -> str:
    type_ = f' type="{kind}"' if kind else ' userDrawn="1"'
    return (
        f'{_HEAD}<p:sldLayout {NAMESPACES}{type_} preserve="1"><p:cSld name={quoteattr(name)}><p:spTree>{_TREE}{shapes}'
        "</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>"
    )


def _placeholder(
    name: str,
    number: int,
    kind: str,
    *,
    index: int | None = None,
    rect: Rect | None = None,
    anchor: str = "",
    style: str = "",
    prompt: str = "",
    field: str = "",
) -> str:
    """A placeholder; without `rect`, it is where the master has it."""
    which = (f' type="{kind}"' if kind else "") + ("" if index is None else f' idx="{index}"')
    place = (
        f'<p:spPr>{transform(rect)}<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr>' if rect else "<p:spPr/>"
    )
    body = f'<a:bodyPr lIns="0" tIns="0" rIns="0" bIns="0"{f" anchor={quoteattr(anchor)}" if anchor else ""}>'
    body = f"{body}<a:normAutofit/></a:bodyPr>" if rect else "<a:bodyPr/>"
    text = (
        '<a:fld id="{5D2B3D4E-7A54-4B62-9A6C-6B1F0E1D2C3B}" type="slidenum"><a:rPr lang="en-GB"/><a:t>‹#›</a:t></a:fld>'
    )
    run = text if field else f'<a:r><a:rPr lang="en-GB"/><a:t>{prompt}</a:t></a:r>' if prompt else ""
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name={quoteattr(name)}/><p:cNvSpPr><a:spLocks noGrp="1"/></p:cNvSpPr>'
        f"<p:nvPr><p:ph{which}/></p:nvPr></p:nvSpPr>{place}<p:txBody>{body}<a:lstStyle>{style}</a:lstStyle>"
        f"<a:p>{run}</a:p></p:txBody></p:sp>"
    )


def _level(size: float, colour: str, *, bold: bool = False, align: str = "l") -> str:
    return (
        f'<a:lvl1pPr marL="0" indent="0" algn="{align}"><a:spcBef><a:spcPts val="0"/></a:spcBef><a:buNone/>'
        f'<a:defRPr sz="{round(size * 100)}" b="{int(bold)}"><a:solidFill>{colour}</a:solidFill>'
        '<a:latin typeface="+mn-lt"/></a:defRPr></a:lvl1pPr>'
    )


def plain_colour(colour: str) -> str:
    """The XML element of the colour #rrggbb."""
    return f'<a:srgbClr val="{colour[1:].upper()}"/>'


def _heading(rect: Rect | None = None) -> str:
    return _placeholder("Title", 2, "title", rect=rect, anchor="ctr", prompt="Title")


def _body(index: int, rect: Rect, *, master: bool = False) -> str:
    name = "Text" if master else "Content"
    return _placeholder(name, 3, "body" if master else "", index=index, rect=rect, anchor="t", prompt="Text")


def _foot(theme: Theme | None = None) -> str:
    """Caption and slide number; in the master, with their position and style."""
    if theme is None:
        return _placeholder("Footer", 8, "ftr", index=11) + _placeholder("Number", 9, "sldNum", index=12, field="n")
    dim = plain_colour(theme.dim)
    return _placeholder(
        "Footer", 8, "ftr", index=11, rect=Rect(40, 502, 800, 28), anchor="ctr", style=_level(FOOT, dim)
    ) + _placeholder(
        "Number", 9, "sldNum", index=12, rect=Rect(850, 502, 70, 28), anchor="ctr",
        style=_level(FOOT, dim, align="r"), field="n",
    )  # fmt: skip


def _step(theme: Theme) -> str:
    """Title, place in the walk, lead, and a line along the top that shows the slide's progress in the walk."""
    track = (
        '<p:sp><p:nvSpPr><p:cNvPr id="20" name="Track"/><p:cNvSpPr/><p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr>'
        f'{transform(Rect(0, 0, WIDTH, 4))}<a:prstGeom prst="rect"><a:avLst/></a:prstGeom><a:solidFill>'
        f"{plain_colour(theme.line)}</a:solidFill><a:ln><a:noFill/></a:ln></p:spPr></p:sp>"
    )
    accent, dim = plain_colour(theme.words(theme.accent)), plain_colour(theme.dim)
    return (
        track
        + _heading()
        + _placeholder(
            "Place", 4, "body", index=PLACE, rect=Rect(40, 20, 880, 16), anchor="ctr",
            style=_level(FOOT, accent, bold=True), prompt="Where in the walk",
        )
        + _placeholder(
            "Lead", 5, "body", index=LEAD, rect=LEAD_AT, anchor="t", style=_level(15, dim), prompt="Lead"
        )
        + _foot()
    )  # fmt: skip


def _title_slide(theme: Theme) -> str:
    under = _placeholder(
        "Subtitle", 3, "subTitle", index=1, rect=Rect(40, 322, 880, 80), anchor="t",
        style=_level(20, plain_colour(theme.dim)), prompt="Subtitle",
    )  # fmt: skip
    style = _level(40, '<a:schemeClr val="tx1"/>', bold=True)
    return (
        _placeholder("Title", 2, "ctrTitle", rect=Rect(40, 170, 880, 120), anchor="b", style=style, prompt="Title")
        + under
        + _foot()
    )
