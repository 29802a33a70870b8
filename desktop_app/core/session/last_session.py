"""The last session: saved while the program runs, so that a crash loses nothing, and opened at the next start.

It is a normal session file. One that cannot be opened at the start is moved aside, not overwritten.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_state_path

from desktop_app.core.lessons.examples import examples
from desktop_app.core.lessons.stops import claimed_state
from desktop_app.core.program.bundle import default_model
from desktop_app.core.session.session_file import load_session, save_session
from desktop_app.core.session.state import State, unplaced
from desktop_app.gpt2.errors import LogitscopeError, SessionError

log = logging.getLogger(__name__)


def last_file() -> Path:
    """The path of the last session."""
    return user_state_path("logitscope", appauthor=False) / "last.logitscope"


def aside_file() -> Path:
    """The path to which a last session is moved if it cannot be opened."""
    return last_file().with_name("not-opened.logitscope")


def load_last() -> State | None:
    """The last session; None if there is none or if it is damaged, which must not prevent the program from starting."""
    try:
        return load_session(last_file())
    except (LogitscopeError, OSError) as reason:
        if last_file().exists():
            log.warning("The last session cannot be opened: %s", reason)
        return None


def keep(state: State, path: Path | None = None) -> None:
    """Write the last session (or the file `path`) atomically. Raises SessionError."""
    path = path or last_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise SessionError(f"The session cannot be kept: {path.parent}: {reason.strerror or reason}.") from reason
    save_session(path, state)


@dataclass(frozen=True)
class Beginning:
    """The state that a window starts with. `instead` are alternatives, tried in order if its model cannot be opened."""

    state: State
    instead: tuple[State, ...]


def beginning(model: Path | None, text: str | None, *, int8: bool = False, restored: bool = True) -> Beginning:
    """The initial state: what was requested, else the last session if it is to be restored, else the first example.

    If the model cannot be opened, a given `text` is shown with the bundled model. Without a text, the alternatives are
    the last session with its model, then the first example. The last session's text is never shown with the bundled
    model, because the numbers would be those of another model.
    """
    left = load_last() if restored else None
    bundled = str(default_model())
    # The first start shows the whole pass, with the example's place marked on it.
    example = replace(claimed_state(examples()[0]), model=bundled, workspace="sheet")
    last = example if left is None or not (left.text or left.appended) else left
    last = replace(last, model=last.model or bundled, int8=False)
    # A requested text is not shown at the first example's place.
    first = last if text is None else _with_text(left or State(model=bundled), text)
    first = replace(first, model=first.model if model is None else str(model), int8=int8)
    others = (last, example) if text is None else (replace(first, model=bundled, int8=False),)
    return Beginning(first, tuple(other for other in others if other.model != first.model))


def _with_text(state: State, text: str) -> State:
    return replace(unplaced(state), text=text, appended=(), start=None, space=None, draws=0)
