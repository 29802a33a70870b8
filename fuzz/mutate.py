"""Mutations that keep most of an input's structure, so that they get past a parser's first checks."""

import copy
import io
import json
import math
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.checkpoints import sealed

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -0.0, 1, -1, 2, 3, 255, 2**31 - 1, 2**31, 2**53, 2**63, -(2**63), 10**400),
    *(0.5, 1e308, 1e-320, "", " ", "0", "-1", "nan", "\0", "\ud800", "\u202e", "a" * 5000, "../x", "/etc/passwd"),
    *("C:\\x", "x\ny", "é", "🙂", [], {}, [[]], {"": ""}, [0] * 40, "[" * 200, "%s", "{0}", "(a+)+b", "("),
)
WORDS = ("0", "-1", "1e999", "nan", "0x" + "f" * 400, '""', '"\\u0000"', "[]", "{}", "true", "''", "9" * 30, "[[1]]")


def odd(chance: random.Random) -> Any:
    """One of the values that parsers often mishandle; lists and dicts are copies."""
    return copy.deepcopy(chance.choice(ODD))


Mutate = Callable[[random.Random, bytes], bytes]


def in_bytes(chance: random.Random, data: bytes) -> bytes:
    """Flip bits, and delete, repeat or insert bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        length = chance.choice((1, 1, 2, 8, 64))
        kind = chance.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at:at] = changed[at : at + length] * chance.choice((1, 1, 1, 1000))
        elif kind == 3:
            changed[at:at] = chance.randbytes(length)
        else:
            del changed[at:]
    return bytes(changed)


def in_json(chance: random.Random, data: bytes) -> bytes:
    """Change a few values of a JSON text, and sometimes its bytes too; only bytes if the text is not JSON any more."""
    try:
        tree = json.loads(data)
    except ValueError:
        return in_bytes(chance, data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        tree = changed_tree(chance, tree)
    text = json.dumps(tree, allow_nan=True, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return in_bytes(chance, text) if chance.random() < 0.1 else text


def changed_tree(chance: random.Random, tree: Any) -> Any:
    """A tree of JSON values with one node changed."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            collect(node[key])

    collect(tree)
    if not places or chance.random() < 0.02:
        return odd(chance)
    node, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other, place = chance.choice(places)
        node[key] = copy.deepcopy(other[place]) if _has(other, place) else odd(chance)
    elif kind == 2 and isinstance(node, dict):
        name = chance.choice((key + " ", key.upper(), key[:-1], "", "\ud800", *node))
        node[name] = node.pop(key)
    elif kind == 3 and isinstance(node, list):
        node[key:key] = [node[key]] * chance.choice((1, 2, 3000))
    elif kind == 4 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        value = node[key]
        node[key] = chance.choice((value + 1, value - 1, -value, value * 2, value * 1000, str(value)))
    else:
        node[key] = odd(chance)
    return tree


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def in_safetensors(chance: random.Random, data: bytes) -> bytes:
    """Change the header as JSON and usually adjust its length field; or change the bytes."""
    if chance.random() < 0.2:
        return in_bytes(chance, data)
    (length,) = struct.unpack("<Q", data[:8])
    header = in_json(chance, data[8 : 8 + length])
    told = len(header) + (chance.choice((1, -1, 1 << 40)) if chance.random() < 0.05 else 0)
    return struct.pack("<Q", told % (1 << 64)) + header + data[8 + length :]


def in_trace(chance: random.Random, data: bytes) -> bytes:
    """Change a saved pass (its metadata and the JSON in them, tensors, numbers) and usually renew its digest."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    about: dict[str, str] = header.pop("__metadata__")
    inside = [key for key in ("config", "edits") if key in about]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        kind, name = chance.randrange(6), chance.choice(list(header))
        if kind < 2 and inside:
            key = inside.pop(chance.randrange(len(inside)))  # once each: afterwards it may not be JSON
            about[key] = in_json(chance, about[key].encode()).decode("utf-8", "replace")
        elif kind <= 2:
            about["mask"] = chance.choice(("none", "window:2", "window:0", "global:1", "window:" + "9" * 30, "", "x"))
        elif kind == 3:
            body = _other_numbers(chance, body, *header[name]["data_offsets"])
        elif kind == 4:
            body, header = _fewer_tensors(chance, body, header)
        else:
            other = chance.choice(list(header))
            header[name], header[other] = header[other], header[name]
    tree = {"__metadata__": {**about, "sha256": "0" * 64}, **header}
    text = json.dumps(changed_tree(chance, tree) if chance.random() < 0.1 else tree, separators=(",", ":")).encode()
    changed = struct.pack("<Q", len(text)) + text + body
    return changed if chance.random() < 0.05 else sealed(changed)


def _other_numbers(chance: random.Random, body: bytes, start: int, stop: int) -> bytes:
    """Put the same odd number at some places of a tensor."""
    put = struct.pack("<f", chance.choice((math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.0, 1.0)))
    at = start + 4 * chance.randrange(max(1, (stop - start) // 4))
    put = (put * chance.choice((1, 2, 500)))[: stop - at]
    return body[:at] + put + body[at + len(put) :]


def _fewer_tensors(chance: random.Random, body: bytes, header: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Leave out some tensors, so that what remains has no gap."""
    kept, left, share = b"", {}, chance.choice((0.02, 0.5, 0.9))
    for name, row in header.items():
        if name == "tokens" or chance.random() >= share:
            start, stop = row["data_offsets"]
            left[name] = row | {"data_offsets": [len(kept), len(kept) + stop - start]}
            kept += body[start:stop]
    return kept, left


def in_npz(chance: random.Random, data: bytes) -> bytes:
    """Change numbers, shapes, types and names of the arrays of a numpy archive, and JSON kept in them; or its bytes."""
    if chance.random() < 0.2:
        return in_bytes(chance, data)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        name = chance.choice(list(arrays))
        array = arrays[name]
        kind = chance.randrange(7)
        if array.dtype == np.uint8 and kind < 5:
            arrays[name] = np.frombuffer(in_json(chance, array.tobytes()), np.uint8)
        elif kind < 2 and array.size and array.dtype.kind in "iuf":
            changed = array.copy()
            number = chance.choice([n for n in ODD if isinstance(n, int | float) and abs(n) < 2**63])
            with np.errstate(all="ignore"):
                changed.reshape(-1)[chance.randrange(array.size)] = np.asarray(number).astype(array.dtype)
            arrays[name] = changed
        elif kind == 2:
            arrays[name] = array[: chance.randrange(len(array) + 1)] if array.ndim else array[None]
        elif kind == 3:
            arrays[name] = array.reshape(-1) if chance.random() < 0.5 else array[..., None]
        elif kind == 4 and array.dtype.kind in "iuf":
            with np.errstate(all="ignore"):
                arrays[name] = array.astype(chance.choice(("f2", "f8", "i1", "i8", "u4", "?", "U3", "c8", "M8[s]")))
        elif kind == 5:
            arrays[chance.choice((*arrays, "x", "../x", ""))] = array
        else:
            del arrays[name]
        if not arrays:
            break
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def in_lines(chance: random.Random, data: bytes) -> bytes:
    """Change a text with lines of `key = value` or one token each: swap, copy or delete lines, replace values."""
    lines = data.decode().split("\n")
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        kind = chance.randrange(6)
        key, equals, _ = lines[at].partition("=")
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(chance.randrange(len(lines) + 1), lines[at])
        elif kind == 2 and equals:
            lines[at] = f"{key}= {chance.choice(WORDS)}"
        elif kind == 3:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 4:
            words = re.findall(r"\w+|\W", lines[at])
            if words:
                words[chance.randrange(len(words))] = chance.choice((*WORDS, "a.b", "[[", "\\u0000", "é"))
            lines[at] = "".join(words)
        else:
            lines[at] = in_bytes(chance, lines[at].encode()).decode("utf-8", "replace")
        lines = lines or [""]
    return "\n".join(lines).encode()


def in_package(chance: random.Random, data: bytes) -> bytes:
    """Change attributes, elements and part names in a ZIP of XML parts and pack it again; or change its bytes."""
    if chance.random() < 0.15:
        return in_bytes(chance, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(chance.choice((1, 1, 2, 4))):
        name = chance.choice(
            [*(n for n in parts if n.endswith((".xml", ".rels"))), "[Content_Types].xml", "_rels/.rels"]
        )
        if name not in parts:
            continue
        kind = chance.randrange(12)
        if kind == 0:
            del parts[name]
        elif kind == 1:
            parts[chance.choice(("../x.xml", "X.xml", name.upper(), "a\\b.xml", "ppt/vbaProject.bin"))] = parts[name]
        elif kind == 2:
            parts[name] = parts[chance.choice(list(parts))]
        else:
            parts[name] = in_xml(chance, parts[name])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def in_xml(chance: random.Random, content: bytes) -> bytes:
    """Replace an attribute's value, delete or repeat a tag, insert an entity, or change the encoding."""
    kind = chance.randrange(8)
    found = list(re.finditer(rb'="([^"]*)"', content)) if kind < 5 else list(re.finditer(rb"<[^<>]+>", content))
    if kind == 7:
        return content.replace(b"UTF-8", chance.choice((b"UTF-7", b"UTF-16", b"latin-1", b"nonsense")), 1)
    if not found:
        return in_bytes(chance, content)
    place = chance.choice(found)
    if kind < 5:
        texts = (str(value) for value in ODD if isinstance(value, int | float | str))
        value = chance.choice((*texts, "&#69;xternal", "&lt;"))
        put = value.replace("\0", "&#0;").encode("utf-8", "replace").replace(b'"', b"").replace(b"<", b"")
        return content[: place.start(1)] + put + content[place.end(1) :]
    put = b"" if kind == 5 else place.group() * chance.choice((2, 2000))
    return content[: place.start()] + put + content[place.end() :]
