"""Random actions in random order: nothing is raised, and in the end the typed text is shown."""

import random
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.session.fields import Change
from desktop_app.core.steps import workspaces
from tests.ui.driver import LEFT, NONE, SHIFT

ENDS_IT = {"quit"}
TEXTS = ("a", " the", "\n", "é", "☃", "x" * 60, "abc", "")
EDITS = (
    "blocks.0.attn.z[1]=0",
    "blocks.1.mlp.post[:, 5]=mean",
    "blocks.1.resid_pre[0]=other",
    "blocks.1.attn.z[0]=across",
    "blocks.1.attn.q+=edge[0, 0]",
    "blocks.1.resid_pre+=2*direction[\"'a' - 'b'\"]",
    "blocks.2.attn_out*=0.5",
)
KEYS = (
    Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Escape,
    Qt.Key.Key_Tab, Qt.Key.Key_Backspace, Qt.Key.Key_P, Qt.Key.Key_PageDown, Qt.Key.Key_Home,
)  # fmt: skip


class Somebody:
    """Does random actions; `did` lists them, to report a failure."""

    def __init__(self, desk, models, seed):
        self.desk, self.models, self.dice, self.did = desk, models, random.Random(seed), []

    def act(self):
        kinds = (
            (self.command, 30),
            (self.click, 30),
            (self.key, 15),
            (self.write, 10),
            (self.open, 3),
            (self.slide, 5),
            (self.train, 5),
            (self.resize, 2),
            (self.wait, 5),
            (self.change, 6),
        )
        (kind,) = self.dice.choices([act for act, _ in kinds], [often for _, often in kinds])
        self.did.append((kind.__name__, *kind()))
        for _ in range(self.dice.randrange(3)):
            QApplication.processEvents()

    def command(self):
        name = self.dice.choice([c.id for c in COMMANDS if c.id not in ENDS_IT])
        self.desk.window.do(name)
        for dialog in self.desk.window.findChildren(QDialog):
            dialog.close()
        return (name,)

    def click(self):
        w = self.desk.window
        panes = [p for p in (w.canvas, w.map, w.chips, w.probabilities.bars, w.inspector.canvas) if p.isVisible()]
        pane = self.dice.choice(panes)
        view = pane.viewport()
        place = QPoint(self.dice.randrange(max(1, view.width())), self.dice.randrange(max(1, view.height())))
        modifiers = self.dice.choice((NONE, NONE, SHIFT))
        QTest.mouseMove(view, place)
        QTest.mouseClick(view, LEFT, modifiers, place)
        return pane.accessibleName(), place, modifiers

    def key(self):
        key, modifiers = self.dice.choice(KEYS), self.dice.choice((NONE, NONE, SHIFT))
        widget = QApplication.focusWidget() or self.desk.window.canvas
        QTest.keyClick(widget, key, modifiers)
        return key, modifiers, widget.accessibleName()

    def write(self):
        text, prompt = self.dice.choice(TEXTS), self.desk.window.prompt
        if self.dice.random() < 0.5:
            prompt.selectAll()
        prompt.insertPlainText(text)
        return (text,)

    def open(self):
        model = self.dice.choice(self.models)
        self.desk.c.open_model(model)
        return (model.name,)

    def change(self):
        """Edit the pass, or choose another prompt, another model or another mask."""
        state = self.desk.state
        name, value = self.dice.choice(
            (
                ("edits", (*state.edits, Change(self.dice.choice(EDITS)))),
                ("edits", state.edits[1:]),
                ("other", self.dice.choice(("", "Jello", "Hello, you two"))),
                ("beside", self.dice.choice(("", *map(str, self.models), "/nowhere"))),
                ("mask", self.dice.choice(("causal", "none", "window:2"))),
            )
        )
        self.desk.c.set(replace(state, **{name: value}))
        return name, value

    def slide(self):
        controls = self.desk.window.probabilities.controls
        slider = self.dice.choice((controls.temperature, controls.top_k, controls.top_p))
        slider.setValue(self.dice.randrange(1001))
        return slider.accessibleName(), slider.value()

    def train(self):
        """Drag the mark along the training, if the open model has one."""
        track = self.desk.window.training_bar.track
        way = [QPoint(self.dice.randrange(max(1, track.width())), 8) for _ in range(3)]
        if track.isVisible():
            QTest.mousePress(track, LEFT, NONE, way[0])
            for place in way[1:]:
                QTest.mouseMove(track, place)
            QTest.mouseRelease(track, LEFT, NONE, way[-1])
        return way

    def resize(self):
        size = self.dice.randrange(800, 1900), self.dice.randrange(500, 1000)
        self.desk.window.resize(*size)
        return size

    def wait(self):
        self.desk.window.scrubber.set_playing(False)
        self.desk.settle()
        return ()


@pytest.mark.parametrize("seed", range(6))
def test_anything_in_any_order_leaves_the_window_true_to_its_prompt(open_desk, tiny, other, seed):
    desk = open_desk(tiny, "Hello, you")
    somebody = Somebody(desk, [tiny, other, *bundled_models().values()], seed)
    try:
        for _ in range(120):
            somebody.act()
        somebody.wait()
        desk.c.complain("")  # a model could not be compared
        desk.c.set(replace(desk.state, space=None, beside=""))  # not every vocabulary in this test has a space
        desk.write("AB")
        if desk.window.telling.covering:
            desk.window.do("cover")
    except Exception:
        print(*somebody.did[-15:], sep="\n")
        raise
    tokenizer = desk.c.model.tokenizer
    start = (tokenizer.eos_id,) if desk.state.start and tokenizer.eos_id is not None else ()
    typed = " AB" if desk.state.space and tokenizer.has_space else "AB"
    assert desk.window.prompt.text() == "AB" == desk.state.text and not desk.trouble()
    assert desk.scene.trace.ids == (*start, *tokenizer.encode(typed).ids) and desk.c.is_current
    assert desk.scene.checkpoint is desk.c.model.checkpoint
    assert next(iter(desk.bars())) == int(desk.scene.trace.logits(desk.scene.position).argmax())
    assert desk.words() and desk.c.step in (*desk.c.steps, *workspaces(desk.c.model.config))
