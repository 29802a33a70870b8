"""The first moment of the window: with nothing remembered, with a memory, with a damaged one."""

import json

import numpy as np
import pytest

from desktop_app.core.examples import examples
from desktop_app.core.session_file import from_json
from desktop_app.core.settings import load_settings, settings_file
from tests.ui.driver import colours, pixels


def test_the_first_start_shows_the_first_example_stepped_to_its_head(open_desk, bundled):
    desk = open_desk(bundled)
    first = examples()[0]
    assert desk.window.prompt.text() == first.text
    assert (desk.state.step, desk.state.head) == (first.step, first.head)
    assert desk.c.step.key == first.step
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(first.text).ids
    assert first.step in desk.words()
    assert colours(pixels(desk.window.canvas)) > 200
    assert not desk.trouble()
