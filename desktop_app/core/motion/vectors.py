"""Animated operations on a token's vector: a layer norm, a matrix product, the activation, a sum of two."""

import numpy as np

from desktop_app.core.levels import diverging, number
from desktop_app.core.motion.beats import Beat, eased, text_at
from desktop_app.core.motion.parts import dot_parts, hue_of, shown_share, strip_panel
from desktop_app.core.opening.cells import Array, Cell, Region
from desktop_app.core.opening.links import computed_from
from desktop_app.core.panels import (
    Box,
    CurvePanel,
    Hue,
    Strip,
    StripsPanel,
    column,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import wrap_width
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.phrase import Phrase

_POINTS, _PARTS = 24, 8


def norm(scene: Scene, name: str, source: str) -> tuple[Beat, ...]:
    """The four steps of a layer norm on the selected token's vector."""
    token, trace = scene.token, scene.trace
    x = trace.read(source, row=token).astype(np.float64)
    mean = float(trace.read(f"{name}.mean", row=token)[0])
    scale = float(trace.read(f"{name}.scale", row=token)[0])
    normal = trace.read(f"{name}.normalized", row=token).astype(np.float64)
    out = trace.read(f"{name}.out", row=token).astype(np.float64)
    gain, bias = (np.asarray(scene.checkpoint.weights[f"{name}.{part}"], np.float64) for part in ("w", "b"))
    g_levels, b_levels, unused = diverging(gain), diverging(bias), np.full(len(x), np.nan)
    dims = np.arange(len(x), dtype=float)

    def stage(
        words: str,
        cells: tuple[Cell, ...],
        results: Array,
        before: Array,
        after: Array,
        level: tuple[float, float],
        *,
        spread: bool = False,
        scales: bool = False,
    ) -> Beat:
        """The beat that changes the vector from `before` to `after`; `spread` marks the scale in its second half.

        The cells of gain and bias are empty, except in a beat that `scales`, which uses them.
        """
        means, span = (float(before.mean()), float(after.mean())), np.concatenate([before, after])

        def panels(t: float) -> Box:
            done = eased(t)
            now = before + (after - before) * done
            at = level[0] + (level[1] - level[0]) * done
            lines = [(at, Phrase("mean {1}", text_at(number(means[0]), number(means[1]), t)))]
            if spread and t >= 0.5:
                lines.append((scale, Phrase("scale {1}", number(scale))))
            return column(
                CurvePanel(
                    title=words,
                    note=Phrase("token {1}", scene.labels[token]),
                    points=(dims, now),
                    stems=True,
                    hue=Hue.RESIDUAL,
                    levels_at=tuple(lines),
                    x_label=Phrase("dimension"),
                    y_holds=span,
                ),
                strip_panel(now, Phrase("the vector"), Hue.RESIDUAL, diverging(after)),
                strip_panel(gain if scales else unused, Phrase("gain"), Hue.ACCENT, g_levels, operator="×"),
                strip_panel(bias if scales else unused, Phrase("bias"), Hue.ACCENT, b_levels, operator="+"),
            )

        return Beat(words, cells, computed_from(trace, cells[0]), tuple(map(float, np.ravel(results))), panels)

    def row(part: str) -> tuple[Cell, ...]:
        return tuple(Cell(f"{name}.{part}", (token, n)) for n in range(len(x)))

    return (
        stage(
            Phrase("the mean is {1}", number(mean)),
            (Cell(f"{name}.mean", (token, 0)),),
            np.array([mean]),
            x,
            x,
            (0.0, mean),
        ),
        stage(
            Phrase("less the mean"),
            (Cell(f"{name}.scale", (token, 0)),),
            np.array([scale]),
            x,
            x - mean,
            (mean, 0.0),
            spread=True,
        ),
        stage(Phrase("divided by {1}", number(scale)), row("normalized"), normal, x - mean, normal, (0.0, 0.0)),
        stage(
            Phrase("times the gain, plus the bias"),
            row("out"),
            out,
            normal,
            out,
            (0.0, float(out.mean())),
            scales=True,
        ),
    )


def product(scene: Scene, name: str) -> tuple[Beat, ...]:
    """The largest output, in magnitude, of a matrix product at the token: its terms are added in eight parts."""
    token = scene.token if name != "logits" else scene.position
    values = scene.trace.read(name, row=token)
    if values.ndim > 1:  # for q, k and v, those of one head
        values = values[scene.head]
    n = int(np.abs(values).argmax())
    per_head = scene.trace.table[name].spec.per_head
    cell = Cell(name, (scene.head, token, n) if per_head else (token, n))
    left, right, products, bias = dot_parts(scene, cell)
    running = np.concatenate([[0.0], np.cumsum(products)])
    edges = np.linspace(0, len(products), _PARTS + 1).astype(int)
    levels = diverging(left), diverging(right), diverging(products)
    total = float(running[-1]) + bias
    column_label = _in_matrix(computed_from(scene.trace, cell)[1])

    def view(upto: float, target: float) -> Box:
        stop = round(upto)
        so_far = running[: stop + 1]
        now = float(so_far[-1]) + target
        done = np.where(np.arange(len(products)) < stop, products, np.nan)
        return column(
            strip_panel(left, Phrase("x of {1}", scene.labels[token]), Hue.RESIDUAL, levels[0]),
            strip_panel(right, column_label, hue_of(name), levels[1], operator="×"),
            strip_panel(done, Phrase("products"), Hue.ACCENT, levels[2], operator="="),
            CurvePanel(
                title=Phrase("Running sum"),
                note=Phrase("now {1}", number(now)),
                # The bias comes last: a step at the end of the line.
                lines=((np.append(np.arange(stop + 1.0), stop), np.append(so_far, now)),),
                x_range=(0.0, float(len(products))),
                y_holds=running,
                levels_at=((total, Phrase("the number {1}", number(total))),),
                x_label=Phrase("terms added"),
                hue=Hue.ACCENT,
            ),
        )

    def part(k: int) -> Beat:
        low, high = int(edges[k]), int(edges[k + 1])
        words = Phrase("terms {1} to {2}: the sum is {3}", low, high - 1, number(float(running[high])))
        last = k == _PARTS - 1 and not bias
        return Beat(
            words,
            (cell,) if last else (),
            computed_from(scene.trace, cell),
            (float(running[high]),),
            lambda t: view(low + (high - low) * t, 0.0),
        )

    beats = [part(k) for k in range(_PARTS) if edges[k + 1] > edges[k]]
    if bias:
        words = Phrase("and the bias {1}: {2}", number(bias), number(total))
        whole = len(products)
        beats.append(
            Beat(
                words,
                (cell,),
                computed_from(scene.trace, cell),
                (total,),
                lambda t: view(whole, bias if t >= 0.5 else 0.0),
            )
        )
    return tuple(beats)


def _in_matrix(weights: Region) -> str:
    """The name of a column or row of a matrix, like W_O[:, 106] or W_U[262]."""
    index = ", ".join(":" if n is None else str(n) for n in weights.index)
    return f"{weights.name.rsplit('.', 1)[-1]}[{index.removesuffix(', :')}]"


def activation(scene: Scene) -> tuple[Beat, ...]:
    """Neurons of the selected token, from the lowest to the highest value, each mapped by the activation function."""
    token, name = scene.token, scene.block("mlp.post")
    before = scene.trace.read(scene.block("mlp.pre"), row=token).astype(np.float64)
    after = scene.trace.read(name, row=token).astype(np.float64)
    ranked = np.argsort(before, kind="stable")
    order = ranked[np.unique(np.linspace(0, len(ranked) - 1, _POINTS).astype(int))]
    reach = float(max(4.0, np.abs(before[order]).max() * 1.1))
    grid = np.linspace(-reach, reach, 300)
    curve = np.asarray(ACTIVATIONS[scene.config.activation].compute(grid.astype(np.float32)), np.float64)

    def beat(k: int, n: int) -> Beat:
        x, y = float(before[n]), float(after[n])
        cell = Cell(name, (token, n))

        def panels(t: float) -> Box:
            done = order[:k]
            focus = (x, y * eased(t), f"{number(x)} → {number(y)}" if t >= 1 else number(x))
            return column(
                CurvePanel(
                    title=scene.config.activation_function,
                    note=Phrase("token {1}, neuron {2}", scene.labels[token], n),
                    lines=((grid, curve),),
                    points=(before[done], after[done]) if k else None,
                    focus=focus,
                    x_label=Phrase("before"),
                    y_label=Phrase("after"),
                    hue=Hue.MLP,
                )
            )

        return Beat(
            Phrase("neuron {1}: {2} becomes {3}", n, number(x), number(y)),
            (cell,),
            computed_from(scene.trace, cell),
            (y,),
            panels,
        )

    return tuple(beat(k, int(n)) for k, n in enumerate(order))


def addends(scene: Scene, name: str) -> tuple[Beat, ...]:
    """Two vectors are added, a quarter of the dimensions at a time."""
    token, trace = scene.token, scene.trace
    sources = trace.table[name].inputs
    one, other = (trace.read(source, row=token).astype(np.float64) for source in sources[:2])
    total = trace.read(name, row=token).astype(np.float64)
    names = [source.rsplit(".", 1)[-1] for source in (*sources[:2], name)]
    levels = diverging(one, other, total, rule=Phrase("shared by the three"))
    edges = np.linspace(0, len(total), 5).astype(int)

    def part(k: int) -> Beat:
        low, high = int(edges[k]), int(edges[k + 1])
        cells = tuple(Cell(name, (token, n)) for n in range(low, high))

        def panels(t: float) -> Box:
            strips = (
                Strip(names[0], one, None, Hue.RESIDUAL),
                Strip(names[1], other, None, hue_of(sources[1]), "+"),
                Strip(names[2], shown_share(total, (low + (high - low) * t) / len(total)), None, Hue.RESIDUAL, "="),
            )
            return column(StripsPanel(strips=strips, levels=levels, wrap=wrap_width(len(total))))

        words = Phrase("dimensions {1} to {2}", low, high - 1)
        return Beat(words, cells, computed_from(trace, cells[0]), tuple(map(float, total[low:high])), panels)

    return tuple(part(k) for k in range(4) if edges[k + 1] > edges[k])
