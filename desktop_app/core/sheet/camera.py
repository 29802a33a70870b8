"""The sheet's camera: the part that a window of a given shape shows, and paths from one part to another."""

import math
from collections.abc import Callable

from desktop_app.core.places import IN as BEFORE_BLOCKS
from desktop_app.core.places import Step
from desktop_app.core.sheet.layout import Box, Sheet

_STEEPNESS = 1.2  # rho of van Wijk and Nuij: how far to zoom out in between
_CLOSEST = 1 / 200  # the width of the closest view, as a share of 128 gaps
WHOLE, BLOCK, PICTURE, ROW = "whole", "block", "picture", "row"
DEPTHS = (WHOLE, BLOCK, PICTURE, ROW)
"""The levels of zoom at a step, from the whole sheet down to a token's row."""


def framed(box: Box, width: float, height: float, margin: float = 0.06) -> Box:
    """The part of the sheet that a window of this shape shows when it contains all of `box` and a margin around it."""
    width, height = max(width, 1.0), max(height, 1.0)
    scale = max(box.w / width, box.h / height) * (1 + 2 * margin)
    w, h = width * scale, height * scale
    return Box(box.x + box.w / 2 - w / 2, box.y + box.h / 2 - h / 2, w, h)


def travel(one: Box, other: Box) -> tuple[Callable[[float], Box], float]:
    """The path from one part of the sheet to another of the same shape, for t from 0 to 1, and its length.

    It zooms out, pans and zooms in so that the perceived speed is constant: van Wijk and Nuij 2003, Smooth and
    efficient zooming and panning, section 4. The length is in their metric; about 1 is one screen.
    """
    rho, w0, w1 = _STEEPNESS, one.w, other.w
    x0, y0 = one.x + one.w / 2, one.y + one.h / 2
    x1, y1 = other.x + other.w / 2, other.y + other.h / 2
    far = math.hypot(x1 - x0, y1 - y0)
    shape = one.h / one.w

    def box(x: float, y: float, w: float) -> Box:
        return Box(x - w / 2, y - w * shape / 2, w, w * shape)

    if far < 1e-6 * max(w0, w1):
        length = abs(math.log(w1 / w0)) / rho
        return lambda t: box(x0 + t * (x1 - x0), y0 + t * (y1 - y0), w0 * (w1 / w0) ** t), length

    def bend(at: float, sign: float, w: float) -> float:
        b = (w1**2 - w0**2 + sign * rho**4 * far**2) / (2 * w * rho**2 * far)
        return math.asinh(-b) * at

    r0, r1 = bend(1, 1, w0), bend(1, -1, w1)
    length = (r1 - r0) / rho

    def at(t: float) -> Box:
        s = rho * length * t + r0
        w = w0 * math.cosh(r0) / math.cosh(s)
        u = w0 / rho**2 * (math.cosh(r0) * math.tanh(s) - math.sinh(r0)) / far
        return box(x0 + u * (x1 - x0), y0 + u * (y1 - y0), w)

    return at, length


def eased(t: float) -> float:
    """A time from 0 to 1, with a smooth start and end (ease in and out)."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def closest(sheet: Sheet) -> float:
    """The width, in units, of the narrowest part of the sheet that can be shown."""
    return max(2.0, sheet.gap * 128 * _CLOSEST)


def here(sheet: Sheet, step: Step | None, layer: int, head: int) -> tuple[int, ...]:
    """The plates of the tensors that a step computes, those of one head for a step about a single head.

    Steps after the logits are represented by the logits, and the text by its tokens.
    """
    if step is None:
        return ()
    if step.spec.op == "qkv":
        return tuple(n for part in "qkv" for n in sheet.of_tensor(f"blocks.{layer}.attn.{part}"))
    names = step.tensors or (("tokens",) if step.spec.part == BEFORE_BLOCKS else ("logits",))
    names = tuple(n for n in names if not n.endswith(".resid_pre") or len(names) == 1)
    one = head if step.spec.per_head else None
    return tuple(n for name in names for n in sheet.of_tensor(name, one))


def nearer(sheet: Sheet, plates: tuple[int, ...], depth: str, token: int) -> Box:
    """The part of the sheet to show, at one of `DEPTHS`."""
    if not plates or depth == WHOLE:
        return sheet.box
    if depth == BLOCK:
        return sheet.card_of(plates[0]).box
    if depth == PICTURE:
        return sheet.around(plates).grown(sheet.gap)
    plate = sheet.plates[plates[0]]
    row = plate.cell_box(min(token, plate.rows - 1), 0)
    return Box(row.x, row.y, max(row.w, 24 * row.w if plate.columns > 24 else plate.box.w), row.h).grown(row.h)
