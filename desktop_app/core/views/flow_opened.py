"""A node or an edge of the flow taken apart: what a vector is made of, and how a share comes about."""

from collections.abc import Sequence

import numpy as np

from desktop_app.core.analysis.flow import Edge, Flow, Node, attention_importance
from desktop_app.core.analysis.parts import bias_of, head_rows, output_matrices
from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.panels import (
    AnyPanel,
    Array,
    Bar,
    BarsPanel,
    Box,
    Hue,
    Line,
    Source,
    Strip,
    StripsPanel,
    TextPanel,
    column,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import wrap_width
from desktop_app.gpt2.errors import ModelError

_LISTED = 10
_OTHERS = {
    "b_O": "attention bias",
    "b_out": "MLP bias",
    "embed": "token embedding",
    "pos_embed": "position embedding",
    "rounding": "rounding to int8",
    "rest": "all lines below the threshold",
}


def node(scene: Scene, found: Flow, n: int, edges: str, indices: Sequence[tuple[int, ...]]) -> Box:
    """All that a vector is made of, by share, and the vector; cells of the edges are `edges` at their `indices`."""
    own = found.nodes[n]
    bars = [
        Bar(_edge_words(scene, found, int(e)), float(found.importance[e]), percent(float(found.importance[e])),
            source=(edges, indices[int(e)]))
        for e in np.flatnonzero(found.upper == n)
    ]  # fmt: skip
    bars += [Bar(_OTHERS[name], share, percent(share)) for name, share in own.made_of.items()]
    total = sum(bar.value for bar in bars)
    return column(
        BarsPanel(title="Made of", note=f"shares add up to {number(total)}", bars=tuple(bars), hue=Hue.RESIDUAL),
        _vectors(scene, ("The vector", own.tensor, own.position, None)),
    )


def _edge_words(scene: Scene, found: Flow, e: int) -> str:
    kind = found.kinds[e]
    if kind is not Edge.ATTENTION:
        return kind.value
    position = found.nodes[int(found.lower[e])].position
    return f"attention to {scene.labels[position]} {position}"


def _vectors(scene: Scene, *which: tuple[str, str, int, Array | None]) -> StripsPanel:
    """Vectors under each other: title, tensor, position, and the numbers where no tensor has them."""
    strips = []
    for label, tensor, position, values in which:
        source = Source(tensor, (position, "col")) if values is None else None
        own = scene.trace.read(tensor, row=position) if values is None else values
        strips.append(Strip(label, own, source, Hue.RESIDUAL))
    everything = np.concatenate([strip.values for strip in strips])
    return StripsPanel(
        title=which[0][1], strips=tuple(strips), levels=diverging(everything), wrap=wrap_width(len(strips[0].values))
    )


def edge(scene: Scene, found: Flow, e: int) -> Box:
    """A share made again from the vectors; of attention, what each head brought, and from which other tokens."""
    upper, lower = found.nodes[int(found.upper[e])], found.nodes[int(found.lower[e])]
    layer, row, kind = int(upper.tensor.split(".")[1]), upper.position, found.kinds[e]
    whole = scene.trace.read(upper.tensor, row=row).astype(np.float64)
    if kind is not Edge.ATTENTION:
        tensor = lower.tensor if kind is Edge.STREAM else f"blocks.{layer}.mlp_out"
        part = scene.trace.read(tensor, row=row).astype(np.float64)
        if kind is Edge.MLP:
            part = part - bias_of(scene.checkpoint, layer, "mlp.b_out")
        lost = _all_lost(scene, upper.tensor, row)
        lines = _lines(whole, [part], lost, float(found.importance[e]))
        strips = _vectors(scene, ("f", upper.tensor, row, None), ("y", tensor, row, part if kind is Edge.MLP else None))
        return column(TextPanel(lines=lines), strips)
    heads, key = found.by_head[e], lower.position
    written = [_written(scene, layer, h, row)[key] for h in range(scene.config.n_head)]
    lines = _lines(whole, written, _all_lost(scene, upper.tensor, row), float(found.importance[e]))
    strongest = int(heads.argmax())
    panels: list[AnyPanel | Box] = [
        TextPanel(lines=lines),
        _by_head(scene, layer, heads, (row, key)),
        _by_source(scene, layer, row, key),
        _vectors(
            scene, ("f", upper.tensor, row, None), (f"y of head {strongest}", upper.tensor, row, written[strongest])
        ),
    ]
    return column(*panels)


def _lines(whole: Array, parts: list[Array], lost: Array, share: float) -> tuple[Line, ...]:
    size = float(np.abs(whole).sum())
    kept = [size - float(np.abs(whole - y).sum()) for y in parts]
    raw = [max(own, 1e-9 * size) for own in kept]
    total = float(np.maximum(size - lost, 1e-9 * size).sum())
    again = sum(raw) / total
    each = " + ".join(f"({number(size)} − {number(size - own)})" for own in kept[:1])
    more = f"and {len(kept) - 1} more heads" if len(kept) > 1 else ""
    return (
        Line("formula", "max( |f| − |f − y|, ε ) / Σ", "|·| is the sum of absolute values, Σ goes over all parts of f"),
        Line("with numbers", f"{each} / {number(total)}", more),
        Line("made again", percent(again), f"in float64 from these vectors; differs by {number(abs(again - share))}"),
    )


def _written(scene: Scene, layer: int, head: int, row: int) -> Array:
    """What a head wrote at `row` from each source, [key, d_model] in float64."""
    looks = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head, row=row)[: row + 1]
    values = scene.trace.read_rows(f"blocks.{layer}.attn.v", row + 1)[head].astype(np.float64)
    found: Array = looks[:, None] * (values @ output_matrices(scene.checkpoint, layer)[head])
    return found


def _all_lost(scene: Scene, tensor: str, row: int) -> Array:
    """|f − y| for every part y of a vector, [part]."""
    _, number_, name = tensor.split(".")
    layer, block = int(number_), f"blocks.{number_}."
    whole = scene.trace.read(tensor, row=row).astype(np.float64)

    def read(own: str) -> Array:
        return scene.trace.read(block + own, row=row).astype(np.float64)

    if name == "resid_post":
        bias = bias_of(scene.checkpoint, layer, "mlp.b_out").astype(np.float64)
        parts = [read("resid_mid"), read("mlp_out") - bias, bias]
    else:
        parts = [read("resid_pre"), bias_of(scene.checkpoint, layer, "attn.b_O").astype(np.float64)]
        if scene.config.int8:
            rounded = head_rows(scene.trace, layer, row, row + 1)[:, 0] - read("attn.z")
            parts.append(rounded.reshape(-1) @ scene.checkpoint.weights[block + "attn.W_O"])
    lost = [np.array([np.abs(whole - y).sum() for y in parts])]
    if name == "resid_mid":
        for head in range(scene.config.n_head):
            lost.append(np.abs(whole - _written(scene, layer, head, row)).sum(-1))
    return np.concatenate(lost)


def _by_head(scene: Scene, layer: int, heads: Array, at: tuple[int, int]) -> BarsPanel:
    row, key = at
    name = f"blocks.{layer}.attn.pattern"
    looks = scene.trace.read(name, row=row)[:, key]
    bars = tuple(
        Bar(
            f"head {h}",
            float(heads[h]),
            percent(float(heads[h])),
            f"attention {percent(float(looks[h]))}",
            source=(name, (int(h), row, key)),
        )
        for h in np.argsort(-heads, kind="stable")
    )
    total = percent(float(heads.sum()))
    return BarsPanel(title="By head", note=f"all add up to {total}", bars=bars, hue=Hue.ATTENTION)


def _by_source(scene: Scene, layer: int, row: int, key: int) -> BarsPanel:
    """All tokens that the vector has something from, this one marked."""
    shares = attention_importance(scene.checkpoint, scene.trace, layer, row).heads.sum(0)
    order = list(np.argsort(-shares, kind="stable")[:_LISTED])
    order = order if key in order else [*order[:-1], key]
    bars = [Bar(f"{scene.labels[j]} {j}", float(shares[j]), percent(float(shares[j])), marked=j == key) for j in order]
    left = len(shares) - len(order)
    if left:
        rest = float(shares.sum() - shares[order].sum())
        bars.append(Bar(f"{left:,} others", rest, percent(rest), kept=False))
    total = percent(float(shares.sum()))
    return BarsPanel(
        title="By token, all heads", note=f"attention adds up to {total}", bars=tuple(bars), hue=Hue.ATTENTION
    )


def as_numpy(scene: Scene, own: Node, found: Flow, edge_: int | None) -> str:
    """Lines that make all shares of a node again, or that of one of its edges. Raises ModelError in int8."""
    if scene.config.int8:
        raise ModelError("Shares are not written as numpy for weights rounded to int8; switch that off.")
    row, (_, layer, name) = own.position, own.tensor.split(".")
    block = f"blocks.{layer}."
    reads = [("f", own.tensor, f"[{row}]")]
    if own.tensor == "blocks.0.resid_pre":
        reads += [("embed", "embed", f"[{row}]"), ("pos_embed", "pos_embed", f"[{row}]")]
        lines = ["parts = np.stack([embed, pos_embed])"]
    elif name == "resid_post":
        reads += [("mid", block + "resid_mid", f"[{row}]"), ("mlp", block + "mlp_out", f"[{row}]")]
        reads += [("b_out", block + "mlp.b_out", "")]
        lines = ["parts = np.stack([mid, mlp - b_out, b_out])"]
    else:
        seen = f":{row + 1}"
        reads += [("pre", block + "resid_pre", f"[{row}]"), ("b_O", block + "attn.b_O", "")]
        reads += [("A", block + "attn.pattern", f"[:, {row}, {seen}]"), ("v", block + "attn.v", f"[:, {seen}]")]
        reads += [("W_O", block + "attn.W_O", "")]
        lines = [
            f"y = A[..., None] * (v @ W_O.reshape({scene.config.n_head}, {scene.config.d_head}, -1))  # [head, key, d]",
            "parts = np.concatenate([pre[None], b_O[None], y.reshape(-1, len(pre))])",
        ]
    lines += [
        "size = abs(f).sum()",
        "raw = np.maximum(size - abs(f - parts).sum(-1), 1e-9 * size)",
        "shares = raw / raw.sum()",
    ]
    result = "shares"
    if edge_ is not None:
        kind, key = found.kinds[edge_], found.nodes[int(found.lower[edge_])].position
        of_heads = f"shares[2:].reshape({scene.config.n_head}, -1)[:, {key}].sum()"
        result = {Edge.STREAM: "shares[0]", Edge.MLP: "shares[1]", Edge.ATTENTION: of_heads}[kind]
    about = f"shares of {own.tensor} at position {row}"
    return program(scene.checkpoint, about, reads, [*lines, f"result = {result}"])
