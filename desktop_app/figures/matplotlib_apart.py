"""Imports matplotlib in a thread of its own; to be imported before matplotlib.

matplotlib's import parses grammars with pyparsing, whose failed attempts leave exceptions in reference cycles. Their
tracebacks hold every frame of the stack, down to the function that first draws a figure, and so the pass that it draws
and its model, until Python searches for cycles. The stack of a new thread holds nothing.
"""

from importlib import import_module
from threading import Thread

_thread = Thread(target=import_module, args=("matplotlib.font_manager",), name="import matplotlib")
_thread.start()
_thread.join()
