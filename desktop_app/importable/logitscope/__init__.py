"""Logitscope for scripts and notebooks; see docs/scripts.md. Everything here is defined in `desktop_app.scripting`."""

from desktop_app import __version__
from desktop_app.core.analysis.attribution import Attribution
from desktop_app.core.analysis.flow import Flow
from desktop_app.core.analysis.heads import Heads, HeadsOnText
from desktop_app.core.analysis.lens import Lens
from desktop_app.core.analysis.score import Score
from desktop_app.core.analysis.what_if import Ablation, Patch
from desktop_app.core.session.state import ViewOptions
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.scripting import Figure, Model, Run, open_model

__all__ = [
    "Ablation",
    "Attribution",
    "Figure",
    "Flow",
    "Heads",
    "HeadsOnText",
    "Lens",
    "LogitscopeError",
    "Model",
    "Patch",
    "Run",
    "Score",
    "ViewOptions",
    "__version__",
    "open_model",
]
