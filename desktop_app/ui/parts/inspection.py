"""Pointing at cells and opening them: readouts, highlighted operands, the inspector and its path."""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QSplitter

from desktop_app.core.asking.intents import Open
from desktop_app.core.levels import number
from desktop_app.core.opening.as_numpy import as_numpy, probabilities_as_numpy
from desktop_app.core.opening.cells import Cell, Region
from desktop_app.core.opening.describe import Readout
from desktop_app.core.opening.opened import clicked, linked, located, readout_of, unready, view_of, workspace_of
from desktop_app.core.opening.view import PROBABILITY
from desktop_app.core.panels import View, column
from desktop_app.core.views import across
from desktop_app.core.views.weights import find_part
from desktop_app.figures.marks import Cells
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.gpt2.edit import sites_of
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.parts.inspector import Inspector
from desktop_app.ui.parts.side_tabs import SideTabs
from desktop_app.ui.picture.canvas import Canvas


class Inspection(QObject):
    """Connects the two canvases, the Inspect tab and the controller's path of opened numbers."""

    said = Signal(str)

    def __init__(
        self, controller: Controller, canvas: Canvas, inspector: Inspector, tabs: SideTabs, centre: QSplitter
    ) -> None:
        super().__init__(centre)
        self._controller, self._canvas, self._inspector = controller, canvas, inspector
        self._tabs, self._centre = tabs, centre
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._covered = False
        self._guess: Region | None = None
        self._pointed: Cell | None = None
        canvas.pointed.connect(lambda cells, row, column: self._point(canvas, cells, row, column))
        canvas.opened.connect(self._open)
        inside = inspector.canvas
        inside.pointed.connect(lambda cells, row, column: self._point(inside, cells, row, column))
        inside.opened.connect(self._open_inside)
        inspector.back_to.connect(lambda count: controller.open_path(controller.path[:count]))
        inspector.numpy_asked.connect(self.copy_numpy)

    def set_look(self, theme: Theme, scale: float) -> None:
        """Use this theme and type size from now on."""
        self._theme, self._scale = theme, scale

    def set_covered(self, on: bool) -> None:
        """Set whether the view's numbers are hidden: pointing then shows nothing, and a click marks a guess."""
        if on and not self._covered:
            self._guess = None
        self._covered = on

    # Pointing

    def _readout(self, cells: Cells, row: int, column: int) -> Readout:
        scene = self._controller.scene
        assert scene is not None
        if cells.source is None:
            value = float(cells.values[row, column])
            return Readout(number(value), cells.label, f"row {row}, column {column}")
        try:
            return readout_of(scene, cells.source.cell(row, column))
        except LogitscopeError as reason:
            # The previous view is still shown while the products of the next view are being computed.
            return Readout("…", cells.source.written, str(reason))

    def _point(self, canvas: Canvas, cells: Cells | None, row: int, column: int) -> None:
        """Show what is under the pointer; highlight in every view what it was computed from and what it is used for."""
        scene = self._controller.scene
        if self._covered and canvas is self._canvas:
            cells = None
        canvas.set_readout(None if cells is None or scene is None else self._readout(cells, row, column))
        self._pointed = None
        lit: tuple[tuple[Region, ...], tuple[Region, ...]] = ((), ())
        if cells is not None and cells.source is not None:
            self._pointed = cells.source.cell(row, column)
            if scene is not None:
                lit = linked(scene, self._pointed)
        for shown in (self._canvas, self._inspector.canvas):
            shown.set_lit(*lit)

    # Opening

    def _open(self, cells: Cells, row: int, column: int) -> None:
        if self._covered:
            # The mark of a guess, right or wrong, stays when the numbers are shown again.
            self._guess = None if cells.source is None else _region(cells, row, column)
            self._canvas.set_marked(self._guess)
            return
        pinned = self._inspector.pin.isChecked() and self._inspector.isVisible()
        scene = self._controller.scene
        if cells.source is not None and not pinned and scene is not None:
            # Use the current state, which contains what was typed since the scene's pass.
            now = replace(scene, state=self._controller.state)
            try:
                self._controller.set(clicked(now, cells.source.cell(row, column)))
            except LogitscopeError as reason:
                self.said.emit(str(reason))
        else:
            self._tabs.show_readout(self._readout(cells, row, column))

    @property
    def cell(self) -> Cell | None:
        """The cell under the pointer in the view, else the opened cell."""
        if self._pointed is not None:
            return self._pointed
        return self._controller.path[-1] if self._controller.path else None

    def _open_inside(self, cells: Cells, row: int, column: int) -> None:
        if cells.source is not None:
            self._push(cells.source.cell(row, column))

    def _push(self, cell: Cell) -> None:
        """Append `cell` to the path or, if the path contains it, cut the path after it."""
        self._controller.follow(Open(cell))

    def open_probability(self, token: int) -> None:
        """Open the computation from a token's logit to its probability."""
        scene = self._controller.scene
        if scene is not None:
            self._controller.open_path((Cell(PROBABILITY, (scene.position, token)),))

    def show(self) -> None:
        """Show the controller's path in the inspector and the Inspect tab."""
        scene, path = self._controller.scene, self._controller.path
        shown = bool(path) and scene is not None
        if shown and not self._inspector.isVisible():
            height = self._centre.height()
            # The picture keeps its size, and the clicked cell its place on the screen: the lower pane scrolls.
            self._canvas.set_room(height)
            self._inspector.show()
            self._centre.setSizes([height * 2 // 5, height - height * 2 // 5])
        elif not shown and self._inspector.isVisible():
            focus = QApplication.focusWidget()
            inside = focus is not None and self._inspector.isAncestorOf(focus)
            self._inspector.hide()
            self._canvas.set_room(0)
            self._inspector.canvas.show_view(None, self._theme, self._scale)  # what it shows may belong to another text
            if inside:
                self._canvas.setFocus()
        opened = path[0] if path and path[0].index else None
        self._canvas.set_marked(Region(opened.name, opened.index, opened.run) if opened is not None else self._guess)
        readout = None
        if path and scene is not None:
            cell = path[-1]
            try:
                view = view_of(scene, cell)
                named = cell.index and cell.name != PROBABILITY and not unready(scene, cell)
                readout = readout_of(scene, cell) if named else None
                # A cell of a workspace is named after what it represents.
                own = {c for c in path if c.index and workspace_of(scene, c) is not None and not unready(scene, c)}
                names = {c: readout_of(scene, c).name for c in own}
            except LogitscopeError as reason:
                if self._controller.pending or not self._controller.is_current:
                    return  # the path belongs to a text whose pass is pending; afterwards it is shown or dropped
                view, names = View(cell.written, str(reason), column()), {}
            self._inspector.show_path(path, view, self._theme, self._scale, names)
        self._tabs.show_readout(readout)

    def copy_numpy(self) -> None:
        """Copy code that computes the opened number, or the step's tensor if none is open, to the clipboard."""
        scene, path, step = self._controller.scene, self._controller.path, self._controller.step
        if scene is None or step is None:
            return
        shown = (*step.tensors, "logits")[0]  # steps of sampling start from the logits
        try:
            if path:
                which, scene, bare = located(scene, path[-1])
                if which != path[-1].run:
                    raise ModelError("This number is a difference; open one of the two that it is made of.")
                path = (bare,)
            place = workspace_of(scene, path[-1]) if path else None
            cell = path[-1] if path and place is None else Cell(shown, ())
            of = place if place is not None and place.spec.numpy else None if path and place is None else step
            if of is not None and of.spec.numpy is not None:
                lines = of.spec.numpy(scene, path[-1] if place is not None else None)
            elif across.is_of(cell):
                lines = across.as_numpy(scene, cell)
            elif cell.name == PROBABILITY:
                lines = probabilities_as_numpy(scene.checkpoint, cell.index[0], scene.state.sampling, cell.index[1])
            else:
                # A part of a weight (W_Q of a head) is copied as the stored weight that contains it.
                whole = not cell.index and cell.name not in scene.trace.table
                name = find_part(scene.config, cell.name).weight if whole else cell.name
                run = scene.trace.run
                lines = as_numpy(scene.checkpoint, name, cell.index or None, edited=sites_of(run.edits), mask=run.mask)
        except LogitscopeError as reason:
            self.said.emit(str(reason))
            return
        QGuiApplication.clipboard().setText(lines)
        self.said.emit("Copied a few lines of numpy; they read trace.safetensors, as `logitscope trace` writes it.")


def _region(cells: Cells, row: int, column: int) -> Region:
    assert cells.source is not None
    return Region(cells.source.name, cells.source.at(row, column), cells.source.run)
