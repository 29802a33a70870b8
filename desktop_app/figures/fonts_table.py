"""The fonts that ship with the program."""

from pathlib import Path

from desktop_app.core.program.bundle import resource

SANS, MONO = "Inter", "JetBrains Mono"

FILES = {
    (False, False): "Inter-Regular.ttf",
    (False, True): "Inter-SemiBold.ttf",
    (True, False): "JetBrainsMono-Regular.ttf",
    (True, True): "JetBrainsMono-SemiBold.ttf",
}
"""(mono, bold) -> file in resources/fonts."""

BASELINE = 0.36
"""Half the height of a capital at size 1: text is placed by the middle of its capitals."""


def font_file(mono: bool, bold: bool) -> Path:
    """The shipped file of a face."""
    return resource("fonts", FILES[mono, bold])
