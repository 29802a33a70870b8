"""Logitscope: a desktop microscope for GPT-2."""

from desktop_app.switches import set_switches

__version__ = "0.2.0"

set_switches()
