"""Views of the residual stream: layer norms and additions."""

from dataclasses import replace

import numpy as np

from desktop_app.core.levels import diverging, number, short
from desktop_app.core.panels import Box, CurvePanel, Hue, Source, Strip, StripsPanel, column, row
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import LEGIBLE, compared, norm, strip, token_map, token_name, wrap_width
from desktop_app.core.views.vector_bars import alike, changed, strongest, turned
from desktop_app.gpt2.phrase import Phrase


def _layer_norm(scene: Scene, name: str, source: str) -> Box:
    position = scene.token
    x = scene.trace.read(source, row=position)
    mean = float(scene.trace.read(f"{name}.mean", row=position)[0])
    scale = float(scene.trace.read(f"{name}.scale", row=position)[0])
    before = strip(scene, source, source.rsplit(".", 1)[-1])
    strips = (
        replace(before, label=Phrase("before"), remark=Phrase("mean {1}", short(mean))),
        Strip(Phrase("centred"), x - np.float32(mean), None, remark=Phrase("x − mean")),
        strip(scene, f"{name}.normalized", "normalized", remark=f"÷ {number(scale)}"),
        strip(scene, f"{name}.out", "out", hue=Hue.ACCENT, remark="· w + b"),
    )
    dims = np.arange(len(x))
    profile = CurvePanel(
        title=source,
        note=Phrase("each dimension of this token's vector"),
        points=(dims, x),
        source=Source(source, (), each=tuple((position, n) for n in range(len(x)))),
        levels_at=((mean, Phrase("mean {1}", number(mean))),),
        band=(mean - scale, mean + scale),
        x_label=Phrase("dimension"),
        stems=True,
        hue=Hue.RESIDUAL,
    )
    out = scene.trace.read(f"{name}.out", row=position)
    after = CurvePanel(
        title=f"{name}.out",
        note=Phrase("the same after the norm, gain and bias"),
        points=(dims, out),
        source=Source(f"{name}.out", (), each=tuple((position, n) for n in range(len(out)))),
        levels_at=((0.0, "0"),),
        x_label=Phrase("dimension"),
        stems=True,
        hue=Hue.ACCENT,
    )
    # Before and after differ in size by design, so each strip has separate limits.
    first = StripsPanel(
        carpet=True,
        title=Phrase("One vector, four steps: {1}", token_name(scene, position)),
        strips=strips[:2],
        levels=diverging(strips[0].values, strips[1].values, rule=Phrase("before and centred")),
        wrap=wrap_width(len(x)),
    )
    second = StripsPanel(
        carpet=True,
        strips=strips[2:],
        levels=diverging(strips[2].values, strips[3].values, rule=Phrase("normalized and out")),
        wrap=wrap_width(len(x)),
    )
    picture = row(profile, after)
    bars = compared(
        strongest(scene, source, title=Phrase("Strongest before")),
        strongest(scene, f"{name}.out", hue=Hue.ACCENT, title=Phrase("Strongest after")),
        least=LEGIBLE,
    )
    return column(picture, bars, first, second, token_map(scene, f"{name}.out", f"{name}.out"))


def ln1(scene: Scene) -> Box:
    """Layer norm before attention."""
    return _layer_norm(scene, scene.block("ln1"), scene.block("resid_pre"))


def ln2(scene: Scene) -> Box:
    """Layer norm before the MLP."""
    return _layer_norm(scene, scene.block("ln2"), scene.block("resid_mid"))


def ln_final(scene: Scene) -> Box:
    """Layer norm before the unembedding."""
    return _layer_norm(scene, "ln_final", f"blocks.{scene.config.n_layer - 1}.resid_post")


def _addition(scene: Scene, left: str, right: str, total: str, right_hue: Hue) -> Box:
    strips = tuple(
        replace(s, remark=norm(s.values))
        for s in (
            strip(scene, left, left.rsplit(".", 1)[-1]),
            strip(scene, right, right.rsplit(".", 1)[-1], hue=right_hue, operator="+"),
            strip(scene, total, total.rsplit(".", 1)[-1], hue=Hue.ACCENT, operator="="),
        )
    )
    return column(
        StripsPanel(
            carpet=True,
            title=Phrase("The sum for {1}", token_name(scene, scene.token)),
            strips=strips,
            levels=diverging(*(s.values for s in strips), rule=Phrase("shared by the three")),
            wrap=wrap_width(scene.config.n_embd),
        ),
        turned(scene, left, right, total),
        row(changed(scene, left, total, hue=right_hue), alike(scene, total)),
        row(
            token_map(scene, right, f"{right}", hue=right_hue, note=Phrase("what is added to every token")),
            token_map(scene, total, f"{total}", note=Phrase("the stream afterwards")),
        ),
    )


def resid_mid(scene: Scene) -> Box:
    """The output of attention, added to the residual stream."""
    return _addition(scene, scene.block("resid_pre"), scene.block("attn_out"), scene.block("resid_mid"), Hue.ATTENTION)


def resid_post(scene: Scene) -> Box:
    """The output of the MLP, added to the residual stream."""
    return _addition(scene, scene.block("resid_mid"), scene.block("mlp_out"), scene.block("resid_post"), Hue.MLP)
