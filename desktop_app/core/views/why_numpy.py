"""Lines of numpy that recompute the waterfall's numbers from a saved trace."""

from desktop_app.core.analysis.attribution import Attribution
from desktop_app.core.analysis.parts import Kind, Part
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.scene import Scene
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.weights import UNEMBEDDING

Reads = list[tuple[str, str, str]]


def as_numpy(scene: Scene, found: Attribution, part: Part | None) -> str:
    """Lines of code for one part or, without one, for all terms of the waterfall, which add up to the logit.

    Raises ModelError for a model rounded to int8.
    """
    if scene.config.int8:
        raise ModelError("Parts of a logit are not written as numpy for weights rounded to int8; switch that off.")
    row, target = found.position, scene.tokenizer.quoted(found.target)
    reads: Reads = [("scale", "ln_final.scale", f"[{row}, 0]"), ("w", "ln_final.w", ""), ("W_U", UNEMBEDDING, "")]
    other = f" - W_U[{found.against}]" if found.against is not None else ""
    if not other and found.baseline == "mean":
        other = " - W_U.mean(0)"
    lines = [f"d = W_U[{found.target}]{other}", "u = w * d", "u -= u.mean()"]
    if part is not None:
        more, vector = _vector(scene, part, row)
        about = f"what {part.name} adds to the logit of {target} after position {row}"
        return program(scene.checkpoint, about, reads + more, [*lines, f"result = ({vector}) @ u / scale"])
    names = ["embed", "blocks.0.resid_pre", *(f"blocks.{n}.resid_post" for n in range(scene.config.n_layer))]
    reads += [("b", "ln_final.b", ""), *((f"x_{n}", name, f"[{row}]") for n, name in enumerate(names))]
    points = ", ".join(f"x_{n}" for n in range(len(names)))
    lines += [
        f"steps = np.diff(np.stack([{points}]), axis=0, prepend=0)  # what each wrote",
        "result = np.append(steps @ u / scale, b @ d)  # embed, pos_embed, each block, the final norm's bias",
    ]
    return program(scene.checkpoint, f"the logit of {target} after position {row}, by parts", reads, lines)


def _vector(scene: Scene, part: Part, row: int) -> tuple[Reads, str]:
    """The names from which a part's vector is read, and the expression that computes it."""
    if part.layer is None:
        return [("part", part.name, f"[{row}]")], "part"
    block = f"blocks.{part.layer}."
    if part.kind is Kind.HEAD:
        assert part.head is not None
        first = part.head * scene.config.d_head
        rows = f"[{first}:{first + scene.config.d_head}]"
        return [("z", block + "attn.z", f"[{part.head}, {row}]"), ("W_O", block + "attn.W_O", rows)], "z @ W_O"
    if part.kind is Kind.MLP:
        return [("mlp", block + "mlp_out", f"[{row}]"), ("b_out", block + "mlp.b_out", "")], "mlp - b_out"
    name = "attn.b_O" if part.kind is Kind.ATTENTION_BIAS else "mlp.b_out"
    return [("part", block + name, "")], "part"
