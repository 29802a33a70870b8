"""What the user is told if no window can open, and that nothing is said if one can."""

import gc
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_app import launch
from desktop_app.gpt2.errors import LogitscopeError

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="Qt brings all it needs elsewhere")


def all_but(*missing):
    return lambda library: library not in missing


def yes(_):
    return True


def no(_):
    return False


@pytest.mark.parametrize(
    "environ",
    [
        {"DISPLAY": ":0"},
        {"WAYLAND_DISPLAY": "wayland-0"},
        {"QT_QPA_PLATFORM": "offscreen"},
        {"QT_QPA_PLATFORM": "vnc:size=800x600"},
    ],
)
def test_nothing_is_said_where_a_window_can_open(environ):
    assert launch.problems(environ, loads=yes, answers=yes) == []


def test_a_missing_library_is_named_with_the_package_that_has_it(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (sentence,) = launch.problems({"DISPLAY": ":0"}, loads=all_but("libEGL.so.1", "libxcb-cursor.so.0"), answers=yes)
    assert "libEGL.so.1, libxcb-cursor.so.0" in sentence
    assert sentence.endswith("install them with: sudo apt install libegl1 libxcb-cursor0")


def test_root_is_not_told_to_use_sudo(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (sentence,) = launch.problems({"DISPLAY": ":0"}, loads=all_but("libGL.so.1"), answers=yes)
    assert sentence.endswith("with: apt install libgl1")


def test_without_apt_debians_names_are_given_as_a_hint_and_not_as_a_command(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    (sentence,) = launch.problems({"DISPLAY": ":0"}, loads=all_but("libGL.so.1"), answers=yes)
    assert "libgl1" in sentence and "apt install" not in sentence


def test_offscreen_asks_for_no_library_of_the_x_server():
    only_common = all_but(*launch.WINDOW["xcb"], *launch.WINDOW["wayland"])
    assert launch.problems({"QT_QPA_PLATFORM": "offscreen"}, loads=only_common, answers=yes) == []


def test_one_of_two_display_servers_is_enough():
    both = {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}
    assert launch.problems(both, loads=all_but(*launch.WINDOW["xcb"]), answers=yes) == []
    assert launch.problems(both, loads=yes, answers=lambda name: name == "xcb") == []


def test_no_display_at_all_gets_a_sentence_and_what_to_do(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    (sentence,) = launch.problems({}, loads=yes, answers=yes)
    assert sentence.startswith("There is no display")
    assert re.search(r"apt install xvfb xauth && xvfb-run -a \./run$", sentence)


def test_no_display_and_no_libraries_are_both_said_at_once():
    sentences = launch.problems({}, loads=no, answers=no)
    assert len(sentences) == 2
    assert "libegl1" in sentences[0] and "libxcb-cursor0" in sentences[0]


def test_a_display_that_refuses_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DISPLAY", ":59999")  # no server has that number
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    if not launch._loads("libxcb.so.1"):
        pytest.skip("needs libxcb to try a connection with")
    (sentence,) = launch.problems({"DISPLAY": ":59999"}, loads=yes)
    assert ":59999" in sentence


def test_a_real_x_server_lets_a_window_in(xserver, monkeypatch):
    monkeypatch.setenv("DISPLAY", xserver)
    assert launch.problems({"DISPLAY": xserver}) == []


def test_require_display_raises_all_causes_in_one_error(monkeypatch):
    monkeypatch.setattr(launch, "problems", lambda _: ["One.", "Two."])
    with pytest.raises(LogitscopeError, match=r"One\.\nTwo\."):
        launch.require_display()


def command(program, environ):
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=kept | environ, capture_output=True, text=True, check=False
    )


def test_the_command_ends_with_2_and_no_traceback_where_there_is_no_display():
    done = command("import sys; from desktop_app.cli import main; sys.exit(main([]))", {})
    assert done.returncode == 2, done.stderr
    assert "There is no display to open the window on" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_ends_with_2_and_the_apt_command_where_a_library_is_missing():
    program = (
        "import sys; from desktop_app import launch; from desktop_app.cli import main\n"
        "launch.ALWAYS['libno-such.so.9'] = 'libno-such9'\n"
        "sys.exit(main([]))\n"
    )
    done = command(program, {"QT_QPA_PLATFORM": "offscreen"})
    assert done.returncode == 2, done.stderr
    assert "libno-such.so.9" in done.stderr and "libno-such9" in done.stderr
    assert "Traceback" not in done.stderr


def test_later_collections_skip_what_is_loaded_and_find_what_comes_after():
    before, was_on = gc.get_freeze_count(), gc.isenabled()
    gc.enable()
    try:
        with pytest.raises(ImportError), launch.loading():
            assert not gc.isenabled()
            loaded = [[] for _ in range(1000)]
            raise ImportError
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(loaded)
        later = []
        assert any(later is o for o in gc.get_objects())
        assert not any(loaded[0] is o for o in gc.get_objects())
    finally:
        gc.unfreeze()
        if not was_on:
            gc.disable()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("QT_QPA_PLATFORM", value) for value in ("nonsense", ";", "eglfs", "linuxfb", "xcb\n")),
        *(("QT_SCALE_FACTOR", value) for value in ("0", "0.0", "99", "nan", "inf", "-1", "1e400", "two")),
        ("QT_FONT_DPI", "nan"),
    ],
)
def test_a_setting_that_would_end_qt_without_a_word_gets_one(name, value):
    (sentence,) = launch.problems({"DISPLAY": ":0", name: value}, loads=lambda _: True, answers=lambda _: True)
    assert sentence.startswith(f"{name} is ") and "unset it" in sentence and "\n" not in sentence


@pytest.mark.parametrize("value", ["offscreen", "wayland;xcb", "nonsense;xcb", "xcb:option"])
def test_a_setting_that_qt_can_use_is_left_alone(value):
    environment = {"DISPLAY": ":0", "QT_QPA_PLATFORM": value, "QT_SCALE_FACTOR": "1.5"}
    assert launch.problems(environment, loads=lambda _: True, answers=lambda _: True) == []


def test_a_python_without_packages_can_ask_what_is_to_be_installed():
    """CI and the message about missing libraries ask before anything is installed."""
    code = "import sys; sys.path.insert(0, '.'); from desktop_app import launch; print(len(launch.ALWAYS))"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
