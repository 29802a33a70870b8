"""Progress of a command on standard error."""

import sys

from desktop_app.cli.shared import say, shown


class ProgressLine:
    """One line that is updated in place on a terminal; elsewhere a new line every 10%, or none with `live_only`.

    At the end, the line is cleared from the terminal unless `stay` is set.
    """

    def __init__(self, *, stay: bool = False, live_only: bool = False) -> None:
        self._live, self._stay, self._live_only = sys.stderr.isatty(), stay, live_only
        self._tenth, self._width = 0, 0

    def __enter__(self) -> "ProgressLine":
        return self

    def show(self, words: str, share: float = 0.0, *, at_once: bool = False) -> None:
        """Show the words and the fraction done, from 0 to 1; `at_once` prints a new line even within the same 10%."""
        if self._live:
            line = f"logitscope: {shown(words)}"
            print(f"\r{line:{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        elif not self._live_only and (at_once or int(10 * share) > self._tenth):
            self._tenth = int(10 * share)
            say(words)

    def __exit__(self, *_reason: object) -> None:
        if self._live and self._width:
            print("" if self._stay else f"\r{'':{self._width}}\r", end="\n" if self._stay else "", file=sys.stderr)
