"""The sheet: the whole pass in one picture that can be zoomed down to single numbers, with the current step marked."""

from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import Line, SheetPanel, TextPanel, View, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.sheet.camera import here
from desktop_app.core.sheet.layout import lay_out_sheet
from desktop_app.core.sheet.scales import Colours
from desktop_app.core.sheet.values import SheetValues
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.phrase import Phrase, joined


def _values(work: Work) -> SheetValues:
    return SheetValues(work.trace)


_VALUES = Product("sheet", Phrase("Laying the pass out"), _values)
_WANT = Want(_VALUES)


def wants(_scene: Scene) -> tuple[Want, ...]:
    """The product that the view needs: it reads the pass for any zoom level."""
    return (_WANT,)


def content(scene: Scene) -> View:
    """The sheet, with the pictures of the current step marked."""
    from desktop_app.core.steps import step_list  # imported here, because the table of steps imports this module

    values: SheetValues | None = scene.made(_WANT)
    if values is None:
        return View("", "", column(TextPanel(lines=(Line("", _VALUES.waiting),))))
    sheet = lay_out_sheet(scene.config, len(scene.trace))
    step = next((s for s in step_list(scene.config) if s.key == scene.state.step), None)
    layer = scene.layer if step is None or step.layer is None else step.layer
    words: list[str] = [] if step is None else [step.text.name]
    if step is not None and step.layer is not None:
        words.insert(0, Phrase("Block {1}", layer))
    if step is not None and step.spec.per_head:
        words.insert(1, Phrase("Head {1}", scene.head))
    panel = SheetPanel(
        sheet=sheet,
        values=values.coloured(Colours(scene.state.view.pattern_scale)),
        here=here(sheet, step, layer, scene.head),
        place=joined(" · ", words),
        token=scene.token,
        labels=scene.labels,
        waiting=_VALUES.waiting,
    )
    return View("", "", column(panel))


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """numpy lines that read the tensors of the current step, and pool the first one as the sheet does for a pixel."""
    view = content(scene)
    panel = next((p for p in view.content.children if isinstance(p, SheetPanel)), None)
    names = ["embed"]
    if panel is not None and panel.sheet is not None and panel.here:
        names = list(dict.fromkeys(panel.sheet.plates[n].name for n in panel.here))
    lines = [
        "flat = x.reshape(-1, x.shape[-1])",
        "rows, columns = range(0, len(flat), 2), range(0, flat.shape[1], 2)",
        "blocks = [flat[r : r + 2, c : c + 2].ravel() for r in rows for c in columns]",
        "result = np.array([block[np.argmax(np.abs(block))] for block in blocks])  # a pixel that stands for 2 x 2",
    ]
    return program(scene.checkpoint, "the strongest of each 2 x 2 cells", [("x", names[0], "")], lines)
