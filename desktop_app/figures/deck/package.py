"""Reads an untrusted Office package within limits, checks each part as it is parsed, and writes the package again.

python-pptx, and later PowerPoint, read exactly what was checked: every part of an XML type is written again from its
tree, in UTF-8, so that nothing refused here gets through in another encoding. Other parts, and pictures (SVG too), are
copied as they are. ECMA-376 part 2 defines packages.
"""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from lxml import etree

from desktop_app.gpt2.errors import ExportError

_FILE_LIMIT = 200 << 20
_UNPACKED_LIMIT = 400 << 20
_XML_LIMIT = 32 << 20
_PARTS = 5000
_NODES = 500_000  # elements and attributes of all parts together; python-pptx keeps an object for each
_DEPTH = 200
_RELATIONS = 20_000

_TYPES = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_RELATIONSHIPS = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_ID_SPACES = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}",
    "{http://purl.oclc.org/ooxml/officeDocument/relationships}",
)
_HYPERLINKS = tuple(f"{space[1:-1]}/hyperlink" for space in _ID_SPACES)
_LINKS_ALLOWED = ("http://", "https://", "mailto:")
_MAIN = "application/vnd.openxmlformats-officedocument.presentationml.{}.main+xml"
_MAINS = ("presentation", "template", "slideshow")
_MACROS = ("macroenabled", "vbaproject", "activex", "vbadata")  # words in a content type or a relation's type
_SLIDES = ("/slide", "/notesSlide", "/comments", "/commentAuthors")
"""Ends of the types of relations to slides of the template, which are not copied into a deck."""
_OF_SLIDES = ("sldIdLst", "custShowLst", "extLst", "showPr", "sldLst")
"""Elements that refer to slides by number, in the presentation's part and in the part of its properties."""
_JUMPS = ("hlinkClick", "hlinkHover")
# jumps to the next slide, to the last slide etc., which are valid whatever the slides are
_STAYS = "ppaction://hlinkshowjump"


@dataclass
class _Part:
    """A part by its name without a leading slash. `tree` is its parsed XML, if its type is XML and it is no picture."""

    name: str
    kind: str
    content: bytes
    tree: Any = None
    relations: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    """Id -> (type, target (a part's name or an address), whether it is external)."""


def clean_package(path: Path) -> bytes:
    """The bytes of a template that is safe to open: complete, not too large, without slides or macros.

    No relation leads out of it, except hyperlinks to web and mail addresses.

    Raises ExportError, in one sentence that says what is wrong and what to do.
    """
    data = _read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            contents = _unpacked(archive, path)
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError),
        *(RuntimeError, ValueError, OSError, OverflowError, LookupError),
    ) as reason:
        raise ExportError(
            f"{path} is damaged, or not a PowerPoint file; save the template as .pptx or .potx."
        ) from reason
    package = _Package(contents, path)
    parts = list(_kept(package))
    for part in parts:
        _without_slides(part)
    return _packed(parts)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ExportError(f"There is no template {path}; name a .pptx or .potx file.")
        if path.stat().st_size > _FILE_LIMIT:
            raise ExportError(f"{path} has more than {_FILE_LIMIT >> 20} MB; a template is a few layouts, not more.")
        return path.read_bytes()
    except OSError as reason:
        raise ExportError(f"{path} cannot be read: {reason.strerror or reason}.") from reason


def _unpacked(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    """Name -> bytes of every part. Reading stops at the sizes that the file claims."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = {entry.filename.lower() for entry in entries}
    if len(entries) > _PARTS or len(names) != len(entries):
        raise ExportError(f"{path} has too many parts, or one twice; save the template again in PowerPoint.")
    if not {"[content_types].xml", "_rels/.rels"} <= names:
        raise ExportError(f"{path} is not a PowerPoint file; save the template as .pptx or .potx.")
    if sum(entry.file_size for entry in entries) > _UNPACKED_LIMIT:
        raise ExportError(f"{path} unpacks to more than {_UNPACKED_LIMIT >> 20} MB; a template is a few layouts.")
    contents = {}
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
            raise ExportError(f"{path}: its part {entry.filename[:60]!r} has a path outside the package.")
        with archive.open(entry) as part:
            contents[entry.filename] = part.read(entry.file_size + 1)
    return contents


class _Package:
    """The parts of a file. Each is parsed only when it is requested, so parts that are not used may be of any size."""

    def __init__(self, contents: dict[str, bytes], path: Path) -> None:
        self.path = path
        self._contents = contents
        self._by_name = {name.lower(): name for name in contents}
        self._bound = _Bound(path)
        self._kind_of = _kinds(self._tree("[content_types].xml"), path)

    def _tree(self, name: str) -> Any:
        name = self._by_name[name.lower()]
        return self._bound.tree(name, self._contents[name])

    def part(self, name: str) -> _Part:
        """A part with its tree and its relations; "" is the package itself."""
        part = _Part(name, self._kind_of(name) if name else "", self._contents.get(name, b""))
        if part.kind.endswith(("+xml", "/xml")) and not part.kind.startswith("image/"):
            part.tree = self._tree(name)
        folder, file = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{file}.rels")
        if relations.lower() in self._by_name:
            part.relations = _relations(self._tree(relations), name, self._by_name, self.path)
        return part


class _Bound:
    """Parses parts, and counts their elements and attributes before any of them becomes an object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nodes = 0
        self._depth = 0

    def tree(self, name: str, content: bytes) -> Any:
        """The root element of a part."""
        if len(content) > _XML_LIMIT:
            raise ExportError(f"{self._path}: its part {name} has more than {_XML_LIMIT >> 20} MB.")
        self._depth = 0
        reader = expat.ParserCreate(namespace_separator=" ")
        reader.StartElementHandler = self._start
        reader.EndElementHandler = self._end
        reader.StartDoctypeDeclHandler = lambda *_: self._refuse(name)
        try:
            reader.Parse(content, True)
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
            return etree.fromstring(content, parser)
        except (expat.ExpatError, etree.XMLSyntaxError, ValueError, LookupError) as reason:
            where = f"line {reason.lineno}" if isinstance(reason, expat.ExpatError) else "its text"
            raise ExportError(
                f"{self._path} is damaged: its part {name} is not XML ({where}); save it again."
            ) from reason

    def _start(self, _name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._nodes += 1 + len(attributes)
        if self._nodes > _NODES or self._depth > _DEPTH:
            raise ExportError(
                f"{self._path} has more than {_NODES:,} elements and attributes, or more than {_DEPTH} elements within "
                "each other; a template is a few layouts: delete what it does not need."
            )

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _refuse(self, name: str) -> None:
        raise ExportError(
            f"{self._path}: its part {name} has a document type, where entities are defined, which no PowerPoint file "
            "has; it is not opened."
        )


def _kinds(tree: Any, path: Path) -> Any:
    """A function from a part's name to its content type."""
    overrides: dict[str, str] = {}
    defaults: dict[str, str] = {}
    for element in tree.iterchildren():
        kind = element.get("ContentType", "").strip()
        if element.tag == f"{_TYPES}Override":
            overrides[element.get("PartName", "").lstrip("/").lower()] = kind
        elif element.tag == f"{_TYPES}Default":
            defaults[element.get("Extension", "").lower()] = kind
        else:
            raise ExportError(f"{path} is damaged: its list of content types contains something else; save it again.")
        _refuse_macros(kind, path)

    def kind_of(name: str) -> str:
        return overrides.get(name.lower()) or defaults.get(PurePosixPath(name).suffix[1:].lower(), "")

    return kind_of


def _refuse_macros(kind: str, path: Path) -> None:
    if any(word in kind.lower() for word in _MACROS):
        raise ExportError(f"{path} contains macros, which a deck must not have; save it as .pptx or .potx.")


def _relations(tree: Any, source: str, by_name: dict[str, str], path: Path) -> dict[str, tuple[str, str, bool]]:
    """Id -> relation of the part `source`."""
    found: dict[str, tuple[str, str, bool]] = {}
    if len(tree) > _RELATIONS:
        raise ExportError(f"{path} has more than {_RELATIONS:,} relations in one part; save the template again.")
    for element in tree.iterchildren():
        name, kind, target = (element.get(key, "").strip() for key in ("Id", "Type", "Target"))
        if element.tag != f"{_RELATIONSHIPS}Relationship" or not name or name in found:
            raise ExportError(f"{path} is damaged: the relations of {source or 'the file'} are malformed.")
        outside = element.get("TargetMode", "Internal").strip()
        if outside not in ("Internal", "External"):
            raise ExportError(f"{path} is damaged: a relation of {source or 'the file'} leads {outside[:20]!r}.")
        if outside == "External":
            found[name] = (kind, target, True)
            continue
        place = posixpath.normpath(posixpath.join("/", posixpath.dirname(source), target)).lstrip("/")
        if place.lower() in by_name:  # a relation to a missing part is left out, as PowerPoint does
            found[name] = (kind, by_name[place.lower()], False)
    return found


def _kept(package: _Package) -> Iterator[_Part]:
    """The package, the presentation, and the parts that it needs. Refuses external references that may do harm.

    A template file (POTX) becomes a presentation that can be edited.
    """
    top, path = package.part(""), package.path
    for kind, target, outside in top.relations.values():
        if outside:
            _refuse_outside(kind, target, path)
    mains = [target for kind, target, _ in top.relations.values() if kind.endswith("/officeDocument")]
    main = package.part(mains[0]) if mains else None
    if main is None or main.tree is None or main.kind not in map(_MAIN.format, _MAINS):
        raise ExportError(f"{path} is damaged, or not a presentation; save the template as .pptx or .potx.")
    main.kind = _MAIN.format("presentation")
    top.relations = {
        name: row for name, row in top.relations.items() if row[1] == main.name or row[0].endswith("/core-properties")
    }
    yield top
    waiting, seen = [main], {main.name}
    while waiting:
        part = waiting.pop()
        yield part
        for kind, target, outside in (*part.relations.values(), *(top.relations.values() if part is main else ())):
            _refuse_macros(kind, path)
            if outside and not kind.endswith(_SLIDES):
                _refuse_outside(kind, target, path)
            elif target not in seen and not kind.endswith(_SLIDES):
                seen.add(target)
                waiting.append(package.part(target))


def _refuse_outside(kind: str, target: str, path: Path) -> None:
    """Raise ExportError for an external relation, unless it is a hyperlink to a web or mail address."""
    if not (kind in _HYPERLINKS and target.lower().startswith(_LINKS_ALLOWED)):
        raise ExportError(f"{path} refers to {target[:80]!r} outside of it; embed that in the template instead.")


def _without_slides(part: _Part) -> None:
    """Remove references to the template's slides, which are not copied: relations, lists of numbers, jump buttons."""
    gone = {name for name, (kind, _, _) in part.relations.items() if kind.endswith(_SLIDES)}
    part.relations = {name: row for name, row in part.relations.items() if name not in gone}
    if part.tree is None:
        return
    for element in list(part.tree.iter(etree.Element)):
        parent = element.getparent()
        name = etree.QName(element).localname
        known = all(
            value in part.relations
            for key, value in element.attrib.items()
            if value and str(key).startswith(_ID_SPACES) and etree.QName(key).localname in ("id", "embed", "link")
        )
        action = element.get("action", "") if name in _JUMPS else ""
        of_slides = parent is part.tree and name in _OF_SLIDES and "presentationml" in etree.QName(element).namespace
        listed = of_slides and part.kind.startswith("application/vnd.openxmlformats-officedocument.presentationml.pres")
        if parent is not None and (listed or not known or (action and not action.startswith(_STAYS))):
            parent.remove(element)


def _packed(parts: list[_Part]) -> bytes:
    """A package of these parts, of which the first is the package itself; types are declared, trees written as XML."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        types = etree.Element(f"{_TYPES}Types", nsmap={None: _TYPES[1:-1]})
        rows = {"Extension": "rels", "ContentType": "application/vnd.openxmlformats-package.relationships+xml"}
        etree.SubElement(types, f"{_TYPES}Default", rows)
        for part in parts[1:]:
            row = {"PartName": f"/{part.name}", "ContentType": part.kind or "application/octet-stream"}
            etree.SubElement(types, f"{_TYPES}Override", row)
        _write(packed, "[Content_Types].xml", _serialised(types))
        for part in parts:
            if part.name:
                _write(packed, part.name, part.content if part.tree is None else _serialised(part.tree))
            if part.relations:
                rels = etree.Element(f"{_RELATIONSHIPS}Relationships", nsmap={None: _RELATIONSHIPS[1:-1]})
                for name, (kind, target, outside) in part.relations.items():
                    row = {"Id": name, "Type": kind, "Target": target if outside else f"/{target}"}
                    etree.SubElement(
                        rels, f"{_RELATIONSHIPS}Relationship", row | ({"TargetMode": "External"} if outside else {})
                    )
                folder, file = posixpath.split(part.name)
                _write(packed, posixpath.join(folder, "_rels", f"{file}.rels"), _serialised(rels))
    return buffer.getvalue()


def _serialised(tree: Any) -> bytes:
    return bytes(etree.tostring(tree, xml_declaration=True, encoding="UTF-8", standalone=True))


def _write(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
