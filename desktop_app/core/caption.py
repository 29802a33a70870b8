"""The caption of a figure, composed from the state: prompt, model, step and settings."""

from desktop_app.core.comparing.compare import badge_of, mode_of, other_words
from desktop_app.core.edits.recipes import read_other
from desktop_app.core.opening.cells import Cell
from desktop_app.core.passes import BEFORE, OTHER
from desktop_app.core.places import OUT, Step
from desktop_app.core.scene import Scene
from desktop_app.core.steps import as_compared, text_of
from desktop_app.gpt2.display import is_visible
from desktop_app.gpt2.phrase import Phrase, joined

_PROMPT = 70


def caption(
    scene: Scene,
    step: Step,
    heads: tuple[int, ...] = (),
    tokens: tuple[int, int] | None = None,
    cell: Cell | None = None,
) -> str:
    """One line: text, tokens, model, changes; then block, `heads`, sampling and `tokens`, if the step depends on them.

    For an opened `cell`, the head is that of the cell.
    """
    words = " ".join(scene.tokenizer.decode(scene.trace.ids).split())
    if len(words) > _PROMPT:
        words = words[: _PROMPT // 2].rstrip() + " … " + words[-_PROMPT // 2 :].lstrip()
    parts: list[str] = [f"“{_seen(words)}”", tokens_words(len(scene.trace)), _seen(scene.name)]
    parts += changes_of(as_compared(scene, step), of_both=step.spec.both(scene))
    if step.layer is not None:
        parts.append(Phrase("block {1}", step.layer))
    elif step.spec.per_head:
        parts.append(Phrase("block {1}", scene.layer))
    if heads:
        parts.append(Phrase("heads {1}", ", ".join(map(str, heads))))
    elif cell is not None and cell.name in scene.trace.table:
        if scene.trace.table[cell.name].spec.per_head:
            parts.append(Phrase("head {1}", cell.index[0]))
    elif step.spec.per_head:
        parts.append(Phrase("head {1}", scene.head))
    if step.spec.part == OUT and step.spec.op not in ("ln_final", "logits"):
        parts.append(sampling_words(scene))
    if "skip_first" in step.spec.options and scene.state.view.skip_first:
        parts.append(Phrase("position 0 left out"))
    if tokens is not None:
        parts.append(Phrase("positions {1} to {2}", tokens[0], tokens[1] - 1))
    return joined(" · ", parts)


def tokens_words(count: int) -> str:
    """A number of tokens in words."""
    return Phrase("{1} token", count) if count == 1 else Phrase("{1} tokens", count)


def changes_of(scene: Scene, *, of_both: bool = False) -> list[str]:
    """How the figure differs from one of a plain pass: the edits, and the other prompt or model, if it is read."""
    parts: list[str] = []
    if changes := scene.trace.run.changes:
        said = badge_of(scene) if BEFORE in mode_of(scene).shows else Phrase("edited")
        parts.append(Phrase("{1}: {2}", said, _seen(", ".join(changes))))
    beside = OTHER in mode_of(scene).shows
    if scene.other is not None and (beside or of_both or read_other(scene.trace.run.edits)):
        words = " ".join(scene.tokenizer.decode(scene.other.trace.ids).split())[:_PROMPT]
        if scene.passes.guest is not None:
            name = _seen(scene.other.name)
            said = Phrase("{1} on “{2}”", name, _seen(words)) if scene.state.other else name
        else:
            said = _seen(words)
        parts.append(Phrase("{1}: {2}", badge_of(scene) if beside else other_words(scene), said))
    return parts


def _seen(text: str) -> str:
    """The text with escapes for characters that are invisible or would reorder the text."""
    return "".join(c if c == " " or is_visible(c) else f"\\u{{{ord(c):x}}}" for c in text)


def sampling_words(scene: Scene) -> str:
    """The sampling settings in words."""
    sampling = scene.state.sampling
    if sampling.greedy:
        return Phrase("greedy")
    top_k = sampling.top_k or Phrase("off")
    top_p = f"{sampling.top_p:g}" if sampling.top_p < 1 else Phrase("off")
    temperature = f"{sampling.temperature:g}"
    return Phrase("temperature {1}, top-k {2}, top-p {3}, seed {4}", temperature, top_k, top_p, sampling.seed)


def alt_text(scene: Scene, step: Step) -> str:
    """A description of the figure in one sentence, for readers who cannot see it."""
    text = text_of(scene, step)
    return f"{text.title}: {text.lead} {caption(scene, step)}"
