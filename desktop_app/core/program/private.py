"""Removes from log lines what they must not contain: the text that a user typed, access tokens, and logins.

Texts are registered with this module when they are typed or read. Anything in quotation marks in an exception or a
message is left out, whether registered or not. File names, line numbers and source lines of a traceback stay.
"""

import re
from collections import deque
from pathlib import Path

from desktop_app.core.library.secrecy import without_secrets

GONE = "…"
"""The text shown in place of what was left out."""

_TEXTS = 64
_SHORTEST = 4
"""Characters. A shorter text reveals nothing, and leaving it out everywhere would make the log unreadable."""

_QUOTED = re.compile(r"""(?<!\w)(['"])(?:\\.|(?!\1).)*\1(?!\w)""")
_WORD = re.compile(rf"\w{{{_SHORTEST},}}")

_texts: deque[str] = deque(maxlen=_TEXTS)


def hide(text: str) -> None:
    """Leave `text`, its lines and its words out of the log from now on; this holds for the last 64 texts."""
    if text and (not _texts or _texts[-1] != text):
        _texts.append(text)


def without_private(text: str) -> str:
    """`text`, a log line or a traceback, without secrets, quotations and hidden texts; the home folder becomes `~`.

    Indented lines are the frames of a traceback: there, only whole hidden lines are replaced, not words.
    """
    text = without_secrets(text)
    for line in sorted({line for hidden in _texts for line in _lines(hidden)}, key=len, reverse=True):
        text = text.replace(line, GONE)
    words = {word.casefold() for hidden in _texts for word in _WORD.findall(hidden)}
    return without_home("\n".join(line if line[:1].isspace() else _redacted(line, words) for line in text.split("\n")))


def without_home(text: str) -> str:
    """`text` with the home folder, which contains the user's name, written as `~`."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def _lines(text: str) -> set[str]:
    found = {text, *text.splitlines()}
    return {form for line in found if len(line.strip()) >= _SHORTEST for form in (line, line.strip(), repr(line)[1:-1])}


def _redacted(line: str, words: set[str]) -> str:
    """A line that is not a traceback's frame, without quotations and hidden words."""
    line = _QUOTED.sub(GONE, line)
    return _WORD.sub(lambda word: GONE if word[0].casefold() in words else word[0], line)
