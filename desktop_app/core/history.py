"""Undo and redo: one entry a word or a drag, over what makes the result; and the way one has walked through steps."""

from dataclasses import replace

from desktop_app.core.state import UNDOABLE, UNDOABLE_OPTIONS, State, unplaced, with_option

_LIMIT = 500


class History:
    """Two stacks of states. Changes that carry the same `key` in a row are one entry."""

    def __init__(self) -> None:
        self._past: list[State] = []
        self._future: list[State] = []
        self._key: object = None

    def record(self, before: State, after: State, key: object = None) -> None:
        """Remember `before`, unless nothing undoable changed or this goes on the change recorded last."""
        if _same_result(before, after):
            return
        self._future.clear()
        if key is None or key != self._key or not self._past:
            self._past.append(before)
            del self._past[:-_LIMIT]
        elif _same_result(self._past[-1], after):
            # Dragged back to where it was: an entry that changes nothing would make undo look broken.
            self._past.pop()
            key = None
        self._key = key

    def close_entry(self) -> None:
        """The next change starts an entry of its own (a slider was let go, a word ended)."""
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
        """The state before the last entry, looked at from where one is now."""
        return self._swap(now, self._past, self._future)

    def redo(self, now: State) -> State:
        """The state that undo took back."""
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
    """Where one looks: workspace, step, block, head, what is opened, and whether all heads or one are shown."""
    return (*(getattr(state, name) for name in _PLACE), state.view.heads)


class Walk:
    """Where one has been, for going back and forward."""

    def __init__(self) -> None:
        self._places: list[tuple[object, ...]] = []
        self._at = -1

    def visit(self, state: State) -> None:
        """Remember the place; what was ahead is forgotten."""
        place = place_of(state)
        if self._at >= 0 and self._places[self._at] == place:
            return
        del self._places[self._at + 1 :]
        self._places.append(place)
        del self._places[:-_LIMIT]
        self._at = len(self._places) - 1

    def go(self, by: int, now: State) -> State:
        """The state at the place `by` steps along the walk, or the same at its ends."""
        at = self._at + by
        if not 0 <= at < len(self._places):
            return now
        self._at = at
        *place, heads = self._places[at]
        now = with_option(now, "heads", heads)
        return replace(now, **dict(zip(_PLACE, place, strict=True)))  # type: ignore[arg-type] # State's own


def typing_key(before: str, after: str) -> object:
    """The undo key of an edit: the letters of a word typed (or deleted) one by one belong together, with the space
    behind it; a paste, or anything else of several characters, is an entry of its own.
    """
    grown = len(after) - len(before)
    if abs(grown) != 1:
        return None
    longer, shorter = (after, before) if grown > 0 else (before, after)
    at = next((n for n, (a, b) in enumerate(zip(longer, shorter, strict=False)) if a != b), len(shorter))
    if longer[at + 1 :] != shorter[at:]:
        return None
    return "typing" if grown > 0 else "deleting", len(longer[: at + 1].split())
