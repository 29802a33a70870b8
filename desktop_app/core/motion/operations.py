"""The table of animated operations, and the functions that make their beats: cell by cell, or row by row."""

from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.motion import sampling
from desktop_app.core.motion.attention import cache, scores, softmax, weigh
from desktop_app.core.motion.beats import Beat, Motion
from desktop_app.core.motion.rows import rows_of
from desktop_app.core.motion.vectors import activation, addends, norm, product
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Phrase, joined

CELL, ROW = "cell", "row"


@dataclass(frozen=True)
class Operation:
    """A row of the table: the steps that offer it, the function that makes its beats, and the tensor that it fills."""

    id: str
    title: str
    steps: tuple[str, ...]
    make: Callable[[Scene, str], tuple[Beat, ...]]
    tensor: Callable[[str], str] | None = None


def _full(scene: Scene, op: str) -> str:
    """The name of a step's tensor, in the shown block."""
    name = {"sum": "blocks.0.resid_pre", "qkv": "attn.q", "heads": "attn.q"}.get(op, op)
    if name.startswith("blocks.") or name == "logits":
        return name
    return scene.block(name)


def _norm_of(scene: Scene, op: str) -> tuple[Beat, ...]:
    if op == "ln_final":
        return norm(scene, "ln_final", f"blocks.{scene.config.n_layer - 1}.resid_post")
    return norm(scene, scene.block(op), scene.block("resid_pre" if op == "ln1" else "resid_mid"))


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
        "temperature", Phrase("the temperature shapes the bars"), ("temperature",), lambda s, _: sampling.temperature(s)
    ),
    Operation("top_p", Phrase("the running sum reaches top-p"), ("top_p",), lambda s, _: sampling.top_p(s)),
    Operation("draw", Phrase("the draw lands"), ("draw", "probabilities"), lambda s, _: sampling.draw(s)),
    Operation("cache", Phrase("one new row, the rest from the cache"), ("append",), lambda s, _: cache(s)),
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
        raise ExportError(f"{step.key} has no animation; these steps have one: {ids}.")
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
