"""Opens stories from files, and creates stories from what the window shows."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from desktop_app.core.lessons.stops import Stop
from desktop_app.core.lessons.stories import SUFFIX, Story, load_story, save_story, shipped, stop_of
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.dialogs.story_dialog import StoryDialog
from desktop_app.ui.lessons.telling import Telling

_FILES = f"Stories (*{SUFFIX} *.toml)"


class StoryFiles(QObject):
    """Asks for files without blocking the window, and reports the outcome."""

    said = Signal(str)

    def __init__(self, controller: Controller, telling: Telling, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._telling, self._window = controller, telling, window

    def ask_open(self) -> None:
        """Ask for a story file, and tell the story from its first stop."""
        dialog = QFileDialog(self._window, "Open story", str(Path.home()), f"{_FILES};;All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.open(Path(name)))
        dialog.open()

    def open(self, path: Path) -> None:
        """Tell the story in a file; if it cannot be used, the display does not change."""
        try:
            story = load_story(path)
        except LogitscopeError as reason:
            self._controller.complain(str(reason))
            return
        self._controller.complain("")
        self._telling.begin(story)

    def shown(self) -> Stop:
        """A stop for what the window shows, without words."""
        state, step = self._controller.state, self._controller.step
        return stop_of(state, step.text.name if step is not None else "A stop")

    def edit(self, *, add: bool = False) -> None:
        """Edit a copy of the story that is told, or create one from what is shown."""
        story = self._telling.story or Story("My story", (self.shown(),), Path(), "")
        dialog = StoryDialog(story, self.shown, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.kept.connect(lambda changed: self._ask_save(dialog, changed))
        dialog.shown.connect(self._telling.show_draft)
        if add and self._telling.story is not None:
            dialog.stops.setCurrentRow(self._telling.number)
            dialog.add()
        dialog.open()

    def add_shown(self) -> None:
        """Add what is shown to the story that is told, or create a story from it."""
        self.edit(add=True)

    def _ask_save(self, dialog: StoryDialog, story: Story) -> None:
        own = "" if story.name in shipped() or not story.name else story.name
        start = own or str(Path.home() / f"{story.title or 'story'}{SUFFIX}".replace("/", "-"))
        chooser = QFileDialog(dialog, "Save story", start, _FILES)
        chooser.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        chooser.setDefaultSuffix(SUFFIX.removeprefix("."))
        chooser.selectFile(Path(start).name)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.fileSelected.connect(lambda name: self.save(dialog, story, Path(name)))
        chooser.open()

    def save(self, dialog: StoryDialog, story: Story, path: Path) -> None:
        """Save a story and tell it; the dialog stays open if that fails."""
        try:
            save_story(path, story)
            saved = load_story(path)
        except LogitscopeError as reason:
            self._controller.complain(str(reason))
            return
        self._controller.complain("")
        number = max(0, dialog.stops.currentRow())
        dialog.accept()
        self._telling.begin(saved, number)
        self.said.emit(f"Saved {path.name}.")
