"""Opened nodes and edges of the flow: which parts a vector consists of, and how an importance is computed.

The displayed text calls the importance of a part its share.
"""

from collections.abc import Sequence

import numpy as np

from desktop_app.core.analysis.flow import (
    EDIT,
    Edge,
    Flow,
    Middle,
    Node,
    attention_importance,
    middle_of,
    not_normalized,
    parts_of_post,
)
from desktop_app.core.analysis.parts import before_edit, output_matrices
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
    formula_line,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import wrap_width
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase

_LISTED = 10
_OTHERS = {
    "b_O": Phrase("attention bias"),
    "b_out": Phrase("MLP bias"),
    "embed": Phrase("token embedding"),
    "pos_embed": Phrase("position embedding"),
    "rounding": Phrase("rounding to int8"),
    EDIT: Phrase("what an edit put"),
    "rest": Phrase("all edges below the threshold"),
}


def node(scene: Scene, found: Flow, n: int, edges: str, indices: Sequence[tuple[int, ...]]) -> Box:
    """Panels with the importance of each part of a vector, and the vector.

    The bar of edge e links to the cell named `edges` with the index `indices[e]`.
    """
    own = found.nodes[n]
    bars = [
        Bar(_edge_words(scene, found, int(e)), float(found.importance[e]), percent(float(found.importance[e])),
            source=(edges, indices[int(e)]))
        for e in np.flatnonzero(found.upper == n)
    ]  # fmt: skip
    bars += [Bar(_OTHERS[name], share, percent(share)) for name, share in own.made_of.items()]
    total = sum(bar.value for bar in bars)
    return column(
        BarsPanel(
            title=Phrase("Made of"),
            note=Phrase("shares add up to {1}", number(total)),
            bars=tuple(bars),
            hue=Hue.RESIDUAL,
        ),
        _vectors(scene, (Phrase("The vector"), own.tensor, own.position, None)),
    )


def _edge_words(scene: Scene, found: Flow, e: int) -> str:
    kind = found.kinds[e]
    if kind is not Edge.ATTENTION:
        return Phrase(kind.value)
    position = found.nodes[int(found.lower[e])].position
    return Phrase("attention to {1} {2}", scene.labels[position], position)


def _vectors(scene: Scene, *which: tuple[str, str, int, Array | None]) -> StripsPanel:
    """Vectors one below the other. `which` gives the title, tensor and position of each, or numbers instead."""
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
    """Panels that recompute an importance from the vectors; for attention, also by head and by source token."""
    upper, lower = found.nodes[int(found.upper[e])], found.nodes[int(found.lower[e])]
    row, kind, share = upper.position, found.kinds[e], float(found.importance[e])
    whole, parts, middle = _sum_of(scene, upper.tensor, row)
    if kind is not Edge.ATTENTION:
        part = parts[kind.value]
        lines = _lines(whole, [part], _all_lost(scene, upper.tensor, row), share)
        shown = lower.tensor if kind is Edge.STREAM else ""
        as_it_is = bool(shown) and np.array_equal(part, scene.trace.read(shown, row=row))
        strips = _vectors(
            scene, ("f", upper.tensor, row, None), ("y", shown or upper.tensor, row, None if as_it_is else part)
        )
        return column(TextPanel(lines=lines), strips)
    assert middle is not None  # attention only writes into resid_mid
    layer = int(upper.tensor.split(".")[1])
    heads, key = found.by_head[e], lower.position
    written = [_written(scene, middle, layer, h)[key] for h in range(scene.config.n_head)]
    lines = _lines(whole, written, _all_lost(scene, upper.tensor, row), share)
    strongest = int(heads.argmax())
    panels: list[AnyPanel | Box] = [
        TextPanel(lines=lines),
        _by_head(scene, layer, heads, (row, key)),
        _by_source(scene, layer, row, key),
        _vectors(
            scene,
            ("f", upper.tensor, row, None),
            (Phrase("y of head {1}", strongest), upper.tensor, row, written[strongest]),
        ),
    ]
    return column(*panels)


def _lines(whole: Array, parts: list[Array], lost: Array, share: float) -> tuple[Line, ...]:
    size = float(np.abs(whole).sum())
    kept = [size - float(np.abs(whole - y).sum()) for y in parts]
    total = float(not_normalized(size, lost).sum())
    again = float(not_normalized(size, size - np.array(kept)).sum()) / total
    each = " + ".join(f"({number(size)} − {number(size - own)})" for own in kept[:1])
    more = Phrase("and {1} more heads", len(kept) - 1) if len(kept) > 1 else ""
    return (
        formula_line(
            "max( |f| − |f − y|, ε ) / Σ",
            Phrase("|·| is the sum of absolute values, Σ goes over all parts of f"),
        ),
        Line(Phrase("with numbers"), f"{each} / {number(total)}", more),
        Line(
            Phrase("recomputed"),
            percent(again),
            Phrase("in float64 from these vectors; differs by {1}", number(abs(again - share))),
        ),
    )


def _sum_of(scene: Scene, tensor: str, row: int) -> tuple[Array, dict[str, Array], Middle | None]:
    """A vector, its parts by name and, for `resid_mid`, a `Middle` with what heads write; numbers are float64."""
    _, layer, name = tensor.split(".")
    middle = middle_of(scene.checkpoint, scene.trace, int(layer), row) if name == "resid_mid" else None
    parts = middle.parts if middle is not None else parts_of_post(scene.checkpoint, scene.trace, int(layer), row)
    whole = scene.trace.read(tensor, row=row).astype(np.float64)
    return whole, {own: part.astype(np.float64) for own, part in parts.items()}, middle


def _written(scene: Scene, middle: Middle, layer: int, head: int) -> Array:
    """What a head adds to a vector from each source position, [key, d_model] in float64."""
    values = scene.trace.read_rows(f"blocks.{layer}.attn.v", middle.keys)[head].astype(np.float64)
    return middle.written(head, values, output_matrices(scene.checkpoint, layer)[head])


def _all_lost(scene: Scene, tensor: str, row: int) -> Array:
    """|f − y| for every part y of a vector, [part]."""
    whole, parts, middle = _sum_of(scene, tensor, row)
    lost = [np.array([np.abs(whole - y).sum() for y in parts.values()])]
    if middle is not None:
        layer = int(tensor.split(".")[1])
        for head in range(scene.config.n_head):
            lost.append(np.abs(whole - _written(scene, middle, layer, head)).sum(-1))
    return np.concatenate(lost)


def _by_head(scene: Scene, layer: int, heads: Array, at: tuple[int, int]) -> BarsPanel:
    row, key = at
    name = f"blocks.{layer}.attn.pattern"
    looks = scene.trace.read(name, row=row)[:, key]
    bars = tuple(
        Bar(
            Phrase("head {1}", h),
            float(heads[h]),
            percent(float(heads[h])),
            Phrase("attention {1}", percent(float(looks[h]))),
            source=(name, (int(h), row, key)),
        )
        for h in np.argsort(-heads, kind="stable")
    )
    total = percent(float(heads.sum()))
    return BarsPanel(title=Phrase("By head"), note=Phrase("all add up to {1}", total), bars=bars, hue=Hue.ATTENTION)


def _by_source(scene: Scene, layer: int, row: int, key: int) -> BarsPanel:
    """Bars of the tokens that contribute most to the vector through attention, with that at `key` marked."""
    shares = attention_importance(scene.checkpoint, scene.trace, layer, row).heads.sum(0)
    order = list(np.argsort(-shares, kind="stable")[:_LISTED])
    order = order if key in order else [*order[:-1], key]
    bars = [Bar(f"{scene.labels[j]} {j}", float(shares[j]), percent(float(shares[j])), marked=j == key) for j in order]
    left = len(shares) - len(order)
    if left:
        rest = float(shares.sum() - shares[order].sum())
        bars.append(Bar(Phrase("{1} others", Count(left)), rest, percent(rest), kept=False))
    total = percent(float(shares.sum()))
    return BarsPanel(
        title=Phrase("By token, all heads"),
        note=Phrase("attention adds up to {1}", total),
        bars=tuple(bars),
        hue=Hue.ATTENTION,
    )


def as_numpy(scene: Scene, own: Node, found: Flow, edge_: int | None) -> str:
    """Lines of code that recompute all importances of a node, or that of an edge. Raises ModelError in int8."""
    if scene.config.int8:
        raise ModelError("Shares are not written as numpy for weights rounded to int8; switch that off.")
    row, (_, layer, name) = own.position, own.tensor.split(".")
    block, trace = f"blocks.{layer}.", scene.trace
    reads, edits = [("f", own.tensor, f"[{row}]")], list[str]()

    def through(tensor: str, short: str, part: str = f"[{row}]") -> str:
        """The expression for the tensor before its edits; if it has edits, their keep and put are read as well."""
        before = before_edit(trace, tensor)
        if before != tensor:
            reads.extend((f"{short}_{end}", f"{tensor}.{end}", part) for end in ("keep", "put"))
            edits.append(short)
        return before

    def kept(expression: str, *shorts: str) -> str:
        """An expression multiplied by the keep factors of the edits of `shorts`."""
        return " * ".join([*(f"{short}_keep" for short in shorts if short in edits), expression])

    more = list[str]()  # expressions for what edits add to the vector
    if own.tensor == "blocks.0.resid_pre":
        through("blocks.0.resid_pre", "pre")
        reads += [("embed", "embed", f"[{row}]"), ("pos_embed", "pos_embed", f"[{row}]")]
        parts = [kept("embed", "pre"), kept("pos_embed", "pre")]
        more = ["pre_put"] if edits else []
    elif name == "resid_post":
        reads += [("mid", block + "resid_mid", f"[{row}]"), ("b_out", block + "mlp.b_out", "")]
        reads.append(("mlp", through(block + "mlp_out", "mlp"), f"[{row}]"))
        parts = ["mid", kept("(mlp - b_out)" if edits else "mlp - b_out", "mlp"), kept("b_out", "mlp")]
        more = ["mlp_put"] if edits else []
    else:
        keys = middle_of(scene.checkpoint, trace, int(layer), row).keys
        pre = through(block + "resid_pre", "pre") if int(layer) else block + "resid_pre"
        reads += [("pre", pre, f"[{row}]"), ("b_O", block + "attn.b_O", "")]
        reads += [("A", block + "attn.pattern", f"[:, {row}, :{keys}]"), ("v", block + "attn.v", f"[:, :{keys}]")]
        reads.append(("W_O", block + "attn.W_O", ""))
        through(block + "attn.z", "z", f"[:, {row}]")
        through(block + "attn_out", "out")
        through(block + "resid_mid", "mid")
        parts = [kept("pre", "mid", "pre"), kept("b_O", "mid", "out")]
        more += [kept(f"{short}_put", "mid") for short in ("pre", "out") if short in edits]
        more += [kept("(z_put.reshape(-1) @ W_O)", "mid", "out")] if "z" in edits else []
        more += ["mid_put"] if "mid" in edits else []
    lines, count = [f"parts = [{', '.join(parts)}]"], len(parts)
    if more:
        lines.append(f"parts.append({' + '.join(more)})  # what edits put")
    if name == "resid_mid":
        values = "(z_keep[:, None] * v)" if "z" in edits else "v"
        brought = f"A[..., None] * ({values} @ W_O.reshape({scene.config.n_head}, {scene.config.d_head}, -1))"
        lines.append(f"y = {kept(brought, 'mid', 'out')}  # [head, key, d]")
        lines.append("parts = np.concatenate([np.stack(parts), y.reshape(-1, len(pre))])")
        count += bool(more)
    else:
        lines.append("parts = np.stack(parts)")
    lines += [
        "size = abs(f).sum()",
        "raw = np.maximum(size - abs(f - parts).sum(-1), 1e-9 * size)",
        "shares = raw / raw.sum()",
    ]
    result = "shares"
    if edge_ is not None:
        kind, key = found.kinds[edge_], found.nodes[int(found.lower[edge_])].position
        of_heads = f"shares[{count}:].reshape({scene.config.n_head}, -1)[:, {key}].sum()"
        result = {Edge.STREAM: "shares[0]", Edge.MLP: "shares[1]", Edge.ATTENTION: of_heads}[kind]
    about = f"shares of {own.tensor} at position {row}"
    return program(scene.checkpoint, about, reads, [*lines, f"result = {result}"])
