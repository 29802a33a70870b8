"""Figures: views laid out and painted as marks, which are written as SVG, PDF or PNG. Never imports Qt."""

import logging

# matplotlib's font search reports on standard error which weight it took for a fallback font. Fonts are chosen and
# measured in figures.fonts, so that report would only be noise in a command that draws a figure.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
