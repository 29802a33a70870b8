"""The caption of a figure: prompt, model, place and settings, written from the state."""

from desktop_app.core.scene import Scene
from desktop_app.core.steps import OUT, Step

_PROMPT = 70


def caption(scene: Scene, step: Step) -> str:
    """One line: what was typed, which model, which step, which sampling."""
    words = scene.tokenizer.decode(scene.trace.ids)
    words = " ".join(words.split())
    if len(words) > _PROMPT:
        words = words[: _PROMPT // 2].rstrip() + " … " + words[-_PROMPT // 2 :].lstrip()
    parts = [f"“{words}”", f"{len(scene.trace)} tokens", scene.name]
    if step.layer is not None:
        parts.append(f"block {step.layer}")
    if step.spec.per_head:
        parts.append(f"head {scene.head}")
    if step.spec.part == OUT and step.spec.op not in ("ln_final", "logits"):
        parts.append(sampling_words(scene))
    return " · ".join(parts)


def sampling_words(scene: Scene) -> str:
    """The sampling settings in words."""
    sampling = scene.state.sampling
    if sampling.greedy:
        return "greedy"
    top_k = f"top-k {sampling.top_k}" if sampling.top_k else "top-k off"
    top_p = f"top-p {sampling.top_p:g}" if sampling.top_p < 1 else "top-p off"
    return f"temperature {sampling.temperature:g}, {top_k}, {top_p}, seed {sampling.seed}"


def alt_text(scene: Scene, step: Step) -> str:
    """A figure in a sentence, for readers who cannot see it."""
    return f"{step.text.title}: {step.text.lead} {caption(scene, step)}"
