"""Views and panels in words, for readers who cannot see them: a screen reader's text, and the alt text of slides."""

from desktop_app.core.panels import (
    Panel,
    View,
    panels_of,
)
from desktop_app.figures.kinds import KINDS


def spoken(view: View) -> str:
    """The headline, the lead and every panel, in sentences; the same panel only once."""
    said = dict.fromkeys(alt_of(panel) for panel in panels_of(view.content))
    return " ".join(filter(None, (f"{view.title}." if view.title else "", view.lead, *said)))


def alt_of(panel: Panel) -> str:
    """A panel in a sentence or two."""
    name = f"{panel.title}. " if panel.title else ""
    name += f"{panel.aside[0].upper()}{panel.aside[1:]}. " if panel.aside else ""
    return (name + KINDS[type(panel)].words(panel)).strip()
