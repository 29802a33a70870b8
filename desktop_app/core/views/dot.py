"""A dot product drawn: two vectors aligned, their products, the largest of these, and the running sum."""

import numpy as np

from desktop_app.core.levels import diverging, number
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Strip,
    StripsPanel,
    row,
)
from desktop_app.core.views.common import wrap_width
from desktop_app.gpt2.phrase import Phrase

_TERMS = 8


def dot_panels(left: Strip, right: Strip, bias: float | None = None) -> tuple[AnyPanel | Box, ...]:
    """The panels of `left` · `right`, and of what is added after it, if anything is."""
    products = np.asarray(left.values, np.float64) * right.values
    wrap = wrap_width(len(products))
    order = np.argsort(-np.abs(products), kind="stable")[:_TERMS]
    bars = tuple(
        Bar(
            str(i),
            float(products[i]),
            number(float(products[i])),
            f"{number(float(left.values[i]))} × {number(float(right.values[i]))}",
        )
        for i in order
    )
    running = np.concatenate([[0.0], np.cumsum(products)])
    level = ((running[-1] + (bias or 0.0), Phrase("the sum") if bias is None else Phrase("with the bias")),)
    return (
        StripsPanel(strips=(left,), levels=diverging(left.values), wrap=wrap, title=Phrase("Two vectors, aligned")),
        StripsPanel(strips=(right,), levels=diverging(right.values), wrap=wrap),
        StripsPanel(
            strips=(Strip(Phrase("products"), products, None, Hue.ACCENT, "="),), levels=diverging(products), wrap=wrap
        ),
        row(
            BarsPanel(title=Phrase("Largest terms"), note=Phrase("by index"), bars=bars, hue=Hue.ACCENT),
            CurvePanel(
                title=Phrase("Running sum"),
                note=Phrase("left to right"),
                lines=((np.arange(len(running), dtype=float), running),),
                levels_at=level,
                x_label=Phrase("terms added"),
                hue=Hue.ACCENT,
            ),
        ),
    )
