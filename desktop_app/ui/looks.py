"""A theme for Qt: an explicit palette and one style sheet, because style hints have no effect on some platforms."""

from PySide6.QtGui import QColor, QPalette

from desktop_app.core.program.bundle import resource
from desktop_app.figures.fonts_table import MONO, SANS
from desktop_app.figures.theme import Theme, mix


def palette(theme: Theme) -> QPalette:
    """Every colour role that widgets use."""
    made = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.background,
        QPalette.ColorRole.WindowText: theme.ink,
        QPalette.ColorRole.Base: theme.panel,
        QPalette.ColorRole.AlternateBase: theme.background,
        QPalette.ColorRole.Text: theme.ink,
        QPalette.ColorRole.PlaceholderText: theme.dim,
        QPalette.ColorRole.Button: theme.panel,
        QPalette.ColorRole.ButtonText: theme.ink,
        QPalette.ColorRole.ToolTipBase: theme.panel,
        QPalette.ColorRole.ToolTipText: theme.ink,
        QPalette.ColorRole.Highlight: theme.accent,
        QPalette.ColorRole.HighlightedText: theme.background,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.Mid: theme.line,
    }
    for role, colour in roles.items():
        made.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return made


def style_sheet(theme: Theme, scale: float, *, tight: bool = False) -> str:
    """The widgets' style sheet; sizes in pixels at this type size, rows closer together if `tight`."""

    def px(size: float) -> str:
        return f"{round(size * scale)}px"

    def icon(name: str) -> str:
        return resource("icons", f"{name}.png").as_posix()

    button, line, field, slider, tab = (14, 18, 0, 18, 2) if tight else (18, 22, 2, 22, 6)
    hover = mix(theme.accent, theme.panel, 0.10)
    return f"""
    * {{ font-family: "{SANS}"; font-size: {px(13)}; }}
    QWidget {{ color: {theme.ink}; }}
    QMainWindow, QDialog {{ background: {theme.background}; }}
    QDialogButtonBox, QMessageBox {{ dialogbuttonbox-buttons-have-icons: 0; button-layout: 3; }}
    #topBar, #chipBar, #bottomBar, #leftPane, #rightPane {{ background: {theme.panel}; }}
    #topBar, #chipBar {{ border-bottom: 1px solid {theme.line}; }}
    #bottomBar {{ border-top: 1px solid {theme.line}; }}
    #leftPane {{ border-right: 1px solid {theme.line}; }}
    #rightPane {{ border-left: 1px solid {theme.line}; }}
    #placeWords {{ background: {theme.accent_fill}; border-top: 1px solid {theme.accent}; }}
    #heading {{ font-weight: 600; }}
    #dim {{ color: {theme.dim}; font-size: {px(12)}; }}
    QTextBrowser {{ background: {theme.panel}; border: none; }}
    #warning {{ color: {theme.accent}; font-size: {px(12)}; }}
    #trouble {{ background: {theme.accent_fill}; color: {theme.ink}; padding: {px(6)} {px(12)};
                border-bottom: 1px solid {theme.accent}; }}
    QPlainTextEdit, QLineEdit, QSpinBox, QDoubleSpinBox {{
        background: {theme.panel}; border: 1px solid {theme.line}; border-radius: {px(7)};
        padding: {px(4)} {px(8)}; selection-background-color: {theme.accent};
        selection-color: {theme.background}; }}
    QPlainTextEdit#prompt {{ font-size: {px(15)}; }}
    QLineEdit#small {{ font-size: {px(11)}; padding: {px(1)} {px(4)}; min-height: {px(14)}; border-radius: {px(5)}; }}
    QSpinBox, QDoubleSpinBox {{ padding: {px(field)} {px(4)}; border-radius: {px(5)}; }}
    QPlainTextEdit:focus, QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus {{ border: 1px solid {theme.accent}; }}
    QPushButton, QToolButton {{
        background: {theme.panel}; border: 1px solid {theme.line}; border-radius: {px(7)};
        padding: {px(3 if tight else 5)} {px(11)}; min-height: {px(button)}; }}
    QPushButton:hover, QToolButton:hover {{ background: {hover}; }}
    QPushButton:focus, QToolButton:focus {{ border: 1px solid {theme.accent}; }}
    QPushButton:checked, QToolButton:checked {{ background: {theme.accent_fill}; border: 1px solid {theme.accent}; }}
    QPushButton:disabled, QToolButton:disabled {{ color: {theme.faint}; }}
    QPushButton#primary {{ background: {theme.ink}; color: {theme.background}; border: 1px solid {theme.ink}; }}
    QPushButton#primary:disabled {{ background: {theme.faint}; border-color: {theme.faint}; }}
    QPushButton#primary:focus {{ border: 1px solid {theme.accent}; }}
    #topBar QToolButton, #topBar QPushButton {{ min-height: {px(line)}; max-height: {px(line)}; }}
    QToolButton#small {{ font-size: {px(11)}; padding: {px(1)} {px(3)}; min-height: {px(14)};
                          border-radius: {px(5)}; }}
    #editsBar, #editsInside, #editsArea {{ background: {theme.accent_fill}; border: none; }}
    #editsBar {{ border-bottom: 1px solid {theme.accent}; }}
    QPushButton#editChip {{ font-family: "{MONO}"; font-size: {px(11)}; color: {theme.dim}; padding: {px(1)} {px(9)};
                            min-height: {px(16)}; border: 1px dashed {theme.faint}; border-radius: {px(9)}; }}
    QPushButton#editChip:checked {{ color: {theme.ink}; background: {theme.panel}; border: 1px solid {theme.accent}; }}
    QPushButton#editChip:focus {{ border: 2px solid {theme.accent}; }}
    QToolButton#tab {{ font-size: {px(12)}; background: transparent; color: {theme.dim}; border: none; border-radius: 0;
                        border-bottom: 2px solid transparent; padding: {px(1)} {px(4)}; min-height: {px(14)}; }}
    QToolButton#tab:hover, QToolButton#tab:focus {{ color: {theme.ink}; border-bottom: 2px solid {theme.line}; }}
    QToolButton#tab:disabled {{ color: {theme.faint}; }}
    QToolButton#tab:checked {{ color: {theme.ink}; font-weight: 600; border-bottom: 2px solid {theme.accent}; }}
    QToolButton::menu-indicator {{ image: none; width: 0; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {theme.line}; }}
    QTabBar {{ qproperty-drawBase: 0; background: transparent; }}
    QTabBar::tab {{ background: transparent; color: {theme.dim}; padding: {px(tab)} {px(2)}; margin-right: {px(16)};
                    border: none; border-bottom: 2px solid transparent; }}
    QTabBar::tab:selected {{ color: {theme.ink}; font-weight: 600; border-bottom: 2px solid {theme.accent}; }}
    QSlider::groove:horizontal {{ height: {px(4)}; background: {theme.line}; border-radius: {px(2)}; }}
    QSlider {{ background: transparent; min-height: {px(slider)}; }}
    QSlider::add-page:horizontal {{ background: {theme.line}; border-radius: {px(2)}; }}
    QSlider::sub-page:horizontal {{ background: {theme.accent}; border-radius: {px(2)}; }}
    QSlider::handle:horizontal {{ width: {px(14)}; height: {px(14)}; margin: -{px(6)} 0;
        border-radius: {int(7 * scale)}px;
        background: {theme.panel}; border: 1.5px solid {theme.accent}; }}
    QSlider::handle:horizontal:focus {{ background: {theme.accent_fill}; }}
    QSlider::sub-page:horizontal:disabled {{ background: {theme.faint}; }}
    QSlider::handle:horizontal:disabled {{ border-color: {theme.faint}; }}
    QMenu {{ background: {theme.panel}; border: 1px solid {theme.line}; padding: {px(4)}; }}
    QMenu::item {{ padding: {px(5)} {px(22)}; border-radius: {px(4)}; }}
    QMenu::item:selected {{ background: {theme.accent_fill}; color: {theme.ink}; }}
    QMenu::item:disabled {{ color: {theme.faint}; }}
    QMenu::separator {{ height: 1px; background: {theme.line}; margin: {px(4)} {px(8)}; }}
    QToolTip {{ background: {theme.panel}; color: {theme.ink}; border: 1px solid {theme.line}; padding: {px(4)}; }}
    QScrollBar:vertical {{ background: transparent; width: {px(10)}; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: {px(10)}; margin: 0; }}
    QScrollBar::handle {{ background: {theme.line}; border-radius: {px(4)};
                          min-height: {px(24)}; min-width: {px(24)}; }}
    QScrollBar::handle:disabled {{ background: transparent; }}
    QScrollBar::handle:hover {{ background: {theme.faint}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QListView {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: {px(7)}; outline: none; }}
    QListView::item {{ padding: {px(5)}; }}
    QListView::item:disabled {{ color: {theme.faint}; font-style: italic; }}
    QListView::item:selected {{ background: {theme.accent_fill}; color: {theme.ink}; }}
    QTableView {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: {px(7)}; outline: none;
                  selection-background-color: {theme.accent_fill}; selection-color: {theme.ink}; }}
    QTableView:focus {{ border: 1px solid {theme.accent}; }}
    QTableView::item {{ padding: 0 {px(8)}; border: none; }}
    QTableView::item:selected {{ background: {theme.accent_fill}; color: {theme.ink}; }}
    QHeaderView {{ background: {theme.panel}; }}
    QHeaderView::section {{ background: {theme.panel}; color: {theme.dim}; font-size: {px(12)}; border: none;
                            border-bottom: 1px solid {theme.line}; padding: {px(6)} {px(8)}; }}
    QProgressBar {{ background: {theme.line}; border: none; border-radius: {px(4)}; max-height: {px(8)}; }}
    QProgressBar::chunk {{ background: {theme.accent}; border-radius: {px(4)}; }}
    QComboBox {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: {px(6)};
                 padding: {px(4)} {px(8)}; }}
    QComboBox::drop-down {{ border: none; width: {px(22)}; }}
    QComboBox::down-arrow {{ image: url("{icon("chevron")}"); width: {px(14)}; height: {px(14)}; }}
    QComboBox:focus {{ border: 1px solid {theme.accent}; }}
    QComboBox QAbstractItemView {{ background: {theme.panel}; selection-background-color: {theme.accent_fill};
                                   selection-color: {theme.ink}; }}
    QCheckBox::indicator, QListView::indicator {{ width: {px(14)}; height: {px(14)}; border: 1px solid {theme.faint};
                            border-radius: {px(3)}; background: {theme.panel}; }}
    QCheckBox::indicator:checked, QListView::indicator:checked {{ background: {theme.accent};
                                                                  border-color: {theme.accent};
                            image: url("{icon("tick-dark" if theme.dark else "tick-light")}"); }}
    QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{
        width: 0; border: none; }}
    #mono {{ font-family: "{MONO}"; }}
    """
