"""The words of `data/words.toml`, which fill slots: a slot is a column of a table, and whole rows of a table are drawn.

`{country}` and `{capital}` are columns of one table, so a phrasing that draws a country has its capital too. A list is
a table of one column; a list of nouns has the plurals as a second column.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Table:
    """Rows of words under named columns; `order` says whether rows are a sequence, and whether that is cyclic."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    order: str = ""  # "", "cycle" or "sequence"

    def column(self, name: str) -> tuple[str, ...]:
        """All words of a column, in row order."""
        at = self.columns.index(name)
        return tuple(row[at] for row in self.rows)


def plural(noun: str, irregular: dict[str, str]) -> str:
    """Return the plural of a noun."""
    if noun in irregular:
        return irregular[noun]
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return noun + "es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", noun) + "s"


def split(text: str) -> list[str]:
    """Split a list at its commas; a line break without a comma does not end an entry."""
    return [" ".join(part.split()) for part in text.split(",") if part.strip()]


def read(path: Path = DATA / "words.toml") -> dict[str, Table]:
    """Read the tables by the names of their columns; every column name occurs only once."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    irregular = data["irregular"]
    tables = [Table((name,), tuple((word,) for word in split(text))) for name, text in data["lists"].items()]
    nouns = {name: [(one, plural(one, irregular)) for one in split(text)] for name, text in data["nouns"].items()}
    tables += [Table((name, plural(name, {"person": "persons"})), tuple(rows)) for name, rows in nouns.items()]
    for order in ("cycle", "sequence"):
        tables += [Table((name,), tuple((w,) for w in split(t)), order) for name, t in data[order + "s"].items()]
    for spec in data["tables"].values():
        rows = [tuple(row.split("/")) for row in split(spec.get("rows", ""))]
        rows += [row[::-1] for row in rows] if spec.get("both") else []
        for source, rest in spec.get("from", []):
            rows += [(word, *rest.split("/")) for word in split(data["lists"][source])]
        for source in spec.get("from_nouns", []):
            for one, many in nouns[source]:
                rows += [(one, "is", "was", "has", "does"), (many, "are", "were", "have", "do")]
        tables.append(Table(tuple(spec["columns"].split("/")), tuple(dict.fromkeys(rows))))
    slots: dict[str, Table] = {}
    for table in tables:
        for column in table.columns:
            if column in slots:
                raise ValueError(f"{path} has two columns named {column}; give one another name.")
            slots[column] = table
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ValueError(f"{path}: not every row of {'/'.join(table.columns)} has {len(table.columns)} columns.")
    return slots


SLOTS = read()
_COLUMNS = {slot: table.column(slot) for slot, table in SLOTS.items()}


def words(slot: str) -> tuple[str, ...]:
    """All words of a slot, in row order."""
    return _COLUMNS[slot]
