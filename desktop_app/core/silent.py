"""Silent neurons: neurons so far below zero before the activation that almost nothing passes through it."""

import numpy as np

from desktop_app.core.levels import Levels, diverging
from desktop_app.core.panels import Array
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase

_SILENT = 1e-3


def is_silent(config: Config, pre: Array) -> Array:
    """True where a value is negative and less than a thousandth of it passes through the activation."""
    passed = ACTIVATIONS[config.activation].compute(np.asarray(pre, np.float32))
    return np.asarray((pre < 0) & (np.abs(passed) < _SILENT * np.abs(pre)))


def heard_limits(heard: Array, everything: tuple[Array, ...], rule: str) -> Levels:
    """Colour limits of `everything`, or of `heard` (not silent) alone if silent neurons would more than double them."""
    whole = diverging(*everything, rule=rule)
    if not heard.size or heard.size == everything[0].size:
        return whole
    own = diverging(heard, rule=Phrase("{1}, without silent neurons", rule))
    return own if 2 * own.high < whole.high else whole
