"""The plain sentences that a student types first, which no training passage may contain, and how they are scored.

`tests/models/data/plain-sentences.tsv` has one per line: the kind, the prompt, and the accepted beginnings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "tests" / "models" / "data" / "plain-sentences.tsv"
TOKENS = 8


@dataclass(frozen=True)
class Sentence:
    """A prompt, and the accepted beginnings of its continuation."""

    kind: str
    prompt: str
    accepted: tuple[str, ...]

    def is_continued_by(self, text: str) -> bool:
        """Tell whether a continuation begins with an accepted beginning, as whole words and after any space."""
        for beginning in self.accepted:
            end = r"\b" if beginning[-1].isalnum() else ""
            if re.match(rf"\s*{re.escape(beginning.strip())}{end}", text):
                return True
        return False


def read(path: Path = FILE) -> list[Sentence]:
    """Read the sentences."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [Sentence(kind, prompt, tuple(accepted.split("|"))) for kind, prompt, accepted in rows]


SENTENCES = read()
_BOUNDED = {s.prompt.lower(): re.compile(rf"(?<!\w){re.escape(s.prompt)}(?!\w)", re.IGNORECASE) for s in SENTENCES}


def contained(text: str) -> str:
    """Return the first plain sentence that a text contains, ignoring case, or ""."""
    lower = text.lower()
    hits = (pattern.search(text) for prompt, pattern in _BOUNDED.items() if prompt in lower)
    return next((hit[0] for hit in hits if hit), "")
