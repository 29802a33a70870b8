"""The tabs beside the bars: Explain (words, formula, shapes) and Inspect (one number)."""

from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from desktop_app.core.describe import Readout
from desktop_app.core.scene import Scene
from desktop_app.core.steps import Step


def shapes_words(scene: Scene, step: Step) -> str:
    """Tensors of a step with their axes and lengths, and what they are computed from."""
    lines = []
    for name in step.tensors:
        tensor = scene.trace.table.get(name)
        if tensor is None:
            continue
        lengths = tensor.spec.shape(scene.config, len(scene.trace))
        axes = ", ".join(f"{n:,} {axis}" for n, axis in zip(lengths, tensor.axes, strict=True))
        kind = "int64" if name == "tokens" else "float32"
        lines.append(f"{name}: [{axes}] · {kind}")
        if tensor.inputs:
            lines.append(f"    from {', '.join(tensor.inputs)}")
    return "\n".join(lines)


class SideTabs(QTabWidget):
    """Emits the name of a tensor that one wants to see."""

    tensor_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.setAccessibleName("Explain and Inspect")
        self.words = self._label("")
        self.formula = self._label("formula", Qt.TextFormat.RichText)
        self.shapes = self._label("shapes", Qt.TextFormat.RichText)
        self.shapes.linkActivated.connect(self.tensor_asked)
        self._add("Explain", (self.words, self.formula, self.shapes))
        self.value = self._label("formula", Qt.TextFormat.PlainText)
        self.about = self._label("", Qt.TextFormat.RichText)
        self.about.linkActivated.connect(self.tensor_asked)
        self._add("Inspect", (self.value, self.about))
        self.show_readout(None)

    def _label(self, name: str, form: Qt.TextFormat = Qt.TextFormat.PlainText) -> QLabel:
        label = QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        label.setTextFormat(form)
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )  # fmt: skip
        return label

    def _add(self, title: str, labels: tuple[QLabel, ...]) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 10, 6, 8)
        column.setSpacing(10)
        for label in labels:
            column.addWidget(label)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        area.setWidget(inside)
        self.addTab(area, title)

    def show_step(self, scene: Scene, step: Step) -> None:
        """The words of a step."""
        self.words.setText(step.text.explain)
        self.formula.setText(step.text.formula)
        lines = []
        for line in shapes_words(scene, step).split("\n"):
            if line.startswith("    from "):
                names = line.removeprefix("    from ").split(", ")
                linked = [
                    f'<a href="{escape(n)}">{escape(n)}</a>' if n in scene.trace.table else escape(n) for n in names
                ]
                lines.append("&nbsp;&nbsp;from " + ", ".join(linked))
            else:
                lines.append(escape(line))
        self.shapes.setText("<br>".join(lines))

    def show_readout(self, readout: Readout | None) -> None:
        """One number: its value, tensor, place, formula, and what it is computed from."""
        if readout is None:
            self.value.setText("")
            self.about.setText("Point at a cell, or press Enter in the view and move with the arrow keys.")
            return
        self.value.setText(readout.value)
        parts = [f"<b>{escape(readout.name)}</b>", escape(readout.place), escape(readout.meaning)]
        if readout.formula:
            parts.append(f"<i>{escape(readout.formula)}</i>")
        if readout.inputs:
            linked = [f'<a href="{escape(n)}">{escape(n)}</a>' for n in readout.inputs]
            parts.append("computed from " + ", ".join(linked))
        self.about.setText("<br><br>".join(p for p in parts if p))
