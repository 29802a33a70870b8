"""A vector's summary, shown before its numbers: the strongest dimensions, what changed, and similar tokens."""

import math

import numpy as np

from desktop_app.core.analysis.parts import head_rows, output_matrices
from desktop_app.core.asking.intents import Select, ShowHead
from desktop_app.core.levels import number
from desktop_app.core.panels import Array, Bar, BarsPanel, Hue, Line, TextPanel
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.phrase import Phrase, joined

_LISTED = 6
_TOGETHER = 3  # the maximum number of positions named for tokens with equal rows


def strongest(
    scene: Scene, name: str, *, hue: Hue = Hue.RESIDUAL, title: str = Phrase("Strongest dimensions")
) -> BarsPanel:
    """The dimensions of largest magnitude in the selected token's row of a tensor; a click opens one."""
    values = scene.trace.read(name, row=scene.token)
    mean = float(np.abs(values).mean()) or 1.0
    bars = tuple(
        Bar(
            Phrase("dim {1}", i),
            float(values[i]),
            number(float(values[i])),
            Phrase("{1} × mean", f"{abs(float(values[i])) / mean:.1f}"),
            source=(name, (scene.token, int(i))),
        )
        for i in np.argsort(-np.abs(values), kind="stable")[:_LISTED]
    )
    return BarsPanel(title=title, note=Phrase("by size, of this token"), bars=bars, hue=hue)


def alike(scene: Scene, name: str, *, hue: Hue = Hue.RESIDUAL) -> BarsPanel:
    """The other tokens whose rows of a tensor are closest in direction, and their norms; a click selects one."""
    rows = scene.trace.read(name).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    own = lengths[scene.token]
    cosines = rows @ rows[scene.token] / np.maximum(lengths * own, 1e-30)
    # Equal rows, of the same token at several positions, share one bar.
    equal: dict[bytes, list[int]] = {}
    for n in np.argsort(-cosines, kind="stable"):
        if n != scene.token:
            equal.setdefault(rows[n].tobytes(), []).append(int(n))
    bars = tuple(
        Bar(
            f"{scene.labels[n]} {', '.join(map(str, same[:_TOGETHER]))}{', …' if len(same) > _TOGETHER else ''}",
            float(cosines[n]),
            f"{cosines[n]:.2f}".replace("-", "−"),
            Phrase("length {1}", number(float(lengths[n]))),
            pick=Select(n),
        )
        for n, same in ((group[0], group) for group in list(equal.values())[:_LISTED])
    )
    title = Phrase("Most like {1}, length {2}", token_name(scene, scene.token), number(float(own)))
    return BarsPanel(
        title=title, note=Phrase("cosine") if bars else Phrase("no other token"), bars=bars, hue=hue, reach=1.0
    )


def changed(scene: Scene, before: str, after: str, *, hue: Hue = Hue.ACCENT) -> BarsPanel:
    """The dimensions of the selected token's vector that changed most from one tensor to another."""
    old, new = (scene.trace.read(name, row=scene.token).astype(np.float64) for name in (before, after))
    moved = new - old
    bars = tuple(
        Bar(
            Phrase("dim {1}", i),
            float(moved[i]),
            number(float(moved[i])),
            f"{_brief(old[i])} → {_brief(new[i])}",
        )
        for i in np.argsort(-np.abs(moved), kind="stable")[:_LISTED]
    )
    return BarsPanel(title=Phrase("Changed most"), note=Phrase("before → after"), bars=bars, hue=hue)


def _brief(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def turned(scene: Scene, left: str, right: str, total: str) -> TextPanel:
    """A sum of two vectors in numbers: their norms, the angle between them, and how far the first is rotated."""
    a, b, c = (scene.trace.read(name, row=scene.token).astype(np.float64) for name in (left, right, total))
    return TextPanel(
        title=Phrase("As arrows"),
        lines=(
            Line(Phrase("lengths"), Phrase("{1} and {2} give {3}", _length(a), _length(b), _length(c))),
            Line(Phrase("between them"), _angle(a, b), Phrase("90° is unrelated, more is in part opposite")),
            Line(Phrase("turned by"), _angle(a, c), Phrase("0° is the same direction")),
        ),
    )


def _length(vector: Array) -> str:
    return number(float(np.linalg.norm(vector)))


def _angle(a: Array, b: Array) -> str:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / size if size else math.nan
    return Phrase("none") if math.isnan(cosine) else f"{math.degrees(math.acos(min(max(cosine, -1.0), 1.0))):.0f}°"


def by_head(scene: Scene, *, written: bool) -> BarsPanel:
    """The norm of each head's z at the selected token or, if `written`, of z times its rows of W_O."""
    z = head_rows(scene.trace, scene.layer, scene.token, scene.token + 1)[:, 0].astype(np.float64)
    if written:
        z = np.stack(
            [row @ matrix for row, matrix in zip(z, output_matrices(scene.checkpoint, scene.layer), strict=True)]
        )
    lengths = np.linalg.norm(z, axis=1)
    order = [int(h) for h in np.argsort(-lengths, kind="stable")[: 2 * _LISTED]]
    bars = tuple(
        Bar(
            Phrase("head {1}", h),
            float(lengths[h]),
            number(float(lengths[h])),
            marked=h == scene.head,
            pick=ShowHead(h),
        )
        for h in order
    )
    left = len(lengths) - len(bars)
    of = Phrase("length of z · W_O") if written else Phrase("length of z")
    return BarsPanel(
        title=Phrase("What each head writes") if written else Phrase("What each head found"),
        note=joined(", ", (of, *((Phrase("{1} shorter", left),) if left else ()))),
        bars=bars,
        hue=Hue.ATTENTION,
    )
