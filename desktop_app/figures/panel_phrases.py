"""What is written on each kind of panel, beside its title and note, put into another language."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from desktop_app.core.panels import (
    BarsPanel,
    CloudPanel,
    CurvePanel,
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
from desktop_app.gpt2.phrase import Count, Phrase

Say = Callable[[str], str]
"""English words -> the same in the language of the figure."""

_EDGES = ("row_labels", "column_labels")


def nothing(_panel: Panel, _say: Say) -> dict[str, Any]:
    """Of a panel that has nothing else written on it, or text of the prompt alone."""
    return {}


def text_phrases(panel: TextPanel, say: Say) -> dict[str, Any]:
    """Words on lines of text."""
    more: dict[str, Any] = {}
    more["lines"] = tuple(
        replace(x, label=say(x.label), text=_value(x.text, say), remark=say(x.remark)) for x in panel.lines
    )
    return more


def strips_phrases(panel: StripsPanel, say: Say) -> dict[str, Any]:
    """Words on vectors as strips."""
    more: dict[str, Any] = {}
    more["strips"] = tuple(replace(s, label=say(s.label), remark=say(s.remark)) for s in panel.strips)
    return more


def map_phrases(panel: MapPanel, say: Say) -> dict[str, Any]:
    """Words on a table as colours."""
    more: dict[str, Any] = {}
    more["x_label"] = say(panel.x_label)
    more |= {name: tuple(_unless_token(x, say) for x in getattr(panel, name)) for name in _EDGES}
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
        tuple(replace(b, label=_unless_token(b.label, say), text=say(b.text), remark=say(b.remark)) for b in bars)
        for bars in (panel.bars, panel.peers)
    )
    more["cuts"] = tuple((place, say(words)) for place, words in panel.cuts)
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
    more["kinds"] = tuple((say(words), hue) for words, hue in panel.kinds)
    return more


def curve_phrases(panel: CurvePanel, say: Say) -> dict[str, Any]:
    """Words on lines against axes."""
    more: dict[str, Any] = {}
    more["levels_at"] = tuple((level, say(words)) for level, words in panel.levels_at)
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
    """Words on the ruler that a draw falls on."""
    more: dict[str, Any] = {}
    more["labels"] = tuple(_unless_token(words, say) for words in panel.labels)
    return more


def _unless_token(label: str, say: Say) -> str:
    """A label in other words, unless it is a token: spaces in a token's label are dots, so it never has one."""
    return say(label) if " " in label or isinstance(label, Phrase) else label


def _value(text: str, say: Say) -> str:
    """A value is a number or a text of the prompt; only numbers with words behind them are put into others."""
    if isinstance(text, Phrase | Count):
        return say(text)
    return say(text) if text == "special" or re.fullmatch(r"[\d,.×/ ]+(?: [a-zA-Z]+)*[\d, ]*", text) else text


def sheet_phrases(panel: SheetPanel, say: Say) -> dict[str, Any]:
    """Where one is on the sheet."""
    return {"place": " · ".join(map(say, panel.place.split(" · ")))} if panel.place else {}
