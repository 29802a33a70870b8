"""Whether travel over the sheet and operations are animated: not if the system asks for less motion."""

from functools import cache

from desktop_app.gpt2.system import asks_for_less_motion

FRAME_MS = 16


@cache
def moves() -> bool:
    """Whether motion is wanted; asked once, since asking may take a system call."""
    return not asks_for_less_motion()
