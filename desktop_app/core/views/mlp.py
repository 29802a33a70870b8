"""Views of the MLP: neurons before and after the activation, its curve, and what it writes."""

import numpy as np

from desktop_app.core.levels import diverging, number
from desktop_app.core.panels import (
    Array,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Source,
    Strip,
    StripsPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import norm, strip, token_map, token_name, wrap_width
from desktop_app.gpt2.activations import ACTIVATIONS

_STRONGEST = 12
_REACH = 16.0


def _order(scene: Scene) -> Array:
    """Neurons in the order in which they are shown: by index, or the most active first."""
    post = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    return np.argsort(-post, kind="stable") if scene.state.view.sort_neurons else np.arange(len(post))


def _neurons(scene: Scene, name: str, label: str, hue: Hue) -> Strip:
    order = _order(scene)
    values = scene.trace.read(name, row=scene.token)[order]
    return Strip(label, values, Source(name, (scene.token, "col"), cols=tuple(order.tolist())), hue)


def _strongest(scene: Scene, name: str, title: str) -> BarsPanel:
    values = scene.trace.read(name, row=scene.token)
    order = np.argsort(-np.abs(values), kind="stable")[:_STRONGEST]
    bars = tuple(
        Bar(f"neuron {i}", float(values[i]), number(float(values[i])), source=(name, (scene.token, int(i))))
        for i in order
    )
    return BarsPanel(title=title, note="by size, named by index", bars=bars, hue=Hue.MLP)


def _sorting(scene: Scene) -> str:
    return "most active first" if scene.state.view.sort_neurons else "in place, by index"


def pre(scene: Scene) -> Box:
    """The stream's vector widened to every neuron."""
    source = strip(scene, scene.block("ln2.out"), "ln2.out")
    neurons = _neurons(scene, scene.block("mlp.pre"), "mlp.pre", Hue.MLP)
    return column(
        StripsPanel(
            title=f"In: {token_name(scene, scene.token)}",
            strips=(source,),
            levels=diverging(source.values),
            wrap=wrap_width(scene.config.n_embd),
        ),
        StripsPanel(
            title=f"Out: {scene.config.d_mlp:,} neurons before the activation",
            note=_sorting(scene),
            strips=(neurons,),
            levels=diverging(neurons.values),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        row(
            _strongest(scene, scene.block("mlp.pre"), "Strongest neurons"),
            token_map(
                scene,
                scene.block("mlp.pre"),
                scene.block("mlp.pre"),
                hue=Hue.MLP,
                x_label=f"{scene.config.d_mlp:,} neurons",
            ),
            weights=(2, 3),
        ),
    )


def post(scene: Scene) -> Box:
    """Every neuron through the activation function."""
    before = _neurons(scene, scene.block("mlp.pre"), "before", Hue.MLP)
    after = _neurons(scene, scene.block("mlp.post"), "after", Hue.ACCENT)
    x = scene.trace.read(scene.block("mlp.pre"), row=scene.token)
    y = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    low, high = min(-4.0, float(np.percentile(x, 0.5))), max(4.0, float(np.percentile(x, 99.5)))
    best = int(np.argmax(np.abs(y)))
    # The axis reaches to the named neuron, unless that is so far out that the bend of the curve would not be seen.
    if high < x[best] <= _REACH:
        high = float(x[best]) * 1.05
    grid = np.linspace(low, high, 400, dtype=np.float32)
    inside = (x >= low) & (x <= high)
    name = scene.config.activation_function
    active = int((y > 0).sum())
    return column(
        StripsPanel(
            title=f"{scene.config.d_mlp:,} neurons of {token_name(scene, scene.token)}",
            note=_sorting(scene),
            strips=(before, after),
            levels=diverging(before.values, after.values, rule="shared by both"),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        row(
            CurvePanel(
                title=name,
                note=f"{active:,} of {len(y):,} neurons above zero",
                lines=((grid, ACTIVATIONS[scene.config.activation].compute(grid)),),
                points=(x[inside], y[inside]),
                focus=(float(x[best]), float(y[best]), f"neuron {best}"),
                x_label="before",
                y_label="after",
            ),
            _strongest(scene, scene.block("mlp.post"), "Strongest neurons"),
        ),
    )


def out(scene: Scene) -> Box:
    """The neurons' activations brought back to the width of the stream."""
    neurons = _neurons(scene, scene.block("mlp.post"), "mlp.post", Hue.MLP)
    result = strip(scene, scene.block("mlp_out"), "mlp_out", hue=Hue.ACCENT)
    weights = scene.checkpoint.weights[scene.block("mlp.W_out")]
    values = scene.trace.read(scene.block("mlp.post"), row=scene.token)
    reach = np.abs(values) * _row_norms(weights)
    order = np.argsort(-reach, kind="stable")[:_STRONGEST]
    bars = tuple(
        Bar(f"neuron {i}", float(reach[i]), number(float(reach[i])), f"activation {number(float(values[i]))}")
        for i in order
    )
    return column(
        StripsPanel(
            title=f"In: neurons of {token_name(scene, scene.token)}",
            note=_sorting(scene),
            strips=(neurons,),
            levels=diverging(neurons.values),
            wrap=wrap_width(scene.config.d_mlp),
        ),
        StripsPanel(
            title="Out: what the MLP writes",
            note=norm(result.values),
            strips=(result,),
            levels=diverging(result.values),
            wrap=wrap_width(scene.config.n_embd),
        ),
        row(
            BarsPanel(
                title="Neurons that write most",
                note="|activation| × length of its row in W_out",
                bars=bars,
                hue=Hue.MLP,
            ),
            token_map(scene, scene.block("mlp_out"), scene.block("mlp_out"), hue=Hue.MLP),
            weights=(2, 3),
        ),
    )


def _row_norms(matrix: Array) -> Array:
    return np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
