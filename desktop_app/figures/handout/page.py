"""The hand-out's HTML file: sections, tables, opened numbers and data, with inline style and script allowed by hash.

The page's security policy is `default-src 'none'`: it can load nothing, and runs only scripts and styles whose
hashes it lists.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import numpy as np

from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import view_of
from desktop_app.core.panels import BarsPanel, Box, TextPanel, View, panels_of
from desktop_app.core.passes import OTHER
from desktop_app.core.program.bundle import resource
from desktop_app.core.scene import Scene
from desktop_app.figures.deck.lecture_material import words_of
from desktop_app.figures.deck.walk import CLOSING, STEP, TITLE, Slide
from desktop_app.figures.handout.leaves import Leaf
from desktop_app.figures.handout.svg import Palette, draw
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.language import translator
from desktop_app.figures.marks import Cells
from desktop_app.figures.spoken import alt_of
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError, ModelError

LIMIT = 5_000_000
"""The maximum number of bytes of a file: small enough to be mailed, and for a browser to open at once."""

_OPENED = 6  # the maximum number of numbers of a section whose arithmetic is shown
_ROWS, _COLUMNS = 60, 26  # the largest table that is included; larger ones are left out, and reported
_CELLS = 6_000  # the maximum number of cells of a picture that respond to the pointer


@dataclass
class _Made:
    """The parts of one section, stored separately so that some can be left out."""

    html: str
    table: str = ""
    opened: str = ""
    cells: list[Any] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Handout:
    """A page to which sections are added; `finish` returns its bytes."""

    def __init__(self, title: str, language: str) -> None:
        self._title, self._language = title, language
        self._words = words_of(language)["handout"]
        self._say = translator(language)
        self._palette = Palette()
        self._made: list[_Made] = []
        self._tries: list[dict[str, Any]] = []
        self._asks: dict[int, Any] = {}
        self._tokens: list[Sequence[str]] = []

    # Sections

    def add(self, leaf: Leaf) -> None:
        """Add the section of a leaf."""
        slide, n = leaf.slide, len(self._made)
        head = f'<p class="place">{escape(slide.place)}</p>' if slide.kind not in (TITLE,) else ""
        level = "h1" if slide.kind == TITLE else "h2"
        html = f'{head}<{level} id="t{n}">{escape(slide.title)}</{level}>'
        html += f'<p class="lead">{escape(slide.lead)}</p>' if slide.lead else ""
        made = _Made("")
        if slide.lines:
            html += f"<ol>{''.join(f'<li>{escape(line)}</li>' for line in slide.lines)}</ol>"
        elif slide.kind not in (TITLE, CLOSING):
            html += self._picture(slide, leaf.scene, made, n)
        html += self._notes(slide)
        if slide.ask is not None:
            html += self._question(slide, n)
        if leaf.tries and leaf.scene is not None:
            html += self._sliders(leaf.scene)
        made.html = html
        self._made.append(made)

    def _picture(self, slide: Slide, scene: Scene | None, made: _Made, n: int) -> str:
        content = slide.view.content
        alt = " ".join(alt_of(panel) for panel in panels_of(content))
        drawing = draw(content, alt, self._palette, self._say)
        if scene is not None:
            made.cells = [group for cells in drawing.cells if (group := _group(cells, scene)) is not None]
            made.opened = self._open(content, scene, n)
        made.table, left = _tables(content, self._words)
        made.left_out += [f"{slide.title}: {what}" for what in left]
        return f'<figure id="f{n}">{drawing.svg}<p class="told" aria-live="polite"></p></figure>'

    def _notes(self, slide: Slide) -> str:
        said = [slide.say] if slide.say else [p for p in slide.notes.split("\n\n") if p not in ("", slide.lead)]
        if slide.ask is not None or slide.kind != STEP or not said:
            return ""
        return f'<div class="notes">{"".join(f"<p>{escape(part)}</p>" for part in said)}</div>'

    def _open(self, content: Box, scene: Scene, n: int) -> str:
        """The arithmetic of a section's bars, which can be unfolded under them as in the window."""
        bars = [bar for p in panels_of(content) if isinstance(p, BarsPanel) for bar in p.bars]
        cells = [Cell(*bar.source, bar.run) for bar in bars if bar.source is not None]
        found: list[str] = []
        for cell in list(dict.fromkeys(cells))[:_OPENED]:
            try:
                view = view_of(scene, cell)
            except ModelError:  # a number of another pass, which the section lacks
                continue
            where = f"{cell.written}[{', '.join(map(str, cell.index))}]"
            found.append(f'<details id="o{n}-{len(found)}" data-cell="{escape(where)}">{self._opened(view)}</details>')
        head = escape(self._words["opened"])
        return f'<div class="opened"><h3>{head}</h3>{"".join(found)}</div>' if found else ""

    def _opened(self, view: View) -> str:
        parts = [f"<summary>{escape(' · '.join(filter(None, (view.title, view.lead))))}</summary>"]
        for panel in panels_of(view.content):
            if isinstance(panel, TextPanel):
                rows = ((line.label, line.text, line.remark) for line in panel.lines)
            elif isinstance(panel, BarsPanel):
                rows = ((bar.label, bar.text, bar.remark) for bar in panel.bars)
            else:
                continue
            body = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td><td>{escape(c)}</td></tr>" for a, b, c in rows)
            caption = f"<caption>{escape(panel.title)}</caption>" if panel.title else ""
            parts.append(f"<table>{caption}<tbody>{body}</tbody></table>")
        return "".join(parts)

    # Questions

    def _question(self, slide: Slide, n: int) -> str:
        ask = slide.ask
        assert ask is not None
        self._asks[n] = {"right": list(ask.right), "text": ask.text.strip(), "nudge": ask.nudge, "truth": ask.truth}
        if ask.options:
            buttons = "".join(
                f'<button type="button" data-answer="{k}">{escape(option)}</button>'
                for k, option in enumerate(ask.options)
            )
            answer = f'<div class="options" role="group" aria-labelledby="t{n}">{buttons}</div>'
        else:
            answer = (
                f'<form class="typed"><label>{escape(self._words["answer"])} <input autocomplete="off" '
                f'spellcheck="false"></label> <button>{escape(self._words["check"])}</button></form>'
            )
        return (
            f'<div class="ask" data-ask="{n}">{answer}<p class="verdict" aria-live="polite"></p>'
            f'<button type="button" class="reveal">{escape(self._words["reveal"])}</button></div>'
        )

    # Sliders

    def _sliders(self, scene: Scene) -> str:
        ranked, sampling = scene.ranked, scene.state.sampling
        packed = base64.b64encode(ranked.logits.astype("<f4").tobytes()).decode()
        labels = [scene.tokenizer.quoted(int(token)) for token in ranked.order]
        k = len(self._tries)
        self._tries.append({"logits": packed, "labels": labels})
        w = {name: escape(text) for name, text in self._words.items()}
        rows = (
            ("t", w["temperature"], 0.05, 3, 0.05, sampling.temperature, 0.01, 100),
            ("k", w["top_k"], 0, min(100, len(ranked)), 1, sampling.top_k, 0, len(ranked)),
            ("p", w["top_p"], 0.01, 1, 0.01, sampling.top_p, 0.01, 1),
        )
        inputs = "".join(
            f'<label for="{name}{k}">{label}</label><input type="range" id="{name}{k}" data-set="{name}" min="{low}" '
            f'max="{high}" step="{step}" value="{value:g}"><input type="number" aria-label="{label}" data-set="{name}" '
            f'min="{least}" max="{most}" step="any" value="{value:g}">'
            for name, label, low, high, step, value, least, most in rows
        )
        return (
            f'<div class="try" data-try="{k}" id="try{k}"><h3>{w["try"]}</h3><div class="sliders">{inputs}</div>'
            f'<p class="kept" aria-live="polite"></p><table class="bars"><thead><tr><th>{w["token"]}</th><th></th>'
            f"<th>{w['share']}</th></tr></thead><tbody></tbody></table>"
            f'<p><button type="button" class="draw">{w["draw"]}</button> <span class="drawn" aria-live="polite"></span>'
            "</p></div>"
        )

    # The file

    def finish(self, about: str) -> tuple[bytes, list[str]]:
        """The page, and what was left out to keep it within LIMIT. Raises ExportError if it is still too large."""
        left = [what for made in self._made for what in made.left_out]
        data = self._page(about, left)
        for lighten, what in self._ways():
            if len(data) <= LIMIT:
                break
            lighten()
            left = [*left, what]
            data = self._page(about, left)
        if len(data) > LIMIT:
            raise ExportError(
                f"The hand-out would have {len(data) / 1e6:.1f} MB of at most {LIMIT / 1e6:.0f}; give a shorter text, "
                "or a story of fewer stops."
            )
        return data, left

    def _ways(self) -> Iterable[tuple[Callable[[], None], str]]:
        """Ways to make the page smaller, in the order in which they are tried, each with a sentence that reports it."""

        def without_cells() -> None:
            self._made = [replace(made, cells=[]) for made in self._made]

        def without_tables() -> None:
            self._made = [replace(made, table="") for made in self._made]

        def without_logits() -> None:
            self._tries = []
            self._made = [replace(made, html=_without_tries(made.html)) for made in self._made]

        def without_opened() -> None:
            self._made = [replace(made, opened="") for made in self._made]

        yield without_logits, self._words["no_sliders"]
        yield without_cells, self._words["no_values"]
        yield without_tables, self._words["no_tables"]
        yield without_opened, self._words["no_opened"]

    def _page(self, about: str, left_out: Sequence[str]) -> bytes:
        w = {name: escape(text) for name, text in self._words.items()}
        sections = []
        for n, made in enumerate(self._made):
            table = f"<details><summary>{w['table']}</summary>{made.table}</details>" if made.table else ""
            sections.append(f'<section id="s{n}" tabindex="-1">{made.html}{made.opened}{table}</section>')
        if left_out:
            items = "".join(f"<li>{escape(what)}</li>" for what in left_out)
            sections.append(f'<section><h2>{w["left_out"]}</h2><ul class="left">{items}</ul></section>')
        style = _sheet(self._palette)
        script = resource("handout", "handout.js").read_text(encoding="utf-8")
        data = json.dumps(
            {
                "cells": {f"f{n}": made.cells for n, made in enumerate(self._made) if made.cells},
                "asks": self._asks,
                "tries": self._tries,
                "words": dict(self._words),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).replace("<", "\\u003c")
        own = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
        policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
        return (
            f'<!DOCTYPE html>\n<html lang="{self._language}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            f"<title>{escape(self._title)}</title><style>{style}</style></head><body>"
            f'<nav aria-label="{w["steps"]}"><button type="button" id="back">{w["back"]}</button>'
            f'<span id="where" aria-live="polite"></span><button type="button" id="next">{w["next"]}</button>'
            f'<button type="button" id="theme">{w["theme"]}</button></nav>'
            f"<main>{''.join(sections)}</main><footer><p>{escape(about)}</p></footer>"
            f'<script type="application/json" id="data">{data}</script><script>{script}</script></body></html>\n'
        ).encode()


def _without_tries(html: str) -> str:
    start = html.find('<div class="try"')
    return html if start < 0 else html[:start]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sheet(palette: Palette) -> str:
    """The style sheet: colours of both themes as variables, and the classes of the pictures."""
    names = ("background", "panel", "line", "ink", "dim", "accent", "accent_fill")
    light, dark = (
        "".join(f"--{name.replace('_', '-')}:{getattr(THEMES[theme], name)};" for name in names)
        for theme in ("light", "dark")
    )
    themes = (
        f":root{{{light}color-scheme:light}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}color-scheme:dark}}}}"
        f"@media screen{{:root[data-theme=dark]{{{dark}color-scheme:dark}}}}"
    )
    return themes + resource("handout", "handout.css").read_text(encoding="utf-8") + palette.sheet()


# Numbers


def _group(cells: Cells, scene: Scene) -> Any:
    """The cells of a picture that respond to the pointer: their places, their tensor and indices, their numbers."""
    source = cells.source
    values = np.asarray(cells.values, float)
    if source is None or values.size > _CELLS or source.each is not None:
        return None
    here = source.run != OTHER and source.name in scene.trace.table  # the other prompt has tokens of its own
    axes = list(scene.trace.table[source.name].axes) if here else []
    index = [i if isinstance(i, str) else int(i) for i in source.index]
    rows = list(source.rows) if source.rows is not None else None
    columns = [int(c) for c in source.cols] if source.cols is not None else None
    r = cells.rect
    return {
        "at": [round(v, 1) for v in (r.x, r.y, r.w, r.h)],
        "shape": [cells.rows, cells.columns],
        "start": cells.start,
        "stride": cells.stride,
        "name": source.written,
        "index": index,
        "first": [source.first_row, source.first_col],
        "rows": rows,
        "cols": columns,
        "group": source.group,
        "axes": axes,
        "label": cells.label,
        "values": [None if np.isnan(v) else number(float(v)) for v in values.reshape(-1)],
        "width": values.shape[-1],
    }


def _tables(content: Box, words: Any) -> tuple[str, list[str]]:
    """A picture's numbers as tables for readers who cannot see it, and the names of tables that were too large."""
    parts, left = [], []
    for panel in panels_of(content):
        for table in KINDS[type(panel)].tables(panel):
            values = np.atleast_2d(np.asarray(table.values))
            rows, columns = values.shape
            name = " · ".join(filter(None, (panel.title, table.series)))
            if rows > _ROWS or columns > _COLUMNS:
                left.append(words["no_table"].format(name=name, rows=rows, columns=columns))
                continue
            head = "".join(f"<th>{escape(c)}</th>" for c in table.columns)
            head = f"<thead><tr>{'<th></th>' if table.rows else ''}{head}</tr></thead>" if head else ""
            body = "".join(
                f"<tr>{f'<th>{escape(table.rows[r])}</th>' if table.rows else ''}"
                f"{''.join(f'<td>{escape(_cell_words(v))}</td>' for v in values[r])}</tr>"
                for r in range(rows)
            )
            parts.append(f"<table><caption>{escape(name)}</caption>{head}<tbody>{body}</tbody></table>")
    return "".join(parts), left


def _cell_words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value)
    return "" if np.isnan(value) else number(float(value))
