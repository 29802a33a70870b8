"""Tells a story in the window: goes from stop to stop, hides numbers asked for, and checks answers against the pass."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop_app.core.lessons.questions import Verdict, grade, truth_of
from desktop_app.core.lessons.stops import Stop, open_in
from desktop_app.core.lessons.stories import Story, find_story
from desktop_app.core.library.find import find_model
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.lessons.story_bar import StoryBar


class Telling(QObject):
    """The state holds the story and the stop. Answered questions are stored here while the story is told."""

    said = Signal(str)
    changed = Signal()  # other numbers are hidden now than before

    def __init__(self, controller: Controller, bar: StoryBar) -> None:
        super().__init__(bar)
        self._controller, self._bar = controller, bar
        self._story: Story | None = None
        self._misses: dict[int, str] = {}  # stop -> the reply after a wrong answer
        self._verdicts: dict[int, str] = {}  # stop -> the reply that ended its question
        self._in_lecture = False
        self.covering = False
        """Whether the user has hidden the view's numbers."""
        bar.command.connect(self.do)
        bar.answered.connect(self.answer)

    @property
    def story(self) -> Story | None:
        """The story that the state names; None if it names none, or if the story cannot be read any more."""
        name = self._controller.state.story
        if not name:
            return None
        if self._story is None or self._story.name != name:
            try:
                self._story = find_story(name)
            except LogitscopeError as reason:
                self.said.emit(str(reason))
                self._controller.set(replace(self._controller.state, story="", stop=0))
                return None
            self._misses, self._verdicts = {}, {}
        return self._story

    @property
    def number(self) -> int:
        """The number of the current stop."""
        return 0 if self._story is None else min(self._controller.state.stop, len(self._story.stops) - 1)

    @property
    def stop(self) -> Stop | None:
        """The current stop."""
        story = self.story
        return None if story is None else story.stops[self.number]

    def is_here(self, state: State) -> bool:
        """Whether the screen shows the current stop, apart from sliders and draws."""
        stop = self.stop
        model = self._controller.model
        if stop is None or model is None:
            return False
        opened = replace(open_in(stop, state), draws=state.draws, sampling=state.sampling)
        return opened == state and _folder(stop) == str(model.folder)

    @property
    def covered(self) -> bool:
        """Whether the numbers of the view are hidden, by an unanswered question or by the user."""
        return self.covering or self._is_asking

    @property
    def _is_asking(self) -> bool:
        """Whether the screen shows a stop whose question is not answered yet."""
        stop = self.stop
        asked = stop is not None and stop.question is not None and self.number not in self._verdicts
        return asked and self.is_here(self._controller.state)

    def begin(self, story: Story, number: int = 0) -> None:
        """Tell a story, starting from stop `number`."""
        self._story, self._misses, self._verdicts = story, {}, {}
        self.go_to(number)

    def show_draft(self, story: Story, number: int) -> None:
        """Show a stop of a story that is still being written, without starting to tell it."""
        stop = story.stops[number]
        if (folder := _folder(stop)) is not None:
            self._show(replace(open_in(stop, self._controller.state), model=folder))

    def go_to(self, number: int) -> None:
        """Show a stop in the model that it belongs to."""
        story = self._story
        if story is None or not 0 <= number < len(story.stops):
            return
        stop, state = story.stops[number], self._controller.state
        wanted = replace(open_in(stop, state), story=story.name, stop=number)
        folder = _folder(stop)
        if folder is None:
            self.said.emit(f"This stop is about {stop.model}, which is not on this machine; get it under Models.")
            self._controller.set(replace(state, story=story.name, stop=number))
        else:
            self._show(replace(wanted, model=folder))

    def _show(self, state: State) -> None:
        """Go to a state; if it needs another model, open that first."""
        if state.model != self._controller.state.model:
            self._controller.open_model(Path(state.model), state)
        else:
            self._controller.set(state)

    def do(self, name: str) -> None:
        """Execute a command of the story bar: next or previous stop, back to this one, close, or reveal the answer."""
        if self.story is None:
            return
        if name == "story_next" and self._in_lecture and self._is_asking:
            self._reveal()  # a presenter's remote has no other key for it
        elif name == "story_next":
            self.go_to(self.number + 1)
        elif name == "story_previous":
            self.go_to(self.number - 1)
        elif name == "story_back":
            self.go_to(self.number)
        elif name == "story_close":
            self._controller.set(replace(self._controller.state, story="", stop=0))
        elif name == "story_reveal":
            self._reveal()

    # Questions

    def answer(self, answer: int | str) -> None:
        """Check an answer against the pass; a hint follows the first wrong answer, the solution the second."""
        stop, scene, model = self.stop, self._controller.scene, self._controller.model
        if stop is None or stop.question is None or scene is None or model is None or self.number in self._verdicts:
            return
        try:
            verdict = grade(stop.question, answer, model, scene)
        except LogitscopeError as reason:
            verdict = Verdict(False, str(reason))
        said = repr(answer.strip()) if isinstance(answer, str) else self._answer_words(stop, scene, int(answer))
        if verdict.right:
            self._verdicts[self.number] = f"Right: {said}. {verdict.truth}"
        elif self.number in self._misses:
            self._verdicts[self.number] = f"You said {said}. {verdict.truth}"
        else:
            self._misses[self.number] = f"Not {said}. {stop.question.nudge or 'Try again, or reveal the answer.'}"
        self.changed.emit()

    @staticmethod
    def _answer_words(stop: Stop, scene: Scene, answer: int) -> str:
        assert stop.question is not None
        if stop.question.choices:
            return repr(stop.question.choices[answer].say)
        return f"{scene.labels[answer]} (position {answer})"

    def _reveal(self) -> None:
        stop, scene, model = self.stop, self._controller.scene, self._controller.model
        if stop is None or stop.question is None or scene is None or model is None:
            return
        try:
            self._verdicts[self.number] = truth_of(stop.question, model, scene)[1]
        except LogitscopeError as reason:
            self._verdicts[self.number] = str(reason)
        self.changed.emit()

    # Display

    def show(self, *, in_lecture: bool) -> None:
        """Update the bar from the state."""
        self._in_lecture = in_lecture
        story, state = self.story, self._controller.state
        if story is None or in_lecture:
            self._bar.hide()
            return
        here = self.is_here(state)
        question = story.stops[self.number].question if here else None
        done = self.number in self._verdicts
        self._bar.show_stop(story, self.number, here=here, asking=question is not None and not done)
        words = self._verdicts.get(self.number) or self._misses.get(self.number, "")
        self._bar.show_question(question, words if question is not None else "", done=done)

    def words(self) -> str:
        """The words shown in lecture mode: the stop's sentence, or its question while that is not answered."""
        stop = self.stop
        if stop is None or not self.is_here(self._controller.state):
            return ""
        if stop.question is None:
            return stop.say
        return stop.say if self.number in self._verdicts else stop.question.ask


def _folder(stop: Stop) -> str | None:
    try:
        return str(find_model(stop.model))
    except LogitscopeError:
        return None  # the model is not on this machine; the caller reports that
