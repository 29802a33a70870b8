"""Figures: views laid out and painted as marks, and marks written as SVG, PDF or PNG. Never imports Qt."""

import logging

# matplotlib's font search reports on standard error which weight it took for a fallback face. The faces are chosen and
# measured in figures.fonts, so a command that draws a figure has nothing to add to what it says itself.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
