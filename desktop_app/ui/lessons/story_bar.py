"""The bar of the story that is told: the current stop's sentences, a question, and buttons to go on and back."""

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop_app.core.lessons.questions import CHOICE, LOOK, NEXT, Question
from desktop_app.core.lessons.stories import Story
from desktop_app.ui.parts.buttons import push, tool


class StoryBar(QWidget):
    """Lies under the view and does not cover it. Emits `command` for a pressed button, `answered` for an answer."""

    command = Signal(str)
    answered = Signal(object)  # a token's text, or the index of a choice

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("placeWords")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 6, 12, 8)
        column.setSpacing(4)
        top = QHBoxLayout()
        top.setSpacing(8)
        self.heading = _label("storyHeading", wrap=False)
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.back = _button("Back to the stop", "Show the story's stop again", "story_back", self.command)
        self.previous = _tool("◀", "Previous stop (PgUp)", "story_previous", self.command)
        self.next = _tool("▶", "Next stop (PgDown)", "story_next", self.command)
        self.close_button = _tool("✕", "Leave the story", "story_close", self.command)
        top.addWidget(self.heading, 1)
        for button in (self.back, self.previous, self.next, self.close_button):
            top.addWidget(button)
        column.addLayout(top)
        self.say, self.look_for = _label(), _label("dim")
        self.ask, self.verdict = _label("storyQuestion"), _label()
        column.addWidget(self.say)
        column.addWidget(self.look_for)
        column.addWidget(self.ask)
        self._answers = QHBoxLayout()
        self._answers.setSpacing(6)
        self.guess = QLineEdit()
        self.guess.setPlaceholderText("a word …")
        self.guess.setAccessibleName("Your guess")
        self.guess.setMaximumWidth(220)
        self.guess.returnPressed.connect(self._say_guess)
        self.reveal = _button("Reveal", "Show the answer and uncover the view", "story_reveal", self.command)
        self.choices: list[QPushButton] = []
        self._answers.addWidget(self.guess)
        self._answers.addWidget(self.reveal)
        self._answers.addStretch(1)
        column.addLayout(self._answers)
        column.addWidget(self.verdict)
        self._question: Question | None = None
        self.hide()

    def show_stop(self, story: Story, number: int, *, here: bool, asking: bool) -> None:
        """Show a stop by its index; `here` says whether the screen shows that stop.

        While it is `asking` a question, the stop's words are hidden.
        """
        stop = story.stops[number]
        self.heading.setText(f"{story.title}  ·  {number + 1} of {len(story.stops)}  ·  {stop.title}")
        for label, words in ((self.say, stop.say), (self.look_for, stop.look_for)):
            label.setText(words)
            label.setVisible(here and bool(words) and not asking)
        self.back.setVisible(not here)
        self.previous.setEnabled(number > 0)
        self.next.setEnabled(number + 1 < len(story.stops))
        self.show()

    def show_question(self, question: Question | None, verdict: str, *, done: bool) -> None:
        """Ask a question, or none. `verdict` is the reply to the answers so far; `done` says that it is answered."""
        asking = question is not None and not done
        how = " Click a token of the text above." if question is not None and asking and question.kind == LOOK else ""
        self.ask.setText("" if question is None else question.ask + how)
        self.ask.setVisible(question is not None)
        self.verdict.setText(verdict)
        self.verdict.setVisible(bool(verdict))
        self.reveal.setVisible(asking)
        self.guess.setVisible(asking and question is not None and question.kind == NEXT)
        if question != self._question:
            self._question = question
            self.guess.clear()
            self._make_choices(question)
        for choice in self.choices:
            choice.setVisible(asking)

    def _make_choices(self, question: Question | None) -> None:
        for old in self.choices:
            self._answers.removeWidget(old)
            old.deleteLater()
        self.choices = []
        for n, choice in enumerate(question.choices if question is not None and question.kind == CHOICE else ()):
            button = QPushButton(choice.say.replace("&", "&&"))
            button.clicked.connect(lambda _on=False, n=n: self.answered.emit(n))
            self._answers.insertWidget(n, button)
            self.choices.append(button)

    def _say_guess(self) -> None:
        if self.guess.text().strip():
            self.answered.emit(self.guess.text())

    @property
    def asks_for_look(self) -> bool:
        """Whether the question is answered by choosing one of the text's tokens."""
        return self._question is not None and self._question.kind == LOOK and not self.reveal.isHidden()


def _label(name: str = "", *, wrap: bool = True) -> QLabel:
    label = QLabel()
    if name:
        label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    return label


def _button(words: str, tip: str, command: str, signal: SignalInstance) -> QPushButton:
    button = push(words, tip)
    button.clicked.connect(lambda: signal.emit(command))
    return button


def _tool(words: str, tip: str, command: str, signal: SignalInstance) -> QToolButton:
    button = tool(words, tip, small=True)
    button.clicked.connect(lambda: signal.emit(command))
    return button
