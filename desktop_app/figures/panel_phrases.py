"""The words on each kind of panel, besides its title and note, put into another language."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from desktop_app.core.panels import (
    BarsPanel,
    CloudPanel,
    CurvePanel,
    Cut,
    GraphPanel,
    MapPanel,
    MultiplesPanel,
    Panel,
    RulerPanel,
    SheetPanel,
    StripsPanel,
    TextPanel,
    WaterfallPanel,
)

Say = Callable[[str], str]
"""Phrases -> their words in the language of the figure; what is not a phrase stays unchanged."""

_EDGES = ("row_labels", "column_labels")


def nothing(_panel: Panel, _say: Say) -> dict[str, Any]:
    """For a panel that has no other words on it, or only text of the prompt."""
    return {}


def text_phrases(panel: TextPanel, say: Say) -> dict[str, Any]:
    """Words on lines of text."""
    more: dict[str, Any] = {}
    more["lines"] = tuple(replace(x, label=say(x.label), text=say(x.text), remark=say(x.remark)) for x in panel.lines)
    return more


def strips_phrases(panel: StripsPanel, say: Say) -> dict[str, Any]:
    """Words on vectors as strips."""
    more: dict[str, Any] = {}
    more["strips"], more["peers"] = (
        tuple(replace(s, label=say(s.label), remark=say(s.remark)) for s in strips)
        for strips in (panel.strips, panel.peers)
    )
    return more


def map_phrases(panel: MapPanel, say: Say) -> dict[str, Any]:
    """Words on a table as colours."""
    more: dict[str, Any] = {}
    more["x_label"] = say(panel.x_label)
    more["texts"] = tuple(tuple(map(say, line)) for line in panel.texts)
    more |= {name: tuple(map(say, getattr(panel, name))) for name in _EDGES}
    return more


def multiples_phrases(panel: MultiplesPanel, say: Say) -> dict[str, Any]:
    """Words on a grid of every head."""
    more: dict[str, Any] = {}
    more["names"] = tuple(map(say, panel.names))
    return more


def bars_phrases(panel: BarsPanel, say: Say) -> dict[str, Any]:
    """Words on bars."""
    more: dict[str, Any] = {}
    more["bars"], more["peers"] = (
        tuple(replace(b, label=say(b.label), text=say(b.text), remark=say(b.remark)) for b in bars)
        for bars in (panel.bars, panel.peers)
    )
    more["outlined"] = say(panel.outlined)
    more["cuts"] = tuple(Cut(cut.place, say(cut.words), say(cut.brief)) for cut in panel.cuts)
    return more


def waterfall_phrases(panel: WaterfallPanel, say: Say) -> dict[str, Any]:
    """Words on a sum as bars."""
    more: dict[str, Any] = {}
    more["rises"] = tuple(replace(r, label=say(r.label), remark=say(r.remark)) for r in panel.rises)
    more["x_label"] = say(panel.x_label)
    return more


def graph_phrases(panel: GraphPanel, say: Say) -> dict[str, Any]:
    """Words on nodes and lines."""
    more: dict[str, Any] = {}
    more["knots"] = tuple(replace(knot, label=say(knot.label)) for knot in panel.knots)
    more["kinds"] = tuple((say(words), hue) for words, hue in panel.kinds)
    return more


def curve_phrases(panel: CurvePanel, say: Say) -> dict[str, Any]:
    """Words on lines against axes."""
    more: dict[str, Any] = {}
    more["levels_at"] = tuple((level, say(words)) for level, words in panel.levels_at)
    more["line_names"] = tuple(map(say, panel.line_names))
    more["x_label"], more["y_label"] = say(panel.x_label), say(panel.y_label)
    if panel.focus is not None:
        more["focus"] = (*panel.focus[:2], say(panel.focus[2]))
    return more


def cloud_phrases(panel: CloudPanel, say: Say) -> dict[str, Any]:
    """Words on points in a plane."""
    more: dict[str, Any] = {}
    more["kinds"] = tuple((say(words), hue) for words, hue in panel.kinds)
    more["x_label"], more["y_label"] = say(panel.x_label), say(panel.y_label)
    return more


def ruler_phrases(panel: RulerPanel, say: Say) -> dict[str, Any]:
    """Words on the interval in which a token is drawn."""
    more: dict[str, Any] = {}
    more["labels"] = tuple(map(say, panel.labels))
    return more


def sheet_phrases(panel: SheetPanel, say: Say) -> dict[str, Any]:
    """Words on the current place on the sheet, and those shown until it is drawn."""
    return {"place": say(panel.place), "waiting": say(panel.waiting)}
