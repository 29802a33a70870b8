"""The documentation's figures are those that its listing names, made by the program and not edited since."""

import re
from pathlib import Path

from desktop_app.cli import figure
from desktop_app.cli.options import LISTED
from desktop_app.figures.build import Record, _written
from desktop_app.figures.listing import read_listing

DOCS = Path(__file__).resolve().parent.parent / "docs"
LISTING = DOCS / "figures" / "figures.toml"


def test_every_listed_figure_is_there_as_it_was_made():
    entries = read_listing(LISTING, LISTING.parent, LISTED, figure.order_of)
    record = Record(LISTING.parent / "figures.built.json")
    assert {entry.name for entry in entries} == set(record.outputs)
    for entry in entries:
        assert _written(entry.order) == record.outputs[entry.name]["written"], entry.name


def test_every_picture_that_the_documents_show_is_there():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for place in re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / place).exists(), f"{page.name}: {place}"
