"""The icon's pictures are those that the drawings next to them give, in the sizes that a desktop needs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from desktop_app.core.program.bundle import resource
from desktop_app.figures.theme import THEMES, contrast
from desktop_app.ui.icon import SIZES, window_icon

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "icons.py"


def pixels(image):
    """Red, green, blue, alpha of a picture [y, x, 4]."""
    image = image.convertToFormat(QImage.Format.Format_RGBA8888)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).astype(int)


@pytest.mark.parametrize("name", [*map(str, SIZES), "chevron", "tick-light", "tick-dark"])
def test_a_picture_is_what_its_drawing_gives(qapp, name, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    spec = importlib.util.spec_from_file_location("icons", SCRIPT)
    icons = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(icons)
    size, file = (int(name), f"logitscope-{name}.png") if name.isdigit() else (32, f"{name}.png")
    drawing = icons.DRAWINGS.get(size, "logitscope.svg") if name.isdigit() else f"{name}.svg"
    found = QImage(str(resource("icons", file)))
    assert (found.width(), found.height()) == (size, size)
    # Another version of Qt may antialias edges differently.
    assert np.abs(pixels(found) - pixels(icons.drawn(drawing, size))).mean() < 2, "run: python packaging/icons.py"


def test_the_icon_stands_out_from_light_and_dark_panels_at_every_size():
    for size in SIZES:
        middle = pixels(QImage(str(resource("icons", f"logitscope-{size}.png"))))[size // 2]
        solid = middle[middle[:, 3] == 255]
        assert len(solid) > 0.8 * size
        edge = "#{:02x}{:02x}{:02x}".format(*solid[0][:3])
        assert min(contrast(edge, THEMES[theme].background) for theme in ("light", "dark")) > 2


def test_a_window_has_the_icon_in_every_size(qapp):
    assert {size.width() for size in window_icon().availableSizes()} == set(SIZES)
    assert not qapp.windowIcon().isNull()
