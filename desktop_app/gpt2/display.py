"""How a token's bytes are shown: as a label with visible whitespace, and quoted inside a sentence."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_VISIBLE = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽"}
_TYPED = {shown: char for char, shown in _VISIBLE.items()}
_ESCAPED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
_SPACE = _VISIBLE[" "]
_QUOTED = {" ": _SPACE, _SPACE: f"\\u{{{ord(_SPACE):x}}}"} | _ESCAPED
_UNQUOTED = {escape[1]: char for char, escape in _ESCAPED.items()} | {'"': '"'}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL)

# Characters without visible ink although their general category is letter, mark or symbol: the default-ignorable ones
# in Unicode's DerivedCoreProperties.txt, and the blank braille pattern.
_INKLESS = frozenset(
    [chr(code) for code in (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800)]
    + [chr(code) for code in (0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))]
)
# Controls, format characters (including bidi and zero-width ones), private use, unassigned, and every separator.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def is_visible(char: str) -> bool:
    """Whether `char` is visible by itself."""
    return char not in _INKLESS and unicodedata.category(char) not in _INVISIBLE_CATEGORIES


@lru_cache(1 << 16)
def label(data: bytes) -> str:
    """The display form of a token: plain, safe, on one line and never empty.

    Whitespace is shown as `·` space, `↵` newline, `⇥` tab, `␍` carriage return and `⍽` no-break space; any other
    invisible character as an escape like `\\u{200b}`; bytes that are only a part of a UTF-8 character as hex like `‹E2
    96›`. A combining mark without a base character is shown on a dotted circle.
    """
    shown: list[str] = []
    bare = True  # there is no character yet with which a combining mark could combine
    for text, raw in _pieces(data):
        if raw:
            shown.append(f"‹{raw.hex(' ').upper()}›")
            bare = True
        for char in text:
            seen = char in {" ", "\u00a0"} or is_visible(char)
            if char in _VISIBLE:
                shown.append(_VISIBLE[char])
            elif not seen:
                shown.append(f"\\u{{{ord(char):x}}}")
            elif bare and unicodedata.category(char).startswith("M"):
                shown.append("◌" + char)
            else:
                shown.append(char)
            bare = char in _VISIBLE or not seen
    return "".join(shown) or "‹›"


def quoted(data: bytes) -> str:
    """The token quoted for a sentence, `'·creature'`: spaces as in its label, straight quotes, and lossless escapes.

    `\\n`, `\\t`, `\\r`, `\\\\` and `\\'` are as in Python; `\\u{a0}` is a character that is invisible by itself, a
    combining mark without a base, or `·` itself; `\\xe2` is a byte of an incomplete UTF-8 character. `unquote` returns
    the same bytes.
    """
    shown: list[str] = []
    bare = True
    for text, raw in _pieces(data):
        shown += [f"\\x{byte:02x}" for byte in raw]
        bare = bare or bool(raw)
        for char in text:
            as_is = is_visible(char) and not (bare and unicodedata.category(char).startswith("M"))
            shown.append(_QUOTED.get(char) or (char if as_is else f"\\u{{{ord(char):x}}}"))
            bare = char in _QUOTED or not as_is
    return f"'{''.join(shown)}'"


def unquote(text: str) -> bytes | None:
    """The bytes of a quoted form (in straight single or double quotes); None if `text` is not one.

    A space may be typed as a space or as it is shown, `·`.
    """
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    out = bytearray()
    at, body = 0, text[1:-1]
    try:
        for match in _ESCAPE.finditer(body):
            out += body[at : match.start()].replace(_SPACE, " ").encode()
            byte, code, char = match.groups()
            if byte is not None:
                out.append(int(byte, 16))
            elif code is not None:
                out += chr(int(code, 16)).encode()
            else:
                out += _UNQUOTED[char].encode()
            at = match.end()
        out += body[at:].replace(_SPACE, " ").encode()
    except (KeyError, ValueError, OverflowError):  # an unknown escape, a lone surrogate, beyond Unicode
        return None
    return bytes(out)


def typed(text: str) -> str:
    """The text with the visible whitespace of a label turned back into whitespace: `·Paris` into ` Paris`."""
    return "".join(_TYPED.get(char, char) for char in text)


def _pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes cut into runs of whole characters (text, b"") and runs of partial characters ("", bytes)."""
    # surrogateescape maps each byte that is not a part of a valid character to U+DC80..U+DCFF.
    decoded = data.decode("utf-8", errors="surrogateescape")
    for match in re.finditer("[\udc80-\udcff]+|[^\udc80-\udcff]+", decoded):
        run = match.group()
        if "\udc80" <= run[0] <= "\udcff":
            yield "", run.encode("utf-8", errors="surrogateescape")
        else:
            yield run, b""
