"""Which files of fonts are opened, and how often."""

from desktop_app.figures import fonts


def test_each_font_file_is_opened_once(monkeypatch):
    """An open face holds a file descriptor, and the window's process would hold one for each list it is in."""
    opened, face = [], fonts.FT2Font

    def opening(path):
        opened.append(path)
        return face(path)

    monkeypatch.setattr(fonts, "FT2Font", opening)
    fonts._faces.cache_clear()
    fonts._face.cache_clear()
    named = [[f for f, _ in fonts._faces(mono, bold)] for mono in (False, True) for bold in (False, True)]
    assert sum(map(len, named)) > len(opened) == len(set(opened)) >= 8
