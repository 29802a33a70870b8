"""Undo and redo of fields of the state, one entry per word or drag; and the history of visited places."""

from dataclasses import replace

from desktop_app.core.session.state import UNDOABLE, UNDOABLE_OPTIONS, State, shared_beginning, unplaced, with_option

_LIMIT = 500


class History:
    """Two stacks of states. Consecutive changes with the same `key` form one entry."""

    def __init__(self) -> None:
        self._past: list[State] = []
        self._future: list[State] = []
        self._key: object = None

    def record(self, before: State, after: State, key: object = None) -> None:
        """Store `before`, unless no undoable field changed or `key` continues the last entry."""
        if _same_result(before, after):
            return
        self._future.clear()
        if key is None or key != self._key or not self._past:
            self._past.append(before)
            del self._past[:-_LIMIT]
        elif _same_result(self._past[-1], after):
            # A slider was dragged back to its start: an undo entry that changes nothing would look like a fault.
            self._past.pop()
            key = None
        self._key = key

    def close_entry(self) -> None:
        """Make the next change start a new entry, because a slider was released or a word ended."""
        self._key = None

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self._future)

    def undo(self, now: State) -> State:
        """The state before the last entry, but at the current place."""
        return self._swap(now, self._past, self._future)

    def redo(self, now: State) -> State:
        """The state before the last undo, but at the current place."""
        return self._swap(now, self._future, self._past)

    def _swap(self, now: State, source: list[State], target: list[State]) -> State:
        self._key = None
        if not source:
            return now
        target.append(now)
        then = source.pop()
        view = replace(now.view, **{f: getattr(then.view, f) for f in UNDOABLE_OPTIONS})
        if now.asked != then.asked:
            now = unplaced(now)
        return replace(now, view=view, **{f: getattr(then, f) for f in UNDOABLE})


def _same_result(one: State, other: State) -> bool:
    same_view = all(getattr(one.view, f) == getattr(other.view, f) for f in UNDOABLE_OPTIONS)
    return same_view and all(getattr(one, f) == getattr(other, f) for f in UNDOABLE)


_PLACE = ("workspace", "step", "layer", "head", "opened")


def place_of(state: State) -> tuple[object, ...]:
    """The place that is viewed: workspace, step, block, head, opened cells, and whether all heads or one are shown."""
    return (*(getattr(state, name) for name in _PLACE), state.view.heads)


class Walk:
    """The visited places, for going back and forward."""

    def __init__(self) -> None:
        self._places: list[tuple[object, ...]] = []
        self._at = -1

    def visit(self, state: State) -> None:
        """Remember the place, and forget those that going forward would lead to."""
        place = place_of(state)
        if self._at >= 0 and self._places[self._at] == place:
            return
        del self._places[self._at + 1 :]
        self._places.append(place)
        del self._places[:-_LIMIT]
        self._at = len(self._places) - 1

    def go(self, by: int, now: State) -> State:
        """The state at the place `by` entries along the history; unchanged at its ends."""
        at = self._at + by
        if not 0 <= at < len(self._places):
            return now
        self._at = at
        *place, heads = self._places[at]
        now = with_option(now, "heads", heads)
        return replace(now, **dict(zip(_PLACE, place, strict=True)))  # type: ignore[arg-type] # State's own


def typing_key(before: str, after: str) -> object:
    """The undo key for a change of the text.

    The letters of a word that are typed (or deleted) one by one form one entry, together with the space after it. A
    paste, or any other change of several characters, is a separate entry.
    """
    grown = len(after) - len(before)
    if abs(grown) != 1:
        return None
    longer, shorter = (after, before) if grown > 0 else (before, after)
    at = shared_beginning(longer, shorter)
    if longer[at + 1 :] != shorter[at:]:
        return None
    return "typing" if grown > 0 else "deleting", len(longer[: at + 1].split())
