"""What the evidence workspace shows: which neuron or head, and the products that are computed for it."""

import re

from desktop_app.core.evidence import shown
from desktop_app.core.evidence.saved import Evidence
from desktop_app.core.evidence.shown import Found, Muted, Passages
from desktop_app.core.opening.cells import Array
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase


def _open(work: Work, path: str) -> Evidence | str:
    return shown.find_evidence(work.model.checkpoint, path)


def _passages(work: Work, evidence: "_Same", kind: str, layer: int, unit: int) -> Passages:
    return shown.read_passages(work.model.engine, evidence.value, kind, layer, unit, work.stop, work.progress)


def _written(work: Work, layer: int, neuron: int) -> Array:
    return shown.written(work.model.checkpoint, layer, neuron)


def _muted(work: Work, position: int, kind: str, layer: int, unit: int, mean: float) -> Muted | str:
    try:
        return shown.mute(work.model.engine, work.trace, position, kind, layer, unit, mean, work.stop)
    except ModelError as reason:  # shown in place of the effect
        return str(reason)


def _search(work: Work, evidence: "_Same", text: str) -> Found:
    return shown.search(evidence.value, work.model.tokenizer, text)


EVIDENCE = Product("evidence", Phrase("Opening the evidence"), _open, of_text=False, quick=False)
PASSAGES = Product("passages", Phrase("Reading the passages"), _passages, of_text=False, quick=False)
WRITES = Product("written", Phrase("Reading what a neuron writes"), _written, of_text=False, quick=False)
MUTED = Product("muted", Phrase("Muting it on this prompt"), _muted, quick=False)
SEARCH = Product("evidence_search", Phrase("Searching the passages"), _search, of_text=False, quick=False)


class _Same:
    """Evidence as a hashable argument of a want; two are equal only if they contain the same object."""

    def __init__(self, value: Evidence) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def of_heads(scene: Scene) -> bool:
    """Whether heads are shown, not neurons."""
    return scene.state.view.evidence == "heads"


def _kind(scene: Scene) -> str:
    return {"strongest": "top", "deciles": "decile", "heads": "head"}[scene.state.view.evidence]


def typed(scene: Scene) -> tuple[str, tuple[int, int] | None]:
    """The search text, and the block and neuron if it names one, as "5.812" does."""
    typed = scene.state.view.evidence_find.strip()
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,6})", typed, re.ASCII)
    if match is None:
        return typed, None
    layer, neuron = int(match[1]), int(match[2])
    there = layer < scene.config.n_layer and neuron < scene.config.d_mlp
    return ("", (layer, neuron)) if there else (typed, None)


def evidence_want(scene: Scene) -> Want:
    """The request for the evidence about this model."""
    return Want(EVIDENCE, (scene.state.evidence,))


def evidence_of(scene: Scene) -> Evidence | None:
    """The evidence about this model; None until it is loaded, or if there is none."""
    found = scene.made(evidence_want(scene))
    return found if isinstance(found, Evidence) else None


def unit_of(scene: Scene) -> tuple[int, int]:
    """Block and index of the shown neuron or head; for neurons, the most active one unless one was typed or chosen."""
    if of_heads(scene):
        return scene.layer, scene.head
    named = typed(scene)[1]
    if named is not None:
        return named
    if scene.state.neuron is not None:
        return scene.layer, min(scene.state.neuron, scene.config.d_mlp - 1)
    active = shown.most_active(scene.trace, scene.token, evidence_of(scene), 1)
    return int(active.layer[0]), int(active.neuron[0])


def _wanted(scene: Scene, evidence: Evidence) -> dict[str, Want]:
    """The requests of a view with evidence, by name."""
    layer, unit = unit_of(scene)
    same, kind = _Same(evidence), _kind(scene)
    mean = 0.0 if of_heads(scene) else float(evidence.arrays["post.mean"][layer, unit])
    found = {"passages": Want(PASSAGES, (same, kind, layer, unit))}
    if not of_heads(scene):
        found["written"] = Want(WRITES, (layer, unit))
    found["muted"] = Want(MUTED, (scene.token, kind, layer, unit, mean))
    text = typed(scene)[0]
    if text and not of_heads(scene):
        found["search"] = Want(SEARCH, (same, text))
    return found


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs: the evidence, and what is computed from it for the displayed neuron or head."""
    evidence = evidence_of(scene)
    return (evidence_want(scene), *(() if evidence is None else _wanted(scene, evidence).values()))


def made(scene: Scene, evidence: Evidence, what: str) -> object:
    """The result named `what` in `_wanted`; None until it is computed, or if it is not needed."""
    want = _wanted(scene, evidence).get(what)
    return None if want is None else scene.made(want)


def name_of(layer: int, unit: int) -> str:
    """The name of a neuron or head: its block, and its index in the block."""
    return f"{layer}.{unit}"
