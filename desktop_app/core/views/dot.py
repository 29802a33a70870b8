"""A dot product as panels: two aligned vectors, their elementwise products, the largest ones, and the running sum."""

from dataclasses import replace

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
    """The panels of `left` · `right`, and of the `bias` added to it, if there is one."""
    products = np.asarray(left.values, np.float64) * right.values
    running = np.concatenate([[0.0], np.cumsum(products)])
    level = ((running[-1] + (bias or 0.0), Phrase("the sum") if bias is None else Phrase("with the bias")),)
    return (
        *aligned(left, right),
        row(
            largest_terms(left, right),
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


def aligned(left: Strip, right: Strip) -> tuple[StripsPanel, ...]:
    """Two vectors and their elementwise products, one below the other."""
    products = np.asarray(left.values, np.float64) * right.values
    wrap = wrap_width(len(products))
    strips = (left, right, Strip(Phrase("products"), products, None, Hue.ACCENT, "="))
    first, *others = (StripsPanel(strips=(s,), levels=diverging(s.values), wrap=wrap) for s in strips)
    return replace(first, title=Phrase("Two vectors, aligned")), *others


def largest_terms(left: Strip, right: Strip) -> BarsPanel:
    """The largest elementwise products of two vectors, by index."""
    products = np.asarray(left.values, np.float64) * right.values
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
    return BarsPanel(title=Phrase("Largest terms"), note=Phrase("by index"), bars=bars, hue=Hue.ACCENT)
