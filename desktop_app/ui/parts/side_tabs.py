"""The tabs beside the bars: Explain (words, formula, shapes) and Inspect (one number)."""

import re
from html import escape

from PySide6.QtCore import Signal
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QTabWidget, QTextBrowser, QWidget

from desktop_app.core.opening.describe import Readout
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.steps import text_of

_CLOSE = "margin-top: 6px; margin-bottom: 6px"
_PIECE = 22  # letters of a formula's part that fit into a line of the narrowest pane
_TAG = re.compile(r"<[^>]*>")
_KEPT = 64  # number of pages whose layout is cached, because on some steps it takes most of the time


class SideTabs(QTabWidget):
    """Emits the name of a tensor whose link was clicked."""

    tensor_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.setAccessibleName("Explain and Inspect")
        self.setMinimumHeight(90)
        self._pages: dict[QTextBrowser, dict[tuple[str, str], QTextDocument]] = {}
        self.explain = self._page("Explain")
        self.inspect = self._page("Inspect")
        self.show_readout(None)

    def _page(self, title: str) -> QTextBrowser:
        page = QTextBrowser()
        page.setOpenLinks(False)
        page.setFrameShape(QTextBrowser.Shape.NoFrame)
        page.setAccessibleName(title)
        self._pages[page] = {}
        # Links name tensors; nothing is ever fetched.
        page.anchorClicked.connect(lambda url: self.tensor_asked.emit(url.toString()))
        self.addTab(page, title)
        return page

    def show_step(self, scene: Scene, step: Step) -> None:
        """Show the words of a step, its formula, and its tensors with their shapes."""
        text = text_of(scene, step)
        formula = f'<p style="font-size: large; {_CLOSE}"><i>{_in_pieces(text.formula)}</i></p>'
        words, shapes = f'<p style="{_CLOSE}">{escape(text.explain)}</p>', f"<p>{_shapes(scene, step)}</p>"
        self._write(self.explain, words + formula + shapes)

    def show_readout(self, readout: Readout | None) -> None:
        """Show one number: its value, tensor, place, formula, and what it is computed from."""
        if readout is None:
            self._write(self.inspect, "<p>Click a cell, or press Enter in the view and move with the arrow keys.</p>")
            return
        parts = [f'<p style="font-size: xx-large"><span style="font-weight: 600">{escape(readout.value)}</span></p>']
        parts.append(f'<p><span style="font-weight: 600">{escape(readout.name)}</span><br>{escape(readout.place)}</p>')
        if readout.meaning:
            parts.append(f"<p>{escape(readout.meaning)}</p>")
        if readout.formula:
            parts.append(f"<p><i>{escape(readout.formula)}</i></p>")
        if readout.inputs:
            parts.append(f"<p>computed from {', '.join(_link(n) for n in readout.inputs)}</p>")
        self._write(self.inspect, "".join(parts))

    def _write(self, page: QTextBrowser, words: str) -> None:
        made_of = (words, page.palette().link().color().name())  # links keep the colour they were created with
        pages = self._pages[page]
        written = pages.pop(made_of, None)
        if written is None:
            written = QTextDocument(self)
            written.setDocumentMargin(2)
            written.setHtml(words)
        pages[made_of] = written
        if written.defaultFont() != page.font():
            written.setDefaultFont(page.font())
        if page.document() is not written:
            page.setDocument(written)
        if len(pages) > _KEPT:
            pages.pop(next(iter(pages))).deleteLater()


def _in_pieces(formula: str) -> str:
    """The formula, whose tags contain no spaces, with no-break spaces inside each part that fits into a line."""
    sign = ", " if ", " in formula else " → "
    parts = formula.split(sign)
    return sign.join(part.replace(" ", "\u00a0") if _letters(part) <= _PIECE else part for part in parts)


def _letters(html: str) -> int:
    return len(_TAG.sub("", html))


def _link(name: str) -> str:
    return f'<a href="{escape(name)}">{escape(name)}</a>'


def _shapes(scene: Scene, step: Step) -> str:
    """The tensors of a step with their axes and lengths, and what they are computed from."""
    lines = []
    for name in step.tensors:
        tensor = scene.trace.table.get(name)
        if tensor is None:
            continue
        lengths = tensor.spec.shape(scene.config, len(scene.trace))
        axes = ", ".join(f"{n:,} {axis}" for n, axis in zip(lengths, tensor.axes, strict=True))
        kind = "int64" if name == "tokens" else "float32"
        lines.append(f"{escape(name)}: [{axes}] · {kind}")
        if tensor.inputs:
            lines.append(f"&nbsp;&nbsp;from {', '.join(_link(n) for n in tensor.inputs)}")
    return "<br>".join(lines)
