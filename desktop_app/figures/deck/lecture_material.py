"""What the slides of a lecture are made from, and panels that several of them show."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from desktop_app.core import measured
from desktop_app.core.analysis.heads import Heads
from desktop_app.core.analysis.parts import Kind, Part
from desktop_app.core.analysis.predictions import Predictions
from desktop_app.core.analysis.predictions import compute as predict
from desktop_app.core.levels import share_text
from desktop_app.core.measured import Look
from desktop_app.core.model import Model
from desktop_app.core.panels import ArcsPanel, Array, Bar, BarsPanel, Box, Hue
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import languages, resource
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import with_option
from desktop_app.core.views import heads as atlas
from desktop_app.figures.deck.walk import STEP, Ask
from desktop_app.figures.language import translator
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.mask import mask_of

BARS, ARCS, SHADED = 7, 13, 120
"""The numbers of bars, of tokens with arcs and of shaded tokens that fit on a slide."""
_BESIDE_BARS = 190  # characters of a text that fit above bars
_QUOTED = 44  # characters at the end of a text that a title quotes


@cache
def words_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """The words of every slide in a language: slide -> title, lead, point, say. Raises ExportError."""
    if language not in languages():
        raise ExportError(f"There is no language {language[:40]!r}; choose one of {', '.join(languages())}.")
    return tomllib.loads(resource("lecture", f"{language}.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Frame:
    """A slide to be made: its row in the table of words, the values inserted into them, and its panels."""

    key: str
    content: Box
    values: Mapping[str, object]
    variant: str = ""  # the variant of the title
    sampled: bool = False  # whether the sampling settings are shown below it
    kind: str = STEP
    ask: Ask | None = None


class Material:
    """What slides are made from: a scene, its model and the words of a language. Each measurement is made once.

    `chosen` is the (block, head) that the user named; if None, a head is chosen by measurement.
    """

    def __init__(self, scene: Scene, model: Model, language: str, chosen: tuple[int, int] | None) -> None:
        self.words, self.language = words_of(language), language
        self.say, self.model, self.chosen = translator(language), model, chosen
        self.scene = scene

    @cached_property
    def heads(self) -> Heads | None:
        """The scores of every head; None for a pass that cannot be decomposed."""
        want = atlas.BATTERY
        found = completed(self.scene, lambda _scene: (want,), self.model).made(want)
        return found if isinstance(found, Heads) else None

    @cached_property
    def look(self) -> Look | None:
        """The head that the lecture shows, with the key to which it attends; None if no head has a clear target."""
        if self.chosen is not None:
            return measured.look_of(self.scene, *self.chosen)
        return measured.worth_showing(self.scene, self.heads)

    @cached_property
    def predictions(self) -> Predictions:
        """What was predicted at every position."""
        return predict(self.scene.trace)

    @cached_property
    def top(self) -> int:
        """The likeliest next token."""
        return int(self.scene.ranked.order[0])

    def quoted(self, token: int) -> str:
        """A token in quotation marks."""
        return self.scene.tokenizer.quoted(token)

    def at(self, position: int) -> str:
        """The token at a position, in quotation marks."""
        return self.quoted(self.scene.trace.ids[position])

    def word(self, name: str, **values: object) -> str:
        """Words that several slides use, with values inserted."""
        return self.words["words"][name].format(**values)

    def part(self, part: Part) -> str:
        """The name, in words, of the component that wrote a part of the residual stream."""
        names = {Kind.EMBED: "embed", Kind.POSITION: "pos_embed", Kind.HEAD: "head", Kind.MLP: "mlp"}
        return self.word(names.get(part.kind, "bias"), layer=part.layer, head=part.head)

    def end(self, most: int = _QUOTED) -> str:
        """The end of the text up to the position that predicts, in at most `most` characters."""
        ids = self.scene.trace.ids[: self.scene.position + 1]
        text = " ".join(self.scene.tokenizer.decode(ids).split())
        return text if len(text) <= most else f"… {text[-most:].partition(' ')[2] or text[-most:]}"


def first_shown(labels: tuple[str, ...], last: int) -> int:
    """The first token to show above bars, so that the text from there to `last` fits."""
    room = _BESIDE_BARS
    for n in range(last, -1, -1):
        room -= len(labels[n]) + 1
        if room < 0:
            return min(n + 1, last)
    return 0


def arcs(scene: Scene, layer: int, head: int) -> ArcsPanel:
    """Arcs between the last tokens of the text, for one head."""
    start = max(0, len(scene.trace) - ARCS)
    pattern = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head)[start:, start:]
    shown = np.arange(start, len(scene.trace))
    values = np.where(_seen(scene, layer, head, shown, shown), pattern, np.nan)
    return ArcsPanel(pieces=scene.labels[start:], values=values, least=0.1)


def _seen(scene: Scene, layer: int, head: int, queries: Array, keys: Array) -> Array:
    """[query, key]: whether the pass's mask shows the key to the query."""
    hidden = mask_of(scene.trace.run.mask, scene.config).hidden(scene.config, layer, queries, keys)
    return ~hidden[head if len(hidden) > 1 else 0]


def strongest_keys(scene: Scene, layer: int, head: int) -> BarsPanel:
    """The keys with the largest attention weights of the selected token, in descending order."""
    weights = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head, row=scene.token)
    keys = np.flatnonzero(_seen(scene, layer, head, np.array([scene.token]), np.arange(len(weights))))
    order = keys[np.argsort(-weights[keys], kind="stable")[: BARS - 2]].tolist()
    bars = tuple(
        Bar(
            f"{scene.tokenizer.quoted(scene.trace.ids[n])} {n}",
            float(weights[n]),
            share_text(float(weights[n])),
            marked=n == order[0],
            source=(f"blocks.{layer}.attn.pattern", (head, scene.token, n)),
        )
        for n in order
    )
    return BarsPanel(bars=bars, hue=Hue.ATTENTION, reach=1.0)


def plain(scene: Scene, layer: int) -> Scene:
    """The scene with this block displayed, and without a comparison."""
    return replace(scene, state=replace(with_option(scene.state, "compare", "after"), layer=layer))


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def signed(value: float) -> str:
    """A number with its sign, to two decimals."""
    return f"{value:+.2f}".replace("-", "−")


def likeliest(own: Material, count: int = BARS) -> BarsPanel:
    """The likeliest next tokens."""
    ranked = own.scene.ranked
    bars = tuple(
        Bar(
            own.quoted(int(t)),
            float(p),
            share_text(float(p)),
            source=("logits", (own.scene.position, int(t))),
        )
        for t, p in zip(ranked.order[:count], ranked.probs[:count], strict=True)
    )
    return BarsPanel(bars=bars)
