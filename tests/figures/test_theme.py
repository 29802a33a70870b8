"""Colours: text is readable on every background, scales are even, and their ends differ for the colour-blind."""

from itertools import product

import numpy as np
import pytest

from desktop_app.core.panels import Hue
from desktop_app.figures.theme import THEMES, contrast, luminance, mix, rgb, words_on

THEME = list(THEMES.values())
NAMES = list(THEMES)
# Machado, Oliveira and Fernandes 2009, severity 1.0, for linear RGB.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colours):
    c = np.asarray(colours, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lightness(colours):
    """CIE L*, from 0 to 100."""
    y = linear(colours) @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def seen(colours, kind):
    return (linear(colours) @ np.array(BLIND[kind]).T).clip(0, 1)


def test_contrast_is_that_of_the_web_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ff0000", "#0000ff") == pytest.approx(2.15, abs=0.01)
    assert luminance("#ffffff") == pytest.approx(1)


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
def test_ink_and_dim_can_be_read_on_background_and_panel(theme):
    for words, ground in product((theme.ink, theme.dim), (theme.background, theme.panel)):
        assert contrast(words, ground) >= 4.5


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
def test_words_in_any_hue_can_be_read(theme):
    for colour in (theme.accent, theme.dim, theme.ink, *theme.hues.values()):
        for ground in (theme.background, theme.panel, theme.accent_fill):
            assert contrast(theme.words(colour), ground) >= 4.5
    assert theme.words(theme.ink) == theme.ink


def test_black_or_white_can_be_read_on_any_colour():
    for channels in product(range(0, 256, 15), repeat=3):
        colour = "#{:02x}{:02x}{:02x}".format(*channels)
        assert contrast(words_on(colour), colour) >= 4.5


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
def test_sequential_tables_go_one_way_in_lightness_and_evenly(theme):
    steps = np.diff(lightness(theme.table(diverging=False)))
    steps = -steps if steps.sum() < 0 else steps
    assert (steps >= -0.02).all()  # rounding to a byte allows this much
    assert steps.sum() > 60
    quarters = [part.sum() for part in np.array_split(steps, 4)]
    assert min(quarters) > 0.4 * max(quarters)


def test_in_print_every_table_goes_one_way_in_grey():
    """A greyscale copy keeps the order of the numbers, sign included, and no end of a scale looks like a gap."""
    theme = THEMES["print"]
    for diverging in (True, False):
        light = lightness(theme.table(diverging))
        steps = np.diff(light) * (1 if diverging else -1)
        assert (steps >= -0.02).all()
        quarters = [part.sum() for part in np.array_split(steps, 4)]
        assert min(quarters) > 0.5 * max(quarters)
        assert light.max() - light.min() > 70
    light = lightness(theme.table(diverging=True))
    assert abs(light[-1] - lightness(rgb(theme.void))) > 4
    assert abs(light[127] - (light[0] + light[-1]) / 2) < 6  # zero is halfway


@pytest.mark.parametrize("theme", [t for t in THEME if t.name != "print"], ids=lambda t: t.name)
def test_diverging_tables_are_symmetric_in_lightness_about_their_middle(theme):
    light = lightness(theme.table(diverging=True))
    middle = light[127]
    outward = light[128:] - middle, light[127::-1] - middle
    sign = np.sign(outward[0][-1])
    for side in outward:
        assert (np.diff(side) * sign >= -0.02).all()
        assert abs(side[-1]) > 40
    assert np.abs(outward[0] - outward[1]).max() < 12


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
@pytest.mark.parametrize("kind", BLIND)
def test_positive_and_negative_differ_for_every_eye(theme, kind):
    table = theme.table(diverging=True)
    for distance in (20, 60, 127):
        low, high = seen(table[127 - distance], kind), seen(table[128 + distance], kind)
        assert np.linalg.norm(np.cbrt(low) - np.cbrt(high)) > 0.1


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
def test_the_middle_of_a_diverging_table_is_nearly_the_page(theme):
    table = theme.table(diverging=True)
    if theme.name != "print":  # where lightness shows the sign
        assert abs(lightness(table[127]) - lightness(rgb(theme.background))) < 12
    assert np.ptp(table[127].astype(int)) < 10  # nearly grey
    assert abs(lightness(theme.table(diverging=False)[0]) - lightness(rgb(theme.background))) < 12


@pytest.mark.parametrize("theme", THEME, ids=NAMES)
def test_every_hue_has_a_colour_that_stands_out_and_none_is_used_twice(theme):
    assert set(theme.hues) == set(Hue)
    assert all(contrast(colour, theme.background) >= 3 for colour in theme.hues.values())
    assert len(set(theme.hues.values())) == len(Hue)
    assert all(contrast(colour, theme.background) >= 1.15 for colour in (theme.line, theme.faint))


def test_mixing_goes_from_one_colour_to_the_other():
    assert mix("#ff0000", "#0000ff", 1) == "#ff0000"
    assert mix("#ff0000", "#0000ff", 0) == "#0000ff"
    assert mix("#000000", "#ffffff", 0.5) == "#808080"
