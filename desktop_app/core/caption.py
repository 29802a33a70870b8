"""The caption of a figure: prompt, model, place and settings, written from the state."""

from desktop_app.core.compare import badge_of, mode_of
from desktop_app.core.passes import BEFORE, OTHER
from desktop_app.core.places import OUT, Step
from desktop_app.core.scene import Scene
from desktop_app.gpt2.display import is_visible

_PROMPT = 70


def caption(scene: Scene, step: Step, heads: tuple[int, ...] = (), tokens: tuple[int, int] | None = None) -> str:
    """One line: what was typed, which model, which step, which sampling; the `heads` and `tokens` that are shown."""
    words = " ".join(scene.tokenizer.decode(scene.trace.ids).split())
    if len(words) > _PROMPT:
        words = words[: _PROMPT // 2].rstrip() + " … " + words[-_PROMPT // 2 :].lstrip()
    count = len(scene.trace)
    parts = [f"“{_seen(words)}”", f"{count} token{'s' * (count != 1)}", _seen(scene.name)]
    parts += changes_of(scene)
    if step.layer is not None:
        parts.append(f"block {step.layer}")
    elif step.spec.per_head:
        parts.append(f"block {scene.layer}")
    if heads:
        parts.append(f"heads {', '.join(map(str, heads))}")
    elif step.spec.per_head:
        parts.append(f"head {scene.head}")
    if step.spec.part == OUT and step.spec.op not in ("ln_final", "logits"):
        parts.append(sampling_words(scene))
    if "skip_first" in step.spec.options and scene.state.view.skip_first:
        parts.append("position 0 left out")
    if tokens is not None:
        parts.append(f"positions {tokens[0]} to {tokens[1] - 1}")
    return " · ".join(parts)


def changes_of(scene: Scene) -> list[str]:
    """What makes the picture another than that of the model's own pass: badge, edits, the other prompt."""
    parts, changes = [], scene.trace.run.changes
    if changes:
        said = badge_of(scene) if BEFORE in mode_of(scene).shows else "edited"
        parts.append(f"{said}: {_seen(', '.join(changes))}")
    if OTHER in mode_of(scene).shows and scene.other is not None:
        words = " ".join(scene.tokenizer.decode(scene.other.trace.ids).split())[:_PROMPT]
        if scene.passes.guest is not None:
            words = f"{scene.other.name} on “{words}”" if scene.state.other else scene.other.name
        parts.append(f"{badge_of(scene)}: {_seen(words)}")
    return parts


def _seen(text: str) -> str:
    """The text with what would not be seen, or would reorder the rest, written out."""
    return "".join(c if c == " " or is_visible(c) else f"\\u{{{ord(c):x}}}" for c in text)


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
