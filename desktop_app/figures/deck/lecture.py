"""A lecture about one text: at most 18 slides, each with a finding of this pass as its title.

The titles' numbers are measured on the pass and their words are in resources/lecture, so they are true of any model
and text. A finding that a pass does not have (a head with a clear target, a text to guess) gets no slide.
"""

import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from desktop_app.core import measured
from desktop_app.core.analysis.heads import Heads
from desktop_app.core.analysis.parts import Kind, Part
from desktop_app.core.analysis.predictions import Predictions
from desktop_app.core.analysis.predictions import compute as predict
from desktop_app.core.bundle import resource
from desktop_app.core.caption import sampling_words, tokens_words
from desktop_app.core.census import census
from desktop_app.core.cover import HIDDEN
from desktop_app.core.levels import share_text, unit
from desktop_app.core.measured import Look
from desktop_app.core.model import Model
from desktop_app.core.panels import (
    ArcsPanel,
    AtlasPanel,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    ProsePanel,
    ShadedPanel,
    Source,
    TextPanel,
    TokensPanel,
    View,
    column,
    panels_of,
    row,
)
from desktop_app.core.products import completed
from desktop_app.core.questions import LOOK, NEXT
from desktop_app.core.scene import Scene
from desktop_app.core.state import with_option
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.core.views import heads as atlas
from desktop_app.core.views import inputs
from desktop_app.figures.deck.walk import CLOSING, STEP, TITLE, Ask, Slide
from desktop_app.figures.export import Job, described
from desktop_app.figures.language import ENGLISH, languages, translator
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.phrase import Count, joined
from desktop_app.gpt2.sampling import Ranked, stages

log = logging.getLogger(__name__)

_BARS, _CHIPS, _MERGES, _ARCS, _SHADED = 7, 48, 6, 13, 120
_BESIDE_BARS = 190  # characters of a text that fit over bars
_RECALLED = ("tokens", "embed", "previous", "look", "writers", "without", "arising", "next", "positions")
_QUOTED, _OPENS_WITH = 44, 90  # characters of the end of a text that a title quotes; the same for the opening slide
_MILD = 0.5  # the temperature shown if the user chose none


@cache
def words_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """The words of every slide in a language: slide -> title, lead, point, say. Raises ExportError."""
    if language not in languages():
        raise ExportError(f"There is no language {language[:40]!r}; choose one of {', '.join(languages())}.")
    return tomllib.loads(resource("lecture", f"{language}.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Frame:
    """A slide to be made: its row in the table of words, the values put into them, and its panels."""

    key: str
    content: Box
    values: Mapping[str, object]
    variant: str = ""  # of the title
    sampled: bool = False  # whether the sampling settings are shown under it
    kind: str = STEP
    ask: Ask | None = None


class Lecture:
    """The slides of one scene; `chosen` is the (block, head) that the user named; if None, one is picked."""

    def __init__(
        self, scene: Scene, model: Model, language: str = ENGLISH, chosen: tuple[int, int] | None = None
    ) -> None:
        self.words, self._language = words_of(language), language
        self._say, self._model, self._chosen = translator(language), model, chosen
        self._scene = scene

    # Measured once

    @cached_property
    def _heads(self) -> Heads | None:
        want = atlas.BATTERY
        found = completed(self._scene, lambda _scene: (want,), self._model).made(want)
        return found if isinstance(found, Heads) else None

    @cached_property
    def _look(self) -> Look | None:
        if self._chosen is not None:
            return measured.look_of(self._scene, *self._chosen)
        return measured.worth_showing(self._scene, self._heads)

    @cached_property
    def _predictions(self) -> Predictions:
        return predict(self._scene.trace)

    @cached_property
    def _top(self) -> int:
        return int(self._scene.ranked.order[0])

    def _quoted(self, token: int) -> str:
        return self._scene.tokenizer.quoted(token)

    def _at(self, position: int) -> str:
        return self._quoted(self._scene.trace.ids[position])

    def _word(self, name: str, **values: object) -> str:
        return self.words["words"][name].format(**values)

    def _part(self, part: Part) -> str:
        """The name, in words, of the component that wrote a part of the residual stream."""
        names = {Kind.EMBED: "embed", Kind.POSITION: "pos_embed", Kind.HEAD: "head", Kind.MLP: "mlp"}
        return self._word(names.get(part.kind, "bias"), layer=part.layer, head=part.head)

    def _end(self, most: int = _QUOTED) -> str:
        """The end of the text up to the position that predicts, in at most `most` characters."""
        ids = self._scene.trace.ids[: self._scene.position + 1]
        text = " ".join(self._scene.tokenizer.decode(ids).split())
        return text if len(text) <= most else f"… {text[-most:].partition(' ')[2] or text[-most:]}"

    # The slides

    def slides(self, *, captions: bool = True) -> Iterator[Slide]:
        """Every slide for which this pass has a finding, in order."""
        frames = [made for make in _ORDER if (made := self._made(make)) is not None]
        titles: dict[str, int] = {}
        findings: dict[str, str] = {}
        for number, (part, frame) in enumerate([*frames, ("end", self._closing())], 1):
            slide = self._slide(frame, part, number, len(frames) + 1, captions=captions)
            if frame.kind == CLOSING:
                slide = _recalling(slide, tuple(text for key, text in findings.items() if key in _RECALLED))
            titles[slide.title] = titles.get(slide.title, 0) + 1
            if titles[slide.title] > 1:  # two findings of one text can have the same words
                slide = _titled(slide, f"{slide.title} ({titles[slide.title]})")
            findings[frame.key] = slide.title
            yield slide

    def _made(self, make: "tuple[str, Callable[[Lecture], Frame | None]]") -> tuple[str, Frame] | None:
        part, build = make
        try:
            frame = build(self)
        except LogitscopeError as reason:  # for example an edited pass, whose attention scores cannot be decomposed
            log.info("no slide of %s: %s", build.__name__, reason)
            return None
        return None if frame is None else (part, frame)

    def _slide(self, frame: Frame, part: str, number: int, count: int, *, captions: bool) -> Slide:
        values = {name: self._say(value) if isinstance(value, str) else value for name, value in frame.values.items()}
        said = {name: text.format(**values) for name, text in self.words[frame.key].items()}
        view = View(said[f"title{frame.variant}"], said["lead"], frame.content)
        scene = self._scene
        parts = [scene.name, tokens_words(len(scene.trace))]
        parts += [sampling_words(scene)] if frame.sampled else []
        caption = self._say(joined(" · ", parts)) if captions else ""
        notes = "\n\n".join((self._word("point_at", what=said["point"]), said["lead"], said["say"]))
        job = Job(view, caption, described(view, caption))
        place = self.words["parts"][part]
        return Slide(
            frame.key,
            number,
            place,
            place,
            number / count,
            job,
            view.lead,
            notes,
            frame.kind,
            ask=frame.ask,
            language=self._language,
            large=True,
            say=said["say"],
        )

    def _title(self) -> Frame:
        scene = self._scene
        config = scene.config
        pieces = [p for p in panels_of(inputs.text(scene)) if isinstance(p, ProsePanel)]
        text = " ".join(scene.tokenizer.decode(scene.trace.ids).split())
        values = {
            "end": self._end(_OPENS_WITH),
            "text": text[:2000],
            "model": scene.name,
            "layers": config.n_layer,
            "heads": config.n_head,
            "weights": Count(census(scene.name, config).total),
            "vocab": Count(config.vocab_size),
        }
        shown = column(replace(pieces[0], title="", note="", pieces=pieces[0].pieces[:_SHADED]))
        return Frame("title", shown, values, kind=TITLE)

    def _whole(self) -> Frame:
        scene = self._scene
        shown = replace(scene, state=with_option(with_option(scene.state, "heads", "patterns"), "compare", "after"))
        step = find_step("heads", scene.config)
        shown = completed(shown, lambda s: wants_of(s, step), self._model)
        picture = next(p for p in panels_of(build_view(shown, step).content) if isinstance(p, AtlasPanel))
        picture = replace(picture, title="", note="", hint="", selected=None)
        values = {
            "count": len(scene.trace),
            "layers": scene.config.n_layer,
            "top": self._quoted(self._top),
            "share": share_text(float(scene.ranked.probs[0])),
        }
        bars = replace(self._likeliest(5), title=self._word("five"))
        return Frame("whole", row(picture, bars, weights=(3, 2)), values)

    def _tokens(self) -> Frame:
        scene = self._scene
        panel = next(p for p in panels_of(inputs.tokens(scene)) if isinstance(p, TokensPanel))
        count = len(panel.chips)
        note = self._word("first", count=_CHIPS) if count > _CHIPS else ""
        panel = replace(panel, title="", note=note, chips=panel.chips[:_CHIPS], selected=None)
        piece = next((n for n in range(1, min(count, _CHIPS)) if self._goes_on(n)), None)
        merged = self._merges() if count <= _CHIPS else None
        values = {
            "count": count,
            "vocab": Count(scene.config.vocab_size),
            "piece": self._at(piece if piece is not None else count - 1),
        }
        shown = column(panel) if merged is None else column(panel, merged)
        return Frame("tokens", shown, values, "" if piece is None else "_pieces")

    def _merges(self) -> TextPanel | None:
        """How the text's token with the most merges was assembled."""
        tokenizer = self._scene.tokenizer
        token = max(self._scene.trace.ids, key=lambda t: len(tokenizer.merge_steps(t)))
        steps = tokenizer.merge_steps(token)[:_MERGES]
        lines = tuple(Line(f"{n}", "  ".join(step.pieces)) for n, step in enumerate(steps, 1))
        return TextPanel(title=self._word("merges", token=self._quoted(token)), lines=lines) if lines else None

    def _goes_on(self, position: int) -> bool:
        """Whether a token continues the word of the token before it."""
        before, own = (self._scene.tokenizer.decode([self._scene.trace.ids[n]]) for n in (position - 1, position))
        return before[-1:].isalpha() and own[:1].isalpha()

    def _embed(self) -> Frame | None:
        scene = self._scene
        panel = next(p for p in panels_of(inputs.embed(scene)) if isinstance(p, BarsPanel))
        if len(panel.bars) < 3:
            return None
        near = [self._quoted(token) for token, _ in inputs.nearest_tokens(scene)]
        bars = tuple(replace(b, label=name) for b, name in zip(panel.bars[:_BARS], near, strict=False))
        values = {
            "token": self._at(scene.token),
            "near": f"{', '.join(near[:2])}{self._word('and')}{near[2]}",
            "width": scene.config.n_embd,
        }
        return Frame("embed", column(replace(panel, title="", note="", bars=bars)), values)

    def _previous(self) -> Frame | None:
        found = measured.previous_token(self._scene)
        if found is None:
            return None
        layer, head, good, count = found
        panel = arcs(self._scene, layer, head)
        panel = replace(panel, note=self._word("last", count=_ARCS) if len(self._scene.trace) > _ARCS else "")
        values = {"head": f"L{layer}H{head}", "number": head, "layer": layer, "good": good, "count": count}
        return Frame("previous", column(panel), {**values, "misses": count - good})

    def _shaded(self, look: Look) -> ShadedPanel:
        scene = self._scene
        start = first_shown(scene.labels, look.query)
        weights = scene.trace.read(f"blocks.{look.layer}.attn.pattern", head=look.head, row=look.query)
        return ShadedPanel(
            note=self._word("last", count=look.query + 1 - start) if start else "",
            pieces=scene.labels[start : look.query + 1],
            values=np.asarray(weights[start : look.query + 1], float),
            levels=unit(),
            source=Source(f"blocks.{look.layer}.attn.pattern", (look.head, look.query, "col"), first_col=start),
            selected=look.query - start,
        )

    def _of_look(self, look: Look) -> dict[str, object]:
        return {
            "head": look.name,
            "number": look.head,
            "layer": look.layer,
            "query": self._at(look.query),
            "key": self._at(look.key),
            "at": look.key,
            "share": share_text(look.weight),
        }

    def _ask_look(self) -> Frame | None:
        if self._look is None or self._look.query < 2:
            return None
        shown = self._shaded(self._look)
        covered = replace(shown, values=np.full_like(shown.values, np.nan), source=None)
        values = self._of_look(self._look)
        truth = self.words["look"]["title"].format(**values)
        key = self._look.key - (self._look.query + 1 - len(shown.pieces))
        ask = Ask(LOOK, shown.pieces, (key,), truth=truth) if key >= 0 else None
        return Frame("ask_look", column(covered), values, ask=ask)

    def _looks(self) -> Frame | None:
        look, scene = self._look, self._scene
        if look is None:
            return None
        bars = strongest_keys(scene, look.layer, look.head)
        ids = scene.trace.ids
        variant = "_duplicate" if look.key != look.query and ids[look.key] == ids[look.query] else ""
        if look.key and look.key - 1 < look.query and ids[look.key - 1] == ids[look.query]:
            variant = "_induction"
        shown = column(self._shaded(look), bars)
        return Frame("look", shown, self._of_look(look), variant)

    def _writers(self) -> Frame | None:
        if self._look is None:
            return None
        found = measured.writers_of_key(self._scene, self._look)
        if found[0][1] <= 0:
            return None
        shown = found[:_BARS]
        bars = tuple(Bar(self._part(part), value, _signed(value)) for part, value in shown)
        values = {
            "part": self._part(found[0][0]),
            "Part": _capital(self._part(found[0][0])),
            "value": _signed(found[0][1]),
            "total": _signed(sum(value for _, value in found)),
            "shown": len(shown),
        }
        panel = BarsPanel(bars=bars, hue=Hue.KEY)
        return Frame("writers", column(panel), {**self._of_look(self._look), **values})

    def _without(self) -> Frame | None:
        if self._look is None or self._scene.token != self._scene.position:
            return None
        after = measured.without_head(self._model, self._scene, self._look).ranked
        values = {
            "head": self._look.name,
            "top": self._quoted(self._top),
            "before": share_text(float(self._scene.ranked.probs[0])),
            "after": share_text(float(after.probs[after.rank_of(self._top)])),
            "first": self._quoted(int(after.order[0])),
        }
        before = self._scene.ranked
        tokens = list(dict.fromkeys([int(t) for t in before.order[:4]] + [int(t) for t in after.order[:4]]))
        tokens.sort(key=after.rank_of)
        return Frame("without", column(self._changed(tokens, before, after)), values)

    def _changed(self, tokens: list[int], before: Ranked, after: Ranked) -> BarsPanel:
        """The probabilities of some tokens after a change, with outlines for those before it."""

        def share(ranked: Ranked, token: int) -> float:
            return float(ranked.probs[ranked.rank_of(token)])

        bars = tuple(
            Bar(
                self._quoted(t),
                share(after, t),
                share_text(share(after, t)),
                outline=share(before, t),
                marked=t == self._top,
            )
            for t in tokens
        )
        filled = self._word("without", head=self._look.name if self._look else "")
        return BarsPanel(bars=bars, outlined=self._word("before"), filled=filled)

    def _mlp(self) -> Frame:
        scene = self._scene
        layer = self._look.layer if self._look is not None else scene.config.n_layer - 1
        step = find_step(f"blocks.{layer}.mlp.post", scene.config)
        view = build_view(_plain(scene, layer), step)
        curve = next(p for p in panels_of(view.content) if isinstance(p, CurvePanel))
        after = scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)
        values = {
            "active": Count(int((after > 0).sum())),
            "neurons": Count(len(after)),
            "layer": layer,
            "token": self._at(scene.token),
            "strongest": int(np.argmax(np.abs(after))),
        }
        curve = replace(
            curve,
            title="",
            note="",
            x_label=self._say(curve.x_label),
            y_label=self._say(curve.y_label),
            focus=curve.focus and (*curve.focus[:2], self._say(curve.focus[2])),
        )
        return Frame("mlp", column(curve), values)

    def _arising(self) -> Frame | None:
        found = measured.arising(self._scene)
        block = measured.leads_from(found)
        if len(found) < 2 or found[-1].leads != self._top:
            return None
        picked = sorted({*np.linspace(0, len(found) - 1, min(len(found), 12)).round().astype(int).tolist(), block})
        bars = tuple(
            Bar(
                self._word("after_block", block=found[n].block, token=self._quoted(found[n].leads)),
                found[n].share,
                share_text(found[n].share),
                marked=n == block,
            )
            for n in picked
        )
        values = {"top": self._quoted(self._top), "block": block, "share": share_text(found[-1].share)}
        return Frame("arising", column(BarsPanel(bars=bars)), values)

    def _likeliest(self, count: int = _BARS) -> BarsPanel:
        ranked = self._scene.ranked
        bars = tuple(
            Bar(
                self._quoted(int(t)),
                float(p),
                share_text(float(p)),
                source=("logits", (self._scene.position, int(t))),
            )
            for t, p in zip(ranked.order[:count], ranked.probs[:count], strict=True)
        )
        return BarsPanel(bars=bars)

    def _ask_next(self) -> Frame:
        scene = self._scene
        start, end = max(0, scene.position + 1 - _SHADED), scene.position + 1
        pieces = (*scene.labels[start:end], f" {HIDDEN} ")
        shown = ShadedPanel(
            note=self._word("last", count=_SHADED) if start else "",
            pieces=pieces,
            values=np.full(len(pieces), np.nan),
            levels=unit(),
            selected=len(pieces) - 1,
        )
        values = {"top": self._quoted(self._top), "share": share_text(float(scene.ranked.probs[0]))}
        truth = self.words["next"]["title"].format(**values)
        ask = Ask(NEXT, text=scene.tokenizer.decode([self._top]), truth=truth)
        return Frame("ask_next", column(shown), {"end": self._end()}, ask=ask)

    def _next(self) -> Frame | None:
        ranked = self._scene.ranked
        if len(ranked) < 2:
            return None
        shown = min(_BARS, len(ranked))
        values = {
            "top": self._quoted(self._top),
            "share": share_text(float(ranked.probs[0])),
            "second": self._quoted(int(ranked.order[1])),
            "second_share": share_text(float(ranked.probs[1])),
            "vocab": Count(len(ranked)),
            "shown": shown,
            "together": share_text(float(ranked.probs[:shown].sum())),
        }
        return Frame("next", column(self._likeliest()), values)

    def _temperature(self) -> Frame:
        scene, sampling = self._scene, self._scene.state.sampling
        chosen = sampling.temperature if sampling.temperature != 1 and not sampling.greedy else _MILD
        made = stages(scene.ranked, replace(sampling, temperature=chosen, greedy=False))
        bars = tuple(
            Bar(
                self._quoted(int(scene.ranked.order[n])),
                float(made.probs_scaled[n]),
                share_text(float(made.probs_scaled[n])),
                outline=float(made.probs_full[n]),
                marked=n == 0,
            )
            for n in range(min(_BARS, len(scene.ranked)))
        )
        values = {
            "t": f"{chosen:g}",
            "top": self._quoted(self._top),
            "before": share_text(float(made.probs_full[0])),
            "after": share_text(float(made.probs_scaled[0])),
        }
        panel = BarsPanel(
            bars=bars,
            outlined=self._word("temperature", t="1"),
            filled=self._word("temperature", t=f"{chosen:g}"),
        )
        return Frame("temperature", column(panel), values)

    def _cuts(self) -> Frame | None:
        scene, sampling = self._scene, self._scene.state.sampling
        if sampling.greedy or (not sampling.top_k and sampling.top_p >= 1):
            sampling = replace(sampling, greedy=False, top_k=40, top_p=0.9)
        made = stages(scene.ranked, sampling)
        if made.n_kept >= len(scene.ranked):
            return None
        names = [self._word("top_k", k=sampling.top_k)] if sampling.top_k else []
        names += [self._word("top_p", p=f"{sampling.top_p:g}")] if sampling.top_p < 1 else []
        kept = made.n_kept
        shown = range(min(_BARS, len(scene.ranked))) if kept < _BARS else [*range(_BARS - 2), kept - 1, kept]
        bars = tuple(
            Bar(
                f"{self._quoted(int(scene.ranked.order[n]))} {n + 1}",
                float(made.final[n]) if n < kept else 0.0,
                share_text(float(made.final[n]) if n < kept else 0.0),
                outline=float(made.probs_scaled[n]),
                kept=n < kept,
            )
            for n in shown
        )
        values = {
            "cuts": self._word("and").join(names),
            "kept": Count(kept),
            "vocab": Count(len(scene.ranked)),
            "last": self._quoted(int(scene.ranked.order[kept - 1])),
            "lost": share_text(max(0.0, 1 - float(made.probs_scaled[:kept].sum()))),
        }
        panel = BarsPanel(bars=bars, outlined=self._word("before"), filled=self._word("after"))
        return Frame("cuts", column(panel), values, sampled=sampling == scene.state.sampling)

    def _draw(self) -> Frame | None:
        scene = self._scene
        if scene.state.sampling.greedy:
            return None
        step = find_step("draw", scene.config)
        ruler = panels_of(build_view(_plain(scene, scene.layer), step).content)
        ruled = replace(next(iter(ruler)), title="", note="", hint="")
        first = max(0, min(scene.landed - 3, scene.stages.n_kept - 6))
        bars = tuple(
            Bar(
                self._quoted(int(scene.ranked.order[n])),
                float(scene.stages.final[n]),
                share_text(float(scene.stages.final[n])),
                marked=n == scene.landed,
            )
            for n in range(first, min(first + 6, scene.stages.n_kept))
        )
        values = {
            "u": f"{scene.u:.4f}",
            "token": self._quoted(int(scene.ranked.order[scene.landed])),
            "seed": scene.state.sampling.seed,
        }
        return Frame("draw", column(ruled, BarsPanel(bars=bars)), values, sampled=True)

    def _positions(self) -> Frame | None:
        made = self._predictions
        if len(made) < 3:
            return None
        start = max(0, len(made) - 10)
        ids = self._scene.trace.ids
        bars = tuple(
            Bar(
                f"{n + 1} {self._quoted(int(made.next_id[n]))}",
                float(made.probability[n]),
                share_text(float(made.probability[n])),
                marked=made.rank[n] == 0,
            )
            for n in range(start, len(made))
        )
        inside = made.probability[start:]
        values = {
            "right": made.right,
            "count": len(made),
            "loss": f"{made.mean_loss:.2f}",
            "easy": self._quoted(ids[start + int(inside.argmax()) + 1]),
            "hard": self._quoted(ids[start + int(inside.argmin()) + 1]),
        }
        note = self._word("last", count=len(bars)) if start else ""
        return Frame("positions", column(BarsPanel(note=note, bars=bars, reach=1.0)), values)

    def _closing(self) -> Frame:
        values = {"model": self._scene.name, "top": self._quoted(self._top)}
        return Frame("closing", column(), values, kind=CLOSING)


def first_shown(labels: tuple[str, ...], last: int) -> int:
    """The first token to show over bars, so that the text from there to `last` has room."""
    room = _BESIDE_BARS
    for n in range(last, -1, -1):
        room -= len(labels[n]) + 1
        if room < 0:
            return min(n + 1, last)
    return 0


def arcs(scene: Scene, layer: int, head: int) -> ArcsPanel:
    """Which tokens attend to which, for the last tokens of the text."""
    start = max(0, len(scene.trace) - _ARCS)
    pattern = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head)[start:, start:]
    values = np.where(np.tri(len(pattern), dtype=bool), pattern, np.nan)
    return ArcsPanel(pieces=scene.labels[start:], values=values, least=0.1)


def strongest_keys(scene: Scene, layer: int, head: int) -> BarsPanel:
    """The keys with the largest attention weights of the selected token, in descending order."""
    weights = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head, row=scene.token)
    order = np.argsort(-weights[: scene.token + 1], kind="stable")[: _BARS - 2].tolist()
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


def _plain(scene: Scene, layer: int) -> Scene:
    """The scene with this block shown, and without a comparison."""
    return replace(scene, state=replace(with_option(scene.state, "compare", "after"), layer=layer))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _recalling(slide: Slide, lines: tuple[str, ...]) -> Slide:
    """The last slide with the titles of the earlier ones, which it repeats."""
    content = column(TextPanel(lines=tuple(Line(f"{n}", text) for n, text in enumerate(lines, 1))))
    view = replace(slide.view, content=content)
    return replace(slide, job=replace(slide.job, view=view), lines=lines)


def _titled(slide: Slide, title: str) -> Slide:
    return replace(slide, job=replace(slide.job, view=replace(slide.view, title=title)))


_ORDER: tuple[tuple[str, Callable[[Lecture], Frame | None]], ...] = (
    ("begin", Lecture._title),
    ("begin", Lecture._whole),
    ("input", Lecture._tokens),
    ("input", Lecture._embed),
    ("attention", Lecture._previous),
    ("attention", Lecture._ask_look),
    ("attention", Lecture._looks),
    ("attention", Lecture._writers),
    ("attention", Lecture._without),
    ("mlp", Lecture._mlp),
    ("mlp", Lecture._arising),
    ("output", Lecture._ask_next),
    ("output", Lecture._next),
    ("output", Lecture._temperature),
    ("output", Lecture._cuts),
    ("output", Lecture._draw),
    ("output", Lecture._positions),
)
"""Part of the lecture and the function that makes its slide, in order; a closing slide follows them."""
