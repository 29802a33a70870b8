"""The table of animated operations, and the functions that make their beats: cell by cell, or row by row."""

from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.motion import sampling
from desktop_app.core.motion.attention import cache, scores, softmax, weigh
from desktop_app.core.motion.beats import Beat, Motion
from desktop_app.core.motion.rows import rows_of
from desktop_app.core.motion.vectors import activation, addends, norm, product
from desktop_app.core.places import IN, Step
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.phrase import Phrase, joined

CELL, ROW = "cell", "row"


@dataclass(frozen=True)
class Operation:
    """A row of the table: the steps that have the operation, what makes its beats, and the tensor that it fills.

    `at` is the position whose numbers it shows. An operation that fills no tensor may name in `shows` a tensor of its
    block.
    """

    id: str
    title: str
    steps: tuple[str, ...]
    make: Callable[[Scene, str], tuple[Beat, ...]]
    tensor: Callable[[str], str] | None = None
    at: Callable[[Scene, str], int] = lambda scene, op: scene.position if op == "logits" else scene.token
    shows: str = ""


def _full(scene: Scene, op: str) -> str:
    """The name of a step's tensor in the displayed block."""
    name = {"sum": "blocks.0.resid_pre", "qkv": "attn.q", "heads": "attn.q"}.get(op, op)
    if name.startswith(("blocks.", "ln_final")) or name == "logits":
        return name
    return scene.block(name)


def _norm_of(scene: Scene, op: str) -> tuple[Beat, ...]:
    if op == "ln_final":
        return norm(scene, "ln_final", f"blocks.{scene.config.n_layer - 1}.resid_post")
    return norm(scene, scene.block(op), scene.block("resid_pre" if op == "ln1" else "resid_mid"))


def _predicted(scene: Scene, _op: str) -> int:
    return scene.position


OPERATIONS: tuple[Operation, ...] = (
    Operation("dot", Phrase("a query meets each key"), ("scores",), lambda s, _: scores(s), lambda _: "attn.scores"),
    Operation(
        "softmax",
        Phrase("a row becomes a pattern"),
        ("scaled", "masked", "pattern"),
        lambda s, _: softmax(s),
        lambda op: f"attn.{op}",
    ),
    Operation("values", Phrase("values are weighted and added"), ("z",), lambda s, _: weigh(s), lambda _: "attn.z"),
    Operation(
        "norm", Phrase("a layer norm in four steps"), ("ln1", "ln2", "ln_final"), _norm_of, lambda op: f"{op}.out"
    ),
    Operation(
        "product",
        Phrase("one number of a matrix product"),
        ("qkv", "heads", "attn_out", "mlp.pre", "mlp_out", "logits"),
        lambda s, op: product(s, _full(s, op)),
        lambda op: {"qkv": "attn.q", "heads": "attn.q"}.get(op, op),
    ),
    Operation(
        "activation",
        Phrase("neurons go through the curve"),
        ("mlp.post",),
        lambda s, _: activation(s),
        lambda _: "mlp.post",
    ),
    Operation(
        "sum",
        Phrase("two vectors are added"),
        ("sum", "resid_mid", "resid_post"),
        lambda s, op: addends(s, _full(s, op)),
        lambda op: "blocks.0.resid_pre" if op == "sum" else op,
    ),
    Operation(
        "temperature",
        Phrase("the temperature shapes the bars"),
        ("temperature",),
        lambda s, _: sampling.temperature(s),
        at=_predicted,
    ),
    Operation(
        "top_p", Phrase("the running sum reaches top-p"), ("top_p",), lambda s, _: sampling.top_p(s), at=_predicted
    ),
    Operation(
        "draw", Phrase("the draw lands"), ("draw", "probabilities"), lambda s, _: sampling.draw(s), at=_predicted
    ),
    Operation(
        "cache",
        Phrase("one new row, the rest from the cache"),
        ("append",),
        lambda s, _: cache(s),
        at=lambda s, _: len(s.trace) - 1,
        shows="attn.k",
    ),
)
"""Every animated operation."""


def operation_of(step: Step) -> Operation | None:
    """The animated operation of a step; None if it has none."""
    return next((row for row in OPERATIONS if step.spec.op in row.steps), None)


@without_warnings
def motion_of(scene: Scene, step: Step, by: str = CELL) -> Motion:
    """The animated operation of a step: cell by cell for the selected token, or row by row if it fills a tensor.

    Raises ExportError if the step has none.
    """
    operation = operation_of(step)
    if operation is None:
        ids = ", ".join(sorted({op for row in OPERATIONS for op in row.steps}))
        raise ExportError(f"{step.key} has no animation; these steps have one: {ids}.")
    op = step.spec.op
    shown = operation.shows if operation.tensor is None else operation.tensor(op)
    name = _full(scene, shown) if shown else ""
    if by == ROW and operation.tensor is not None:
        return Motion(operation.id, operation.title, _where(scene, step, name), rows_of(scene, name))
    where = joined(" · ", (_where(scene, step, name), token_name(scene, operation.at(scene, op))))
    return Motion(operation.id, operation.title, where, operation.make(scene, op))


def _where(scene: Scene, step: Step, name: str) -> str:
    """The block of a tensor and, if the tensor has heads, the head."""
    if step.spec.part == IN:
        return Phrase("Before the blocks")
    if not name or scene.trace.table[name].layer is None:
        return Phrase("After the blocks")
    head = (Phrase("Head {1}", scene.head),) if scene.trace.table[name].spec.per_head else ()
    return joined(" · ", (Phrase("Block {1}", scene.layer), *head))


def moves_by_row(step: Step) -> bool:
    """Whether a step's operation can also be shown row by row."""
    operation = operation_of(step)
    return operation is not None and operation.tensor is not None
