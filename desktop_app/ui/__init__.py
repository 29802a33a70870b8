"""The window: PySide6 and pyqtgraph widgets that show the state and its pass."""
