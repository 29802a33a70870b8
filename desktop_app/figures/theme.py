"""Themes: every colour of the window and of figures, and the colour tables of heatmaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.panels import Hue

Table = NDArray[np.uint8]
"""[256, 3] RGB."""


@dataclass(frozen=True, eq=False)
class Theme:
    """Colours by role, as #rrggbb. `void` fills missing cells; the colour tables interpolate between `stops`.

    `stroke` is a factor for the width of lines.
    """

    name: str
    background: str
    panel: str
    line: str
    ink: str
    dim: str
    faint: str
    accent: str
    accent_fill: str
    void: str
    hues: Mapping[Hue, str]
    diverging_stops: tuple[str, ...]
    sequential_stops: tuple[str, ...]
    dark: bool = False
    stroke: float = 1.0

    def words(self, colour: str) -> str:
        """`colour` mixed with as much of the ink colour as text needs for a contrast of 4.5:1 on every background."""
        return _legible(colour, self.ink, (self.background, self.panel, self.accent_fill))

    def table(self, diverging: bool) -> Table:
        """The 256-entry colour table."""
        return colour_table(self.diverging_stops if diverging else self.sequential_stops)


def _hues(ink: str, accent: str, rest: str) -> dict[Hue, str]:
    names = (Hue.QUERY, Hue.KEY, Hue.VALUE, Hue.ATTENTION, Hue.RESIDUAL, Hue.MLP)
    return {Hue.INK: ink, Hue.ACCENT: accent, **dict(zip(names, rest.split(), strict=True))}


LIGHT = Theme(
    name="light",
    background="#fbfbfa",
    panel="#ffffff",
    line="#e4e4e0",
    ink="#1c1d1f",
    dim="#6c6f76",
    faint="#a5a8ad",
    accent="#b87700",
    accent_fill="#fff3d6",
    void="#efefec",
    hues=_hues("#1c1d1f", "#b87700", "#2f6fde #d9562b #2c9a55 #7a4fd0 #7b828c #4353c4"),
    diverging_stops=("#123f86", "#4f8fd0", "#f7f6f3", "#dd6a4c", "#8e1420"),
    sequential_stops=("#fbfaff", "#b9a3ec", "#7a4fd0", "#2a0f63"),
)

DARK = Theme(
    name="dark",
    background="#17181b",
    panel="#1f2125",
    line="#34373d",
    ink="#eceef1",
    dim="#a3a8b0",
    faint="#6b7078",
    accent="#ffc24d",
    accent_fill="#3a3018",
    void="#1b1c1f",
    hues=_hues("#eceef1", "#ffc24d", "#7fb0ff #ff9166 #5fd08c #b79af5 #a9b0ba #93a0ff"),
    diverging_stops=("#a8d2ff", "#3f86dc", "#2a2c31", "#d1583c", "#ffc3a6"),
    sequential_stops=("#27282d", "#5b3aa6", "#9a78ea", "#f1eaff"),
    dark=True,
)

PRINT = Theme(
    name="print",
    background="#ffffff",
    panel="#ffffff",
    line="#c8c8c4",
    ink="#000000",
    dim="#4a4d52",
    faint="#8b8e93",
    accent="#8a5800",
    accent_fill="#f3f3f3",
    void="#f1f1f1",
    hues=_hues("#000000", "#8a5800", "#1d4fae #a83c17 #1c6e3b #55339e #565c65 #2f3c9c"),
    # Dark to light from end to end, so that below zero and above zero differ in a greyscale copy, too.
    diverging_stops=("#0b2454", "#2f5894", "#828485", "#d3a682", "#fbdcbc"),
    sequential_stops=("#ffffff", "#b9a3ec", "#7a4fd0", "#1d0a47"),
)

# A weak projector washes out light tones and blurs thin lines, so ends and fills are darker and lines wider.
PROJECTOR = Theme(
    name="projector",
    background="#ffffff",
    panel="#ffffff",
    line="#8c8f94",
    ink="#000000",
    dim="#303236",
    faint="#6a6d72",
    accent="#a04a00",
    accent_fill="#ffe2b0",
    void="#d4d4d0",
    hues=_hues("#000000", "#a04a00", "#0046c8 #b83200 #00702c #5a1ec8 #4c525c #1f2fb0"),
    diverging_stops=("#00205c", "#0064d2", "#ffffff", "#e03c14", "#6c0010"),
    sequential_stops=("#ffffff", "#a678ff", "#5a14dc", "#18003c"),
    stroke=1.75,
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK, PRINT, PROJECTOR)}


def rgb(colour: str) -> tuple[int, int, int]:
    """#rrggbb -> three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio from 1 to 21, WCAG 2.2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def words_on(ground: str) -> str:
    """Black or white, whichever has the higher contrast on a colour: at least 4.5:1 on any."""
    return max(("#000000", "#ffffff"), key=lambda words: contrast(words, ground))


def mix(one: str, other: str, share: float) -> str:
    """`share` of `one` over `other`."""
    blended = [round(a * share + b * (1 - share)) for a, b in zip(rgb(one), rgb(other), strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*blended)


@cache
def _legible(colour: str, ink: str, grounds: tuple[str, ...]) -> str:
    shares = (mix(ink, colour, share / 20) for share in range(21))
    return next((c for c in shares if min(contrast(c, ground) for ground in grounds) >= 4.5), ink)


# OKLab, Ottosson 2020 (https://bottosson.github.io/posts/oklab/): straight lines in it look like even gradients.
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _lab(colour: str) -> NDArray[Any]:
    c = np.array(rgb(colour)) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return _TO_LAB @ np.cbrt(_TO_LMS @ linear)


@cache
def colour_table(stops: tuple[str, ...]) -> Table:
    """256 colours through `stops`, evenly spaced along straight lines in OKLab."""
    points = np.array([_lab(s) for s in stops])
    at = np.linspace(0, len(stops) - 1, 256)
    lab = np.stack([np.interp(at, np.arange(len(stops)), points[:, n]) for n in range(3)], 1)
    linear = np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab.T) ** 3).T.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    table = np.round(srgb * 255).astype(np.uint8)
    table.flags.writeable = False
    return table
