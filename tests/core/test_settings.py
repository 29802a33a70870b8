"""Settings survive a restart; damaged ones are dropped and do not prevent a start."""

import json
import os
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from desktop_app.core.program.settings import Settings, load_settings, save_settings, settings_file
from desktop_app.gpt2.errors import SessionError

CHOSEN = Settings("dark", 1.3, "0a0b", "0c", 2.0, "/home/someone")


@pytest.fixture
def file(own_home):
    path = settings_file()
    path.parent.mkdir(parents=True)
    assert own_home in path.parents
    return path


def test_settings_come_back_as_they_were(own_home):
    assert load_settings() == Settings()
    save_settings(CHOSEN)
    assert load_settings() == CHOSEN
    assert {path.name for path in settings_file().parent.iterdir()} == {"settings.json", ".settings.json.lock"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"theme": NaN}',
        b'{"theme": "dark", "theme": "dark"}',
        b"[" * 100_000,
        b'{"speed": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda data: str(data[:20]),
)
def test_a_damaged_file_gives_the_defaults(file, data):
    file.write_bytes(data)
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("theme", "pink"),
        ("theme", 3),
        ("type_size", 40.0),
        ("type_size", "large"),
        ("type_size", True),
        ("geometry", None),
        ("splitter", [1]),
        ("session", {}),
        ("speed", "fast"),
        ("speed", False),
        ("export_folder", 1),
        ("novelty", 1),
    ],
)
def test_a_field_that_cannot_be_used_has_its_default_and_the_others_stay(file, field, value):
    good = asdict(CHOSEN)
    file.write_text(json.dumps(good | {field: value}))
    kept = asdict(load_settings())
    assert kept == {name: getattr(Settings() if name == field else CHOSEN, name) for name in good}


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text(), max_size=2)
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*asdict(Settings()), "other"]), anything))
def test_any_json_gives_settings_of_the_right_types(file, raw):
    file.write_text(json.dumps(raw))
    kept = load_settings()
    assert all(type(value) is type(asdict(Settings())[name]) for name, value in asdict(kept).items())


def test_places_that_cannot_be_read_give_the_defaults(file, monkeypatch):
    file.mkdir()
    assert load_settings() == Settings()
    file.rmdir()
    os.mkfifo(file)
    assert load_settings() == Settings()

    def closed(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", closed)
    assert load_settings() == Settings()


def test_a_folder_that_cannot_be_made_is_named(own_home):
    config = settings_file().parent.parent
    config.rmdir()
    config.write_text("in the way")
    with pytest.raises(SessionError, match=str(settings_file().parent)):
        save_settings(Settings())
    assert config.read_text() == "in the way"


def test_two_windows_do_not_undo_each_others_settings():
    save_settings(Settings(theme="dark"))
    one = two = load_settings()
    save_settings(replace(one, type_size=1.5), one)
    save_settings(replace(two, speed=2.0), two)
    assert load_settings() == Settings(theme="dark", type_size=1.5, speed=2.0)
