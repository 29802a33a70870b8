"""The window: PySide6 and pyqtgraph over state and trace."""
