"""Text escaped for XML: in an element, and as an attribute's value.

Like `xml.sax.saxutils`, whose import takes 40 ms because it imports `urllib.request`.
"""

from html import escape as _escape

_SPACES = str.maketrans({"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})  # a parser would make spaces of them


def escape(text: str) -> str:
    """The text for an element: `&`, `<` and `>` are replaced by entities."""
    return _escape(text, quote=False)


def quoteattr(text: str) -> str:
    """The text as an attribute's value, in quotes."""
    return f'"{_escape(text).translate(_SPACES)}"'
