"""The table of animated operations, and the functions that make their beats: cell by cell, or row by row."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from desktop_app.core.levels import Levels, diverging, number, percent, unit
from desktop_app.core.motion import sampling
from desktop_app.core.motion.beats import Beat, Motion, eased, told
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.cells import Array, Cell, Region
from desktop_app.core.opening.links import computed_from
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    GridPanel,
    Hue,
    MapPanel,
    Source,
    Strip,
    StripsPanel,
    column,
)
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name, wrap_width
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Phrase, joined

CELL, ROW = "cell", "row"
_KEYS, _POINTS, _ROWS, _PARTS = 16, 24, 40, 8


def _shown(values: Array, share: float) -> Array:
    """The first share of a vector; the rest is NaN."""
    found = np.array(values, np.float64)
    found[round(share * len(found)) :] = np.nan
    return found


def _strip(values: Array, label: str, hue: Hue, source: Source | None = None, operator: str = "") -> StripsPanel:
    return StripsPanel(strips=(Strip(label, values, source, hue, operator),), wrap=wrap_width(len(values)))


def _leveled(panel: StripsPanel, levels: Levels) -> StripsPanel:
    return StripsPanel(panel.title, panel.note, strips=panel.strips, levels=levels, wrap=panel.wrap)


def _keys(scene: Scene, query: int) -> list[int]:
    """Keys that a query sees; if there are many, those that it attends to most, in the order of the text."""
    pattern = scene.trace.read(scene.block("attn.pattern"), head=scene.head, row=query)
    seen = [j for j in range(scene.reach(query)) if np.isfinite(_masked(scene, query)[j])]
    strongest = sorted(seen, key=lambda j: -pattern[j])[:_KEYS]
    return sorted(strongest)


def _masked(scene: Scene, query: int) -> Array:
    return scene.trace.read(scene.block("attn.masked"), head=scene.head, row=query)


def _open(scene: Scene, cell: Cell) -> tuple[Array, Array, Array, float]:
    """The two vectors of a dot product, their elementwise products, and what is added afterwards."""
    opening = open_cell(scene.trace, scene.checkpoint.weights, cell)
    left, right = opening.vectors
    assert opening.products is not None
    return left.values, right.values, opening.products, opening.scalars[0].value if opening.scalars else 0.0


def _scores(scene: Scene) -> tuple[Beat, ...]:
    """Key by key: the products of query and key add up, dimension by dimension, to the score."""
    query, name = scene.token, scene.block("attn.scores")
    keys = _keys(scene, query)
    opened = [_open(scene, Cell(name, (scene.head, query, j))) for j in keys]
    totals = [float(products.sum()) for _, _, products, _ in opened]
    q_levels, k_levels = diverging(opened[0][0]), diverging(*(o[1] for o in opened))
    p_levels, reach = diverging(*(o[2] for o in opened)), max(map(abs, totals), default=1.0) or 1.0

    def beat(n: int, j: int) -> Beat:
        cell = Cell(name, (scene.head, query, j))
        q, k, products, _ = opened[n]

        def panels(t: float) -> Box:
            done = _shown(products, t)
            sums = [*totals[:n], float(np.nansum(done))]
            bars = tuple(
                Bar(scene.labels[key], value, number(value) if m <= n else "", marked=m == n)
                for m, (key, value) in enumerate(zip(keys, [*sums, *[0.0] * (len(keys) - n - 1)], strict=True))
            )
            return column(
                _leveled(_strip(q, Phrase("q of {1}", scene.labels[query]), Hue.QUERY), q_levels),
                _leveled(_strip(k, Phrase("k of {1}", scene.labels[j]), Hue.KEY, operator="×"), k_levels),
                _leveled(_strip(done, Phrase("products"), Hue.ACCENT, operator="="), p_levels),
                BarsPanel(title=Phrase("Scores of the row"), bars=bars, hue=Hue.ATTENTION, reach=reach),
            )

        words = Phrase("{1} asks {2}: {3}", scene.labels[query], scene.labels[j], number(totals[n]))
        return Beat(words, (cell,), computed_from(scene.trace, cell), (totals[n],), panels)

    return tuple(beat(n, j) for n, j in enumerate(keys))


def _softmax(scene: Scene) -> tuple[Beat, ...]:
    """The query's row: scaled, masked, exponentiated, summed, divided."""
    query, head, trace = scene.token, scene.head, scene.trace
    count = len(trace)
    rows = {
        part: trace.read(scene.block(f"attn.{part}"), head=head, row=query).astype(np.float64)
        for part in ("scores", "scaled", "masked", "pattern")
    }
    keys = _keys(scene, query)
    hidden = [j for j in range(count) if not np.isfinite(rows["masked"][j])][: max(0, _KEYS - len(keys))]
    shown = sorted({*keys, *hidden})
    seen = np.isfinite(rows["masked"])
    largest = float(rows["masked"][seen].max())
    exps = np.where(seen, np.exp(np.where(seen, rows["masked"], largest) - largest), 0.0)
    total = float(exps.sum())

    def cells(part: str) -> tuple[Cell, ...]:
        return tuple(Cell(scene.block(f"attn.{part}"), (head, query, j)) for j in shown)

    def stage(words: str, part: str, before: Array, after: Array, text: Callable[[float], str] = number) -> Beat:
        made = cells(part)
        reach = float(max(np.abs(before[shown]).max(), np.abs(after[shown]).max(), 1e-30))

        def panels(t: float) -> Box:
            now = before + (after - before) * eased(t)
            bars = tuple(
                Bar(
                    scene.labels[j],
                    float(now[j]),
                    told(number(float(before[j])), text(float(after[j])), t),
                    "" if seen[j] or t < 0.5 or part == "scaled" else Phrase("hidden"),
                    kept=bool(seen[j]) or part == "scaled" or t < 0.5,
                )
                for j in shown
            )
            return column(
                BarsPanel(
                    title=words,
                    note=Phrase("query {1}", scene.labels[query]),
                    bars=bars,
                    hue=Hue.ATTENTION,
                    reach=reach,
                )
            )

        results = tuple(float(rows[part][j]) for j in shown)
        return Beat(words, made, computed_from(trace, made[0]), results, panels)

    gone = np.where(seen, rows["masked"], 0.0)
    root = math.sqrt(scene.config.d_head)
    return (
        stage(
            Phrase("scaled: scores / √{1} = / {2}", scene.config.d_head, f"{root:.3g}"),
            "scaled",
            rows["scores"],
            rows["scaled"],
        ),
        stage(Phrase("masked: what comes later is −∞"), "masked", rows["scaled"], gone),
        stage(
            Phrase("less the largest, {1}", number(largest)),
            "masked",
            gone,
            np.where(seen, gone - largest, 0.0),
        ),
        stage(Phrase("exponentiated"), "pattern", np.where(seen, gone - largest, 0.0), exps),
        stage(Phrase("divided by their sum, {1}", number(total)), "pattern", exps, exps / total, percent),
    )


def _weigh(scene: Scene) -> tuple[Beat, ...]:
    """Value rows, each times its weight, added one by one into z."""
    query, head, trace = scene.token, scene.head, scene.trace
    pattern = trace.read(scene.block("attn.pattern"), head=head, row=query).astype(np.float64)
    values = trace.read(scene.block("attn.v"), head=head).astype(np.float64)
    keys = _keys(scene, query)
    rest = [j for j in range(scene.reach(query)) if j not in keys]
    groups: list[list[int]] = [[j] for j in keys] + ([rest] if rest else [])
    terms = [sum((pattern[j] * values[j] for j in group), np.zeros(values.shape[1])) for group in groups]
    sums = np.cumsum(terms, 0)
    v_levels, z_levels = diverging(values[keys]), diverging(sums)
    cell = Cell(scene.block("attn.z"), (head, query, 0))
    made = tuple(Cell(cell.name, (head, query, n)) for n in range(values.shape[1]))

    def beat(n: int) -> Beat:
        group = groups[n]
        j = group[0]
        before = sums[n - 1] if n else np.zeros(values.shape[1])
        label = Phrase("v of {1}", scene.labels[j]) if len(group) == 1 else Phrase("{1} others", len(group))
        weight = float(pattern[group].sum())

        def panels(t: float) -> Box:
            done = eased(t)
            bars = tuple(
                Bar(
                    scene.labels[g[0]] if len(g) == 1 else Phrase("others"),
                    float(pattern[g].sum()),
                    percent(float(pattern[g].sum())),
                    marked=m == n,
                )
                for m, g in enumerate(groups)
            )
            first = values[j] if len(group) == 1 else terms[n] / max(weight, 1e-30)
            return column(
                BarsPanel(title=Phrase("Weights of the row"), bars=bars, hue=Hue.ATTENTION, reach=1.0),
                _leveled(_strip(first, label, Hue.VALUE), v_levels),
                _leveled(_strip(terms[n] * done, f"× {number(weight)}", Hue.ACCENT, operator="×"), z_levels),
                _leveled(_strip(before + terms[n] * done, Phrase("z so far"), Hue.VALUE, operator="+"), z_levels),
            )

        words = Phrase("{1} of {2}", percent(weight), label)
        results = tuple(map(float, sums[n]))
        last = n == len(groups) - 1
        return Beat(words, made if last else (), computed_from(trace, cell), results, panels)

    return tuple(beat(n) for n in range(len(groups)))


def _norm(scene: Scene, name: str, source: str) -> tuple[Beat, ...]:
    """A layer norm's four steps on the selected token's vector."""
    token, trace = scene.token, scene.trace
    x = trace.read(source, row=token).astype(np.float64)
    mean = float(trace.read(f"{name}.mean", row=token)[0])
    scale = float(trace.read(f"{name}.scale", row=token)[0])
    normal = trace.read(f"{name}.normalized", row=token).astype(np.float64)
    out = trace.read(f"{name}.out", row=token).astype(np.float64)
    dims = np.arange(len(x), dtype=float)

    def stage(
        words: str, cells: tuple[Cell, ...], results: Array, before: Array, after: Array, level: tuple[float, float]
    ) -> Beat:
        means = float(before.mean()), float(after.mean())

        def panels(t: float) -> Box:
            done = eased(t)
            now = before + (after - before) * done
            at = level[0] + (level[1] - level[0]) * done
            return column(
                CurvePanel(
                    title=words,
                    note=Phrase("token {1}", scene.labels[token]),
                    points=(dims, now),
                    stems=True,
                    hue=Hue.RESIDUAL,
                    levels_at=((at, Phrase("mean {1}", told(number(means[0]), number(means[1]), t))),),
                    x_label=Phrase("dimension"),
                ),
                _leveled(_strip(now, Phrase("the vector"), Hue.RESIDUAL), diverging(after)),
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
            Phrase("less the mean"), (Cell(f"{name}.scale", (token, 0)),), np.array([scale]), x, x - mean, (mean, 0.0)
        ),
        stage(Phrase("divided by {1}", number(scale)), row("normalized"), normal, x - mean, normal, (0.0, 0.0)),
        stage(Phrase("times the gain, plus the bias"), row("out"), out, normal, out, (0.0, float(out.mean()))),
    )


def _product(scene: Scene, name: str) -> tuple[Beat, ...]:
    """The output of largest magnitude of a matrix product at the token: its terms are added in eight parts."""
    token = scene.token if name != "logits" else scene.position
    values = scene.trace.read(name, row=token)
    if values.ndim > 1:  # for q, k, v: one head's
        values = values[scene.head]
    n = int(np.abs(values).argmax())
    per_head = scene.trace.table[name].spec.per_head
    cell = Cell(name, (scene.head, token, n) if per_head else (token, n))
    left, right, products, bias = _open(scene, cell)
    running = np.concatenate([[0.0], np.cumsum(products)])
    edges = np.linspace(0, len(products), _PARTS + 1).astype(int)
    levels = diverging(left), diverging(right), diverging(products)
    total = float(running[-1]) + bias
    column_label = Phrase("column {1} of the weights", n)

    def view(upto: float, target: float) -> Box:
        stop = round(upto)
        done = np.where(np.arange(len(products)) < stop, products, np.nan)
        return column(
            _leveled(_strip(left, Phrase("x of {1}", scene.labels[token]), Hue.RESIDUAL), levels[0]),
            _leveled(_strip(right, column_label, Hue.MLP, operator="×"), levels[1]),
            _leveled(_strip(done, Phrase("products"), Hue.ACCENT, operator="="), levels[2]),
            CurvePanel(
                title=Phrase("Running sum"),
                note=Phrase("now {1}", number(float(running[stop]) + target)),
                lines=(
                    (np.arange(stop + 1, dtype=float), running[: stop + 1]),
                    (np.array([0.0, len(products)]), np.zeros(2)),
                ),
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


def _activation(scene: Scene) -> tuple[Beat, ...]:
    """Neurons of the selected token, from the lowest to the highest, each passed through the activation curve."""
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


def _addends(scene: Scene, name: str) -> tuple[Beat, ...]:
    """Two vectors added into their sum, a quarter of the dimensions at a time."""
    token, trace = scene.token, scene.trace
    sources = trace.table[name].inputs
    one, other = (trace.read(source, row=token).astype(np.float64) for source in sources[:2])
    total = trace.read(name, row=token).astype(np.float64)
    levels = diverging(one, other, total)
    edges = np.linspace(0, len(total), 5).astype(int)

    def part(k: int) -> Beat:
        low, high = int(edges[k]), int(edges[k + 1])
        cells = tuple(Cell(name, (token, n)) for n in range(low, high))

        def panels(t: float) -> Box:
            return column(
                _leveled(_strip(one, sources[0], Hue.RESIDUAL), levels),
                _leveled(_strip(other, sources[1], Hue.ATTENTION, operator="+"), levels),
                _leveled(
                    _strip(_shown(total, (low + (high - low) * t) / len(total)), name, Hue.RESIDUAL, operator="="),
                    levels,
                ),
            )

        words = Phrase("dimensions {1} to {2}", low, high - 1)
        return Beat(words, cells, computed_from(trace, cells[0]), tuple(map(float, total[low:high])), panels)

    return tuple(part(k) for k in range(4) if edges[k + 1] > edges[k])


def _cache(scene: Scene) -> tuple[Beat, ...]:
    """The newest token's key and value: the rows computed now, next to those in the key-value cache."""
    last, head = len(scene.trace) - 1, scene.head

    def part(letter: str, hue: Hue) -> Beat:
        name = scene.block(f"attn.{letter}")
        values = scene.trace.read(name, head=head)
        levels = diverging(values)
        cells = tuple(Cell(name, (head, last, n)) for n in range(values.shape[1]))

        def panels(t: float) -> Box:
            now = np.array(values, np.float64)
            now[last, round(t * now.shape[1]) :] = np.nan
            return column(
                MapPanel(
                    title=Phrase("{1}, head {2}", name, head),
                    note=Phrase("{1} rows are kept, one is computed", last),
                    values=now,
                    levels=levels,
                    row_labels=scene.labels,
                    source=Source(name, (head, "row", "col")),
                    hue=hue,
                    selected=last,
                    fresh=1,
                    x_label=Phrase("{1} dimensions", now.shape[1]),
                )
            )

        words = Phrase("the new row of {1}; the cache spares the {2} above it", letter, last)
        return Beat(words, cells, computed_from(scene.trace, cells[0]), tuple(map(float, values[last])), panels)

    return part("k", Hue.KEY), part("v", Hue.VALUE)


def rows_of(scene: Scene, name: str) -> tuple[Beat, ...]:
    """A tensor, row by row; the row of each token fills from left to right."""
    per_head = scene.trace.table[name].spec.per_head
    values = np.array(scene.trace.read(name, head=scene.head if per_head else None), np.float64)
    grid = scene.trace.table[name].axes[-1] == "key"
    if grid and name.endswith(("masked", "pattern")):
        values[~np.isfinite(scene.trace.read(scene.block("attn.masked"), head=scene.head))] = np.nan
    levels = unit(scene.state.view.pattern_scale) if name.endswith("pattern") else diverging(values)
    first = max(0, len(values) - _ROWS)

    def beat(row: int) -> Beat:
        cells = tuple(
            Cell(name, (scene.head, row, n) if per_head else (row, n))
            for n in range(values.shape[1])
            if np.isfinite(values[row, n])
        )

        def panels(t: float) -> Box:
            now = values.copy()
            now[row + 1 :] = np.nan
            now[row, round(t * now.shape[1]) :] = np.nan
            if grid:
                return column(
                    GridPanel(
                        title=name,
                        values=now,
                        levels=levels,
                        labels=scene.labels,
                        selected=row,
                        head=scene.head,
                        source=Source(name, (scene.head, "row", "col")),
                    )
                )
            index: tuple[int | str, ...] = (scene.head, "row", "col") if per_head else ("row", "col")
            return column(
                MapPanel(
                    title=name,
                    values=now,
                    levels=levels,
                    row_labels=scene.labels,
                    selected=row,
                    source=Source(name, index),
                    x_label=Phrase("{1} columns", now.shape[1]),
                )
            )

        results = tuple(float(values[row, cell.index[-1]]) for cell in cells)
        return Beat(
            Phrase("the row of {1}", scene.labels[row]),
            cells,
            computed_from(scene.trace, cells[0]) if cells else (),
            results,
            panels,
        )

    return tuple(beat(row) for row in range(first, len(values)))


@dataclass(frozen=True)
class Operation:
    """A row of the table: the steps that offer it, the function that makes its beats, and the tensor that it fills."""

    id: str
    title: str
    steps: tuple[str, ...]
    make: Callable[[Scene, str], tuple[Beat, ...]]
    tensor: Callable[[str], str] | None = None


def _named(op: str) -> str:
    return {"qkv": "q", "heads": "q"}.get(op, op)


def _full(scene: Scene, op: str) -> str:
    """The name of a step's tensor, in the shown block."""
    name = {"sum": "blocks.0.resid_pre", "qkv": "attn.q", "heads": "attn.q"}.get(op, op)
    if name.startswith("blocks.") or name == "logits":
        return name
    return scene.block(name)


def _norm_of(scene: Scene, op: str) -> tuple[Beat, ...]:
    if op == "ln_final":
        return _norm(scene, "ln_final", f"blocks.{scene.config.n_layer - 1}.resid_post")
    return _norm(scene, scene.block(op), scene.block("resid_pre" if op == "ln1" else "resid_mid"))


OPERATIONS: tuple[Operation, ...] = (
    Operation("dot", Phrase("a query meets each key"), ("scores",), lambda s, _: _scores(s), lambda _: "attn.scores"),
    Operation(
        "softmax",
        Phrase("a row becomes a pattern"),
        ("scaled", "masked", "pattern"),
        lambda s, _: _softmax(s),
        lambda op: f"attn.{op}",
    ),
    Operation("values", Phrase("values are weighted and added"), ("z",), lambda s, _: _weigh(s), lambda _: "attn.z"),
    Operation(
        "norm", Phrase("a layer norm in four steps"), ("ln1", "ln2", "ln_final"), _norm_of, lambda op: f"{op}.out"
    ),
    Operation(
        "product",
        Phrase("one number of a matrix product"),
        ("qkv", "heads", "attn_out", "mlp.pre", "mlp_out", "logits"),
        lambda s, op: _product(s, _full(s, op)),
        lambda op: {"qkv": "attn.q", "heads": "attn.q"}.get(op, op),
    ),
    Operation(
        "activation",
        Phrase("neurons go through the curve"),
        ("mlp.post",),
        lambda s, _: _activation(s),
        lambda _: "mlp.post",
    ),
    Operation(
        "sum",
        Phrase("two vectors are added"),
        ("sum", "resid_mid", "resid_post"),
        lambda s, op: _addends(s, _full(s, op)),
        lambda op: "blocks.0.resid_pre" if op == "sum" else op,
    ),
    Operation(
        "temperature", Phrase("the temperature shapes the bars"), ("temperature",), lambda s, _: sampling.temperature(s)
    ),
    Operation("top_p", Phrase("the running sum reaches top-p"), ("top_p",), lambda s, _: sampling.top_p(s)),
    Operation("draw", Phrase("the draw lands"), ("draw", "probabilities"), lambda s, _: sampling.draw(s)),
    Operation("cache", Phrase("the row that the cache does not spare"), ("append",), lambda s, _: _cache(s)),
)
"""Every animated operation."""


def operation_of(step: Step) -> Operation | None:
    """The animated operation of a step, if it has one."""
    return next((row for row in OPERATIONS if step.spec.op in row.steps), None)


def motion_of(scene: Scene, step: Step, by: str = CELL) -> Motion:
    """The animated operation of a step: cell by cell for the selected token, or row by row if it fills a tensor.

    Raises ExportError if the step has none.
    """
    operation = operation_of(step)
    if operation is None:
        ids = ", ".join(sorted({op for row in OPERATIONS for op in row.steps}))
        raise ExportError(f"{step.key} does not move; these steps do: {ids}.")
    op = step.spec.op
    if by == ROW and operation.tensor is not None:
        name = operation.tensor(op)
        outside = name.startswith(("blocks.", "ln_final", "logits"))
        beats = rows_of(scene, name if outside else scene.block(name))
    else:
        beats = operation.make(scene, op)
    block = Phrase("Block {1}", scene.layer) if step.layer is not None else Phrase("After the blocks")
    head = (Phrase("Head {1}", scene.head),) if step.spec.per_head else ()
    where = joined(" · ", (block, *head, token_name(scene, scene.token)))
    return Motion(operation.id, operation.title, where, beats)


def moves_by_row(step: Step) -> bool:
    """Whether a step's operation can also be shown row by row."""
    operation = operation_of(step)
    return operation is not None and operation.tensor is not None


def regions(beat: Beat) -> Sequence[Region]:
    """The operands of a beat, to be highlighted."""
    return beat.operands
