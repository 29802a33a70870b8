"""The effect of ablating each part on the explained logit, compared with what the part adds to it directly."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from desktop_app.core.analysis import what_if
from desktop_app.core.analysis.attribution import Baseline
from desktop_app.core.analysis.parts import Kind, Part, parts
from desktop_app.core.edits.editing import Place, Target, block, head, mlp
from desktop_app.core.edits.recipes import EditInputs, resolve
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.phrase import Phrase


@dataclass(frozen=True, eq=False)
class Effects:
    """How much ablating a part (by name) or a block (by number) changes the explained number."""

    of_part: Mapping[str, float]
    of_block: Mapping[int, float]


def muted(part: Part) -> Target | None:
    """The target to ablate for a part (head, MLP or token embedding); None if a part cannot be ablated alone."""
    if part.kind is Kind.HEAD and part.layer is not None and part.head is not None:
        return head(part.layer, part.head)
    if part.kind is Kind.MLP and part.layer is not None:
        return mlp(part.layer)
    return Target(Phrase("token embedding"), (Place("embed"),)) if part.kind is Kind.EMBED else None


def _compute(work: Work, target: int, against: int | None, baseline: Baseline) -> Effects:
    engine, trace = work.model.engine, work.trace
    inputs = EditInputs(
        engine,
        None,
        trace,
        mask=trace.run.mask,
        reference=lambda: reference_texts(work.model.tokenizer),
        stop=work.stop,
    )
    own = [(part.name, what) for part in parts(trace, engine.config.n_layer) if (what := muted(part)) is not None]
    every = [*(what for _, what in own), *(block(n) for n in range(engine.config.n_layer))]
    variants: list[tuple[Edit, ...]] = [resolve([f"{at}=mean" for at in what.places], inputs) for what in every]
    changes = what_if.effects(
        engine, trace, variants, target=target, against=against, mean=baseline == "mean", stop=work.stop,
        progress=work.progress,
    )  # fmt: skip
    values = np.asarray(changes).tolist()
    return Effects(
        {name: value for (name, _), value in zip(own, values, strict=False)},
        dict(enumerate(values[len(own) :])),
    )


_EFFECTS = Product("why_effects", Phrase("Muting each part"), _compute, quick=False)


def want(scene: Scene, target: int, against: int | None) -> tuple[Want, ...]:
    """The request for the effects, if the user asks for them; they are measured only after the last position."""
    asked = scene.state.view.effects and scene.position == len(scene.trace) - 1
    return (Want(_EFFECTS, (target, against, scene.state.view.baseline)),) if asked else ()


def of(scene: Scene, wanted: tuple[Want, ...], part: Part | None, layer: int | None) -> float | None:
    """The effect of ablating a part, or a block if there is no part; None if it is not known."""
    made: Effects | None = scene.made(wanted[0]) if wanted else None
    if made is None:
        return None
    if part is not None:
        return made.of_part.get(part.name)
    return None if layer is None else made.of_block.get(layer)
