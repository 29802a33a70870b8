"""Opened pairs of heads and copying scores: recomputed in float64, with the path's directions read as tokens."""

import numpy as np

from desktop_app.core.analysis import head_circuits
from desktop_app.core.analysis.circuits import Circuits
from desktop_app.core.analysis.folding import KEY, QUERY, read_matrices, unembedded
from desktop_app.core.analysis.head_circuits import best
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Array
from desktop_app.core.panels import Bar, BarsPanel, Box, CurvePanel, Hue, Line, TextPanel, column, formula_line, row
from desktop_app.core.scene import Scene
from desktop_app.core.views.head_page import name
from desktop_app.gpt2.overflow import decomposing
from desktop_app.gpt2.phrase import Phrase

_FORMULAS = {
    "q": "|W_OV1 W_QK2| / (|W_OV1| |W_QK2|)",
    "k": "|W_OV1 W_QK2ᵀ| / (|W_OV1| |W_QK2|)",
    "v": "|W_OV1 W_OV2| / (|W_OV1| |W_OV2|)",
}
_LISTED = 8


@decomposing()
def pair(scene: Scene, found: Circuits, kind: str, index: tuple[int, ...], value: float) -> Box:
    """The norms in the score, the score of random matrices, and the strongest path through both heads."""
    layer1, head1, layer2, head2 = index
    checkpoint = scene.checkpoint
    v1, o1 = head_circuits.factors(checkpoint, "OV", layer1, head1)
    q2, k2 = (read_matrices(checkpoint, layer2, part)[head2].astype(np.float64) for part in (QUERY, KEY))
    v2, o2 = head_circuits.factors(checkpoint, "OV", layer2, head2)
    left, right = {"q": (q2, k2.T), "k": (k2, q2.T), "v": (v2, o2)}[kind]
    # The product of both heads' matrices is v1 (o1 left) right; its norm is computed from thin factors.
    (a, ra), (b, rb) = np.linalg.qr(v1), np.linalg.qr(right.T)
    inner = ra @ (o1 @ left) @ rb.T
    u, values, vt = np.linalg.svd(inner)
    one, two = _norm(v1, o1), _norm(left, right)
    whole = float(np.linalg.norm(inner))
    second = "W_OV2" if kind == "v" else "W_QK2"
    first = float(values[0] ** 2 / max(whole**2, 1e-300))
    shared = float(np.square(np.linalg.qr(o1.T)[0].T @ np.linalg.qr(left)[0]).sum() / len(o1))
    lines = (
        formula_line(_FORMULAS[kind], Phrase("ln1 folded in, columns centred")),
        Line(
            Phrase("with numbers"),
            f"{number(whole)} / ({number(one)} × {number(two)})",
            f"= {number(whole / (one * two) if one * two else value)}",
        ),
        Line(Phrase("first norm"), f"|W_OV1| = {number(one)}", name(layer1, head1)),
        Line(Phrase("second norm"), f"|{second}| = {number(two)}", name(layer2, head2)),
        Line(
            Phrase("random matrices"),
            f"{number(found.random)} ± {number(found.random_spread)}",
            Phrase("measured on this shape"),
        ),
        Line(Phrase("above random"), f"{value - found.random:+.4f}".replace("-", "−")),
        Line(
            Phrase("the strongest path"),
            Phrase("{1} % of the squared norm", f"{100 * first:.0f}"),
            Phrase("one direction through both heads"),
        ),
        Line(Phrase("shared subspace"), number(shared), Phrase("{1} by chance", number(len(o1) / o1.shape[1]))),
    )
    reads = _along(scene, layer1, (a @ u[:, 0]))
    other = vt[0] @ b.T
    if kind == "v":
        ends = _bars(Phrase("… and what that writes"), unembedded(checkpoint, other), scene, Hue.VALUE)
    else:
        words = "… and the keys that match it" if kind == "q" else "… and the queries that match it"
        hue = Hue.KEY if kind == "q" else Hue.QUERY
        ends = _bars(Phrase(words), _along(scene, layer2, other), scene, hue)
    return column(
        TextPanel(lines=lines),
        row(_bars(Phrase("What the strongest path reads"), reads, scene, Hue.VALUE), ends),
    )


def _norm(left: Array, right: Array) -> float:
    """The Frobenius norm of a product of thin factors."""
    return float(np.sqrt(max(0.0, np.trace((left.T @ left) @ (right @ right.T)))))


def _along(scene: Scene, layer: int, direction: Array) -> Array:
    """Every token's projection on a direction that a head of this block reads, [d_vocab]."""
    return head_circuits.along_tokens(scene.checkpoint, direction.astype(np.float32)[None], through_mlp=layer > 0)[0]


def _bars(title: str, values: Array, scene: Scene, hue: Hue) -> BarsPanel:
    """The tokens farthest out on the side with the larger extreme; a direction's sign has no meaning."""
    values = values if abs(float(values.max())) >= abs(float(values.min())) else -values
    ids = best(values[None], _LISTED)[0]
    bars = tuple(Bar(scene.tokenizer.label(int(t)), float(values[t]), number(float(values[t]))) for t in ids)
    return BarsPanel(title=title, note=Phrase("along that direction"), bars=bars, hue=hue)


def copying(scene: Scene, layer: int, head: int, through_mlp: bool) -> Box:
    """The eigenvalues from which a copying score is computed, recomputed in float64."""
    through = head_circuits.read_through_mlp(layer, through_mlp)
    values = head_circuits.copying_of(scene.checkpoint, layer, head, through_mlp=through_mlp, norm=through_mlp)
    total, sizes = float(values.sum().real), float(np.abs(values).sum())
    what = (
        Phrase("e_t through block 0's MLP, normed")
        if through
        else Phrase("rows of W_E, normed")
        if through_mlp
        else Phrase("rows of W_E")
    )
    positive = int((values.real > 0).sum())
    lines = (
        formula_line("Σ λ / Σ |λ|", Phrase("eigenvalues of W_O W_U′ E W_V′; E: {1}", what)),
        Line(
            Phrase("with numbers"), f"{number(total)} / {number(sizes)}", f"= {number(total / sizes if sizes else 0.0)}"
        ),
        Line(Phrase("eigenvalues"), Phrase("{1} of {2}", positive, len(values)), Phrase("have a positive real part")),
    )
    order = np.argsort(-values.real, kind="stable")
    points = np.arange(len(values), dtype=float), values.real[order]
    return column(
        TextPanel(lines=lines),
        CurvePanel(
            title=Phrase("Eigenvalues"),
            note=Phrase("real parts, the largest first"),
            points=points,
            levels_at=((0.0, "0"),),
            stems=True,
            x_label=Phrase("eigenvalue"),
            y_label=Phrase("real part"),
            hue=Hue.ATTENTION,
        ),
    )
