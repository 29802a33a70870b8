"""Code that animated operations share: vectors as strips, and the two vectors of a dot product."""

from collections.abc import Sequence

import numpy as np

from desktop_app.core.levels import Levels
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.panels import (
    Hue,
    Strip,
    StripsPanel,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import wrap_width


def shown_share(values: Array, share: float) -> Array:
    """A vector of which only the first part, a fraction of `share`, is shown; the rest is NaN."""
    found = np.array(values, np.float64)
    found[round(share * len(found)) :] = np.nan
    return found


_HUES = {
    "q": Hue.QUERY,
    "k": Hue.KEY,
    "v": Hue.VALUE,
    "attn_out": Hue.ATTENTION,
    "mlp_out": Hue.MLP,
    "logits": Hue.ACCENT,
}


def hue_of(name: str) -> Hue:
    """The hue of a tensor's values in every view."""
    return Hue.MLP if ".mlp." in name else _HUES.get(name.rsplit(".", 1)[-1], Hue.RESIDUAL)


def strip_panel(
    values: Array, label: str, hue: Hue, levels: Levels, operator: str = "", *, others: Sequence[str] = ()
) -> StripsPanel:
    """One vector as a strip, on a scale that is the same in all beats.

    `others` are its labels in the other beats: space is reserved for them, so that the cells do not move.
    """
    return StripsPanel(
        strips=(Strip(label, values, None, hue, operator),),
        levels=levels,
        wrap=wrap_width(len(values)),
        peers=tuple(Strip(other, np.zeros(0), None) for other in others),
    )


def dot_parts(scene: Scene, cell: Cell) -> tuple[Array, Array, Array, float]:
    """The two vectors of a dot product, their elementwise products, and what is added afterwards."""
    opening = open_cell(scene.trace, scene.checkpoint.weights, cell)
    left, right = opening.vectors
    assert opening.products is not None
    return left.values, right.values, opening.products, opening.scalars[0].value if opening.scalars else 0.0
