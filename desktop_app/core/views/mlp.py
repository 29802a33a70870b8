"""Views of the MLP: neurons before and after the activation function, its curve, and what the MLP writes."""

import numpy as np

from desktop_app.core.levels import diverging, number
from desktop_app.core.panels import (
    Array,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Cut,
    Hue,
    Source,
    Strip,
    StripsPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.silent import heard_limits, is_silent
from desktop_app.core.views.common import norm, strip, token_map, token_name, vector, without_first, wrap_width
from desktop_app.core.views.vector_bars import strongest
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.phrase import Count, Phrase, joined

_STRONGEST, _BESIDE = 12, 9  # bars alone, and beside the curve, which are seen together on a projector's screen
_LOWEST = 4
_REACH = 16.0


def _order(scene: Scene) -> Array:
    """The neurons in display order: by index, or by descending activation."""
    post = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    return np.argsort(-post, kind="stable") if scene.state.view.sort_neurons else np.arange(len(post))


def _neurons(scene: Scene, name: str, label: str, hue: Hue) -> Strip:
    order = _order(scene)
    values = scene.trace.read(name, row=scene.token)[order]
    return Strip(label, values, Source(name, (scene.token, "col"), cols=tuple(order.tolist())), hue)


def _strongest(scene: Scene, name: str, title: str) -> BarsPanel:
    values = scene.trace.read(name, row=scene.token)
    order = np.argsort(-np.abs(values), kind="stable")[:_BESIDE]
    bars = tuple(
        Bar(Phrase("neuron {1}", i), float(values[i]), number(float(values[i])), source=(name, (scene.token, int(i))))
        for i in order
    )
    return BarsPanel(title=title, note=Phrase("by size, named by index"), bars=bars, hue=Hue.MLP)


def _highest_and_lowest(scene: Scene, silent: Array) -> BarsPanel:
    """The neurons with the highest and lowest values before the activation, without those `silent` at every token."""
    name = scene.block("mlp.pre")
    values = scene.trace.read(name, row=scene.token)
    order = np.argsort(-values, kind="stable")
    heard = order[~silent[order]]
    highest = heard[: _STRONGEST - _LOWEST]
    lowest = heard[len(highest) :][-_LOWEST:]
    bars = tuple(
        Bar(Phrase("neuron {1}", i), float(values[i]), number(float(values[i])), source=(name, (scene.token, int(i))))
        for i in (*highest.tolist(), *lowest.tolist())
    )
    cuts = [Cut(len(highest), Phrase("the lowest"))] if lowest.size else []
    if silent.any():
        cuts.append(Cut(len(bars), Phrase("{1} silent neurons", Count(int(silent.sum())))))
    return BarsPanel(
        title=Phrase("Highest neurons"), note=Phrase("named by index"), bars=bars, hue=Hue.MLP, cuts=tuple(cuts)
    )


def _sorting(scene: Scene) -> str:
    return Phrase("most active first") if scene.state.view.sort_neurons else Phrase("in place, by index")


def pre(scene: Scene) -> Box:
    """The vector of the residual stream projected onto all neurons."""
    source = strip(scene, scene.block("ln2.out"), "ln2.out")
    neurons = _neurons(scene, scene.block("mlp.pre"), "mlp.pre", Hue.MLP)
    everything = without_first(scene, scene.trace[scene.block("mlp.pre")], 0)
    silent = is_silent(scene.config, np.fmax.reduce(everything, axis=0))
    count = int(silent.sum())
    heard = neurons.values[~silent[_order(scene)]]
    return column(
        vector(scene, source, Phrase("In: {1}", token_name(scene, scene.token))),
        StripsPanel(
            title=Phrase("Out: {1} neurons before the activation", Count(scene.config.d_mlp)),
            note=joined(
                " · ", [_sorting(scene), *([Phrase("{1} silent at every token", Count(count))] if count else [])]
            ),
            strips=(neurons,),
            levels=heard_limits(heard, (neurons.values,), Phrase("this view")),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        row(
            _highest_and_lowest(scene, silent),
            token_map(
                scene,
                scene.block("mlp.pre"),
                scene.block("mlp.pre"),
                hue=Hue.MLP,
                x_label=Phrase("{1} neurons", Count(scene.config.d_mlp)),
                levels=heard_limits(
                    # compress copies row by row; a mask as the index takes ten times as long, and turns the axes over
                    np.compress(~silent, everything, axis=1) if count else everything,
                    (everything,),
                    Phrase("this view"),
                ),
            ),
            weights=(2, 3),
        ),
    )


def post(scene: Scene) -> Box:
    """The activation of every neuron."""
    before = _neurons(scene, scene.block("mlp.pre"), Phrase("before"), Hue.MLP)
    after = _neurons(scene, scene.block("mlp.post"), Phrase("after"), Hue.ACCENT)
    x = scene.trace.read(scene.block("mlp.pre"), row=scene.token)
    y = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    heard = x[~is_silent(scene.config, x)]
    low, high = (float(v) for v in np.percentile(heard if heard.size else x, (0.5, 99.5)))
    low, high = min(-4.0, low), max(4.0, high)
    shown = before.values, after.values
    best = int(np.argmax(np.abs(y)))
    # The axis includes the named neuron, unless its value is so large that the bend of the curve would be invisible.
    if high < x[best] <= _REACH:
        high = float(x[best]) * 1.05
    grid = np.linspace(low, high, 400, dtype=np.float32)
    name = scene.config.activation_function
    active = int((y > 0).sum())
    return column(
        StripsPanel(
            title=Phrase("{1} neurons of {2}", Count(scene.config.d_mlp), token_name(scene, scene.token)),
            note=_sorting(scene),
            strips=(before, after),
            levels=heard_limits(
                before.values[~is_silent(scene.config, before.values)], shown, Phrase("shared by both")
            ),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        row(
            CurvePanel(
                title=name,
                note=Phrase("{1} of {2} neurons above zero", Count(active), Count(len(y))),
                lines=((grid, ACTIVATIONS[scene.config.activation].compute(grid)),),
                points=(x, y),
                source=Source(scene.block("mlp.post"), (), each=tuple((scene.token, n) for n in range(len(y)))),
                x_range=(low, high),
                focus=(float(x[best]), float(y[best]), Phrase("neuron {1}", best)),
                x_label=Phrase("before"),
                y_label=Phrase("after"),
            ),
            _strongest(scene, scene.block("mlp.post"), Phrase("Strongest neurons")),
        ),
    )


def out(scene: Scene) -> Box:
    """The activations projected back to the width of the residual stream."""
    neurons = _neurons(scene, scene.block("mlp.post"), "mlp.post", Hue.MLP)
    result = strip(scene, scene.block("mlp_out"), "mlp_out", hue=Hue.ACCENT)
    weights = scene.checkpoint.weights[scene.block("mlp.W_out")]
    values = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    reach = np.abs(values) * _row_norms(weights)
    order = np.argsort(-reach, kind="stable")[:_STRONGEST]
    bars = tuple(
        Bar(
            Phrase("neuron {1}", i),
            float(reach[i]),
            number(float(reach[i])),
            Phrase("activation {1}", number(float(values[i]))),
        )
        for i in order
    )
    return column(
        StripsPanel(
            carpet=True,
            title=Phrase("In: neurons of {1}", token_name(scene, scene.token)),
            note=_sorting(scene),
            strips=(neurons,),
            levels=diverging(neurons.values),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        StripsPanel(
            carpet=True,
            title=Phrase("Out: what the MLP writes"),
            note=norm(result.values),
            strips=(result,),
            levels=diverging(result.values),
            wrap=wrap_width(scene.config.n_embd),
        ),
        row(
            BarsPanel(
                title=Phrase("Neurons that write most"),
                note=Phrase("|activation| × length of its row in W_out"),
                bars=bars,
                hue=Hue.MLP,
            ),
            strongest(scene, scene.block("mlp_out"), hue=Hue.ACCENT),
        ),
        token_map(scene, scene.block("mlp_out"), scene.block("mlp_out"), hue=Hue.MLP),
    )


def _row_norms(matrix: Array) -> Array:
    return np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
