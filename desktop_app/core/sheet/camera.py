"""The sheet's camera: which part of the sheet a window shows (a view), and how it moves from one view to another."""

import math
from collections.abc import Callable

from desktop_app.core.places import IN as BEFORE_BLOCKS
from desktop_app.core.places import Step
from desktop_app.core.sheet.layout import Box, Sheet

_RHO = 1.2  # as in van Wijk and Nuij: the larger, the farther a path zooms out between its ends
_NARROWEST = 0.64  # width of the narrowest view, as a multiple of the gap between pictures
_MOST_CELLS = 24  # of a token's row, that the view shows at zoom level ROW
WHOLE, BLOCK, PICTURE, ROW = "whole", "block", "picture", "row"
DEPTHS = (WHOLE, BLOCK, PICTURE, ROW)
"""The levels of zoom at a step, from the whole sheet down to a token's row."""


def framed(box: Box, width: float, height: float, margin: float = 0.06) -> Box:
    """The smallest view of a window's proportions that has `box` in its middle and a margin around it.

    `width` and `height` are the window's, of which only the ratio matters; the margin is a fraction of `box`.
    """
    width, height = max(width, 1.0), max(height, 1.0)
    scale = max(box.w / width, box.h / height) * (1 + 2 * margin)
    w, h = width * scale, height * scale
    return Box(box.x + box.w / 2 - w / 2, box.y + box.h / 2 - h / 2, w, h)


def travel(start: Box, end: Box) -> tuple[Callable[[float], Box], float]:
    """The path from one view to another of the same proportions: the view at t from 0 to 1, and the path's length.

    The path zooms out, pans and zooms in so that the perceived speed is constant: van Wijk and Nuij 2003, Smooth and
    efficient zooming and panning, section 4. The length is in their metric, in which panning by the width of a view
    counts as rho, about 1.
    """
    rho, w0, w1 = _RHO, start.w, end.w
    x0, y0 = start.x + start.w / 2, start.y + start.h / 2
    x1, y1 = end.x + end.w / 2, end.y + end.h / 2
    distance = math.hypot(x1 - x0, y1 - y0)
    ratio = start.h / start.w

    def centred(x: float, y: float, w: float) -> Box:
        return Box(x - w / 2, y - w * ratio / 2, w, w * ratio)

    if distance < 1e-6 * max(w0, w1):
        length = abs(math.log(w1 / w0)) / rho
        return lambda t: centred(x0 + t * (x1 - x0), y0 + t * (y1 - y0), w0 * (w1 / w0) ** t), length

    def r(sign: int, w: float) -> float:
        """The paper's r_0, with `sign` 1 and w_0, or its r_1, with -1 and w_1."""
        b = (w1**2 - w0**2 + sign * rho**4 * distance**2) / (2 * w * rho**2 * distance)
        return math.asinh(-b)

    r0, r1 = r(1, w0), r(-1, w1)
    length = (r1 - r0) / rho

    def view_at(t: float) -> Box:
        s = rho * length * t + r0
        w = w0 * math.cosh(r0) / math.cosh(s)
        covered = w0 / rho**2 * (math.cosh(r0) * math.tanh(s) - math.sinh(r0)) / distance  # as a fraction
        return centred(x0 + covered * (x1 - x0), y0 + covered * (y1 - y0), w)

    return view_at, length


def eased(t: float) -> float:
    """Smooth the start and the end of a motion: 3 t^2 - 2 t^3, with `t` limited to 0 to 1."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def closest(sheet: Sheet) -> float:
    """The width, in units of the sheet, of the narrowest view that the camera allows."""
    return max(2.0, sheet.gap * _NARROWEST)


def here(sheet: Sheet, step: Step | None, layer: int, head: int) -> tuple[int, ...]:
    """The indices of the plates that stand for a step of the forward pass; none if `step` is None.

    These are the plates of the tensors that the step computes, and only those of `head` for a step about a single head.
    A step that computes no tensor is represented by the tokens if it comes before the blocks, else by the logits.
    """
    if step is None:
        return ()
    if step.spec.op == "qkv":  # it shows q, k and v of all heads side by side
        return tuple(n for part in "qkv" for n in sheet.of_tensor(f"blocks.{layer}.attn.{part}"))
    names = step.tensors or (("tokens",) if step.spec.part == BEFORE_BLOCKS else ("logits",))
    # The step `ln1` also shows resid_pre, which an earlier step computed.
    names = tuple(n for n in names if not n.endswith(".resid_pre") or len(names) == 1)
    one = head if step.spec.per_head else None
    return tuple(n for name in names for n in sheet.of_tensor(name, one))


def nearer(sheet: Sheet, plates: tuple[int, ...], depth: str, token: int) -> Box:
    """The part of the sheet to show at a level of zoom: `depth` is one of DEPTHS, `plates` are those of a step.

    WHOLE is the sheet, BLOCK the card of the first plate, PICTURE all of the plates, and ROW the token's row in the
    first plate, at most its first `_MOST_CELLS` cells.
    """
    if not plates or depth == WHOLE:
        return sheet.box
    if depth == BLOCK:
        return sheet.card_of(plates[0]).box
    if depth == PICTURE:
        return sheet.around(plates).grown(sheet.gap)
    plate = sheet.plates[plates[0]]
    row = plate.cell_box(min(token, plate.rows - 1), 0)
    return Box(row.x, row.y, min(plate.columns, _MOST_CELLS) * row.w, row.h).grown(row.h)
