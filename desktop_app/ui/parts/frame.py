"""Creates the window's widgets and arranges them; their behaviour is defined elsewhere."""

from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.ui.lessons.lecture import Lecture
from desktop_app.ui.lessons.story_bar import StoryBar
from desktop_app.ui.parts.buttons import tip_of_action
from desktop_app.ui.parts.chips import Chips
from desktop_app.ui.parts.columns import Columns
from desktop_app.ui.parts.edits_bar import EditsBar
from desktop_app.ui.parts.inspector import Inspector
from desktop_app.ui.parts.notice import Notice
from desktop_app.ui.parts.place_words import PlaceWords
from desktop_app.ui.parts.probability_panel import ProbabilityPanel
from desktop_app.ui.parts.prompt import PromptEditor
from desktop_app.ui.parts.scrubber import Scrubber
from desktop_app.ui.parts.side_pane import SidePane
from desktop_app.ui.parts.side_tabs import SideTabs
from desktop_app.ui.parts.top_bar import TopBar
from desktop_app.ui.parts.training_bar import TrainingBar
from desktop_app.ui.parts.view_bar import ViewBar
from desktop_app.ui.parts.workspace_bar import WorkspaceBar
from desktop_app.ui.picture.canvas import Canvas
from desktop_app.ui.picture.map_view import MapView
from desktop_app.ui.picture.motion_bar import MotionBar


class Frame(QMainWindow):
    """Holds every widget under the name that the rest of the window uses."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Logitscope")
        self.setMinimumSize(480, 320)  # less than its parts need together: some are hidden in a small window
        self.setAcceptDrops(True)
        self.actions_: dict[str, QAction] = {}
        self._make_top()
        self._make_middle()
        self._put_together()
        self._make_actions()
        # Tab goes from the prompt to the widgets that are used next, without stopping at every button in between.
        order = (self.prompt, self.chips, self.map, self.canvas, self.probabilities.bars, self.training_bar.track,
                 self.scrubber.track)  # fmt: skip
        for one, next_ in pairwise(order):
            QWidget.setTabOrder(one, next_)

    def _make_top(self) -> None:
        self.models = self._menu_button("Opening …", "Model")
        self.prompt = PromptEditor()
        self.examples = self._menu_button("Examples ▾", "Examples")
        self.undo, self.redo, self.themes = QToolButton(), QToolButton(), QToolButton()
        self.menu_button = self._menu_button("☰", "Menu")
        self.export = QPushButton("Export figure")
        self.export.setObjectName("primary")
        buttons = (self.examples, self.undo, self.redo, self.themes, self.export, self.menu_button)
        self.top_bar = TopBar([self.models], self.prompt, buttons)
        self.trouble = QLabel()
        self.trouble.setObjectName("trouble")
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self.trouble.setWordWrap(True)
        self.trouble.hide()
        self.offer = QPushButton()
        self.offer.hide()
        self.chips = Chips()
        self.edits_bar = EditsBar()
        self.count = QLabel()
        self.count.setObjectName("dim")
        self.chip_bar = QWidget()
        self.chip_bar.setObjectName("chipBar")
        self.chip_bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.chip_bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        line = QHBoxLayout(self.chip_bar)
        line.setContentsMargins(0, 0, 16, 1)
        line.setSpacing(8)
        line.addWidget(self.chips)
        line.addWidget(self.count)

    @staticmethod
    def _menu_button(words: str, name: str) -> QToolButton:
        button = QToolButton()
        button.setText(words)
        button.setAccessibleName(name)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        return button

    def _make_middle(self) -> None:
        self.map = MapView()
        self.left = QWidget()
        self.left.setObjectName("leftPane")
        left_column = QVBoxLayout(self.left)
        left_column.setContentsMargins(0, 0, 1, 0)
        left_column.addWidget(self.map)
        self.canvas = Canvas()
        self.inspector = Inspector()
        self.inspector.hide()
        self.centre = QSplitter(Qt.Orientation.Vertical)
        self.centre.setHandleWidth(5)
        self.centre.setChildrenCollapsible(False)
        self.centre.addWidget(self.canvas)
        self.centre.addWidget(self.inspector)
        self.place_words = PlaceWords()
        self.story_bar = StoryBar()
        self.motion_bar = MotionBar()
        centre = QWidget()
        centre_column = QVBoxLayout(centre)
        centre_column.setContentsMargins(0, 0, 0, 0)
        centre_column.setSpacing(0)
        centre_column.addWidget(self.centre, 1)
        centre_column.addWidget(self.motion_bar)
        centre_column.addWidget(self.place_words)
        centre_column.addWidget(self.story_bar)
        self.probabilities = ProbabilityPanel()
        self.tabs = SideTabs()
        self.right = SidePane(self.probabilities, self.tabs)
        self.splitter = Columns(self.left, centre, self.right)
        self.lecture = Lecture(self)
        self.scrubber = Scrubber()
        self.training_bar = TrainingBar()

    def _put_together(self) -> None:
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.top_bar)
        line = QHBoxLayout()
        line.setSpacing(0)
        line.addWidget(self.trouble, 1)
        line.addWidget(self.offer)
        column.addLayout(line)
        column.addWidget(self.chip_bar)
        column.addWidget(self.edits_bar)
        column.addWidget(self.splitter, 1)
        column.addWidget(self.lecture.sentence)
        column.addWidget(self.training_bar)
        column.addWidget(self.scrubber)
        self.setCentralWidget(middle)
        self.notice = Notice(self, self.scrubber)

    def _make_actions(self) -> None:
        """Create an action for every command: for the menu, its shortcuts and its buttons."""
        menus: dict[str, QMenu] = {}
        main = QMenu(self)
        for command in COMMANDS:
            action = QAction(command.title, self)
            action.setShortcuts([QKeySequence(k) for k in command.keys])
            action.setCheckable(command.checkable)
            self.addAction(action)
            self.actions_[command.id] = action
            if command.menu not in menus:
                menus[command.menu] = main.addMenu(command.menu)
            menus[command.menu].addAction(action)
        self.menu_button.setMenu(main)
        for button, name, sign in ((self.undo, "undo", "↶"), (self.redo, "redo", "↷"), (self.themes, "theme", "◐")):
            button.setText(sign)
            button.setAccessibleName(self.actions_[name].text())
            button.setToolTip(tip_of_action(self.actions_[name]))
            button.clicked.connect(self.actions_[name].trigger)
        self.export.clicked.connect(self.actions_["export"].trigger)
        self.workspaces = WorkspaceBar(self.actions_, self.canvas)
        compared = [command for command in COMMANDS if command.id.startswith("compare_")]
        self.edits_bar.add_switches([self.actions_[c.id] for c in compared], [c.short[0] for c in compared])
        self.view_bar = ViewBar(self.actions_, self.workspaces, self.canvas)
        self.view_bar.needs_room.connect(self.canvas.make_room)
        self.canvas.resized.connect(self.view_bar.place)
