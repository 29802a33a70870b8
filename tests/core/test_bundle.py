"""The project's data is found in a checkout and in an installed wheel, and reported if it is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_app.core.program import bundle
from desktop_app.gpt2.errors import LogitscopeError

PACKAGE = Path(bundle.__file__).parents[2]


def install(folder, *, inside):
    """A copy of the files that bundle.py needs, laid out as in a checkout or (`inside`) as in an installed wheel."""
    package = folder / "desktop_app"
    needed = (
        *("__init__.py", "switches.py", "gpt2/__init__.py", "gpt2/errors.py"),
        *("core/__init__.py", "core/program/__init__.py", "core/program/bundle.py"),
    )
    for name in needed:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, package / name)
    data = package / "_data" if inside else folder
    for name in ("bundled", "another", "recipe"):
        (data / "models" / name).mkdir(parents=True)
        if name != "recipe":
            (data / "models" / name / "config.json").write_text("{}")
    (data / "resources").mkdir()
    (data / "resources" / "prompts.json").write_text("[]")
    return data


def ask(folder, expression):
    program = f"from desktop_app.core.program.bundle import *; print({expression})"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("inside", [False, True], ids=["checkout", "wheel"])
def test_models_and_resources_are_found(tmp_path, inside):
    data = install(tmp_path, inside=inside)
    assert ask(tmp_path, "resource('prompts.json')") == str(data / "resources" / "prompts.json")
    assert ask(tmp_path, "default_model()") == str(data / "models" / "bundled")
    assert ask(tmp_path, "list(bundled_models())") == "['another', 'bundled']"


def test_an_installed_package_takes_its_own_data_and_not_what_stands_beside_it(tmp_path):
    data = install(tmp_path, inside=True)
    (tmp_path / "models" / "bundled").mkdir(parents=True)
    (tmp_path / "models" / "bundled" / "config.json").write_text("{}")
    assert ask(tmp_path, "default_model()") == str(data / "models" / "bundled")


def test_what_is_missing_is_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "_PACKAGE", tmp_path / "desktop_app")
    for call in (bundle.default_model, bundle.bundled_models, lambda: bundle.resource("icon.svg")):
        with pytest.raises(LogitscopeError, match=r"is missing.*install Logitscope again\.$"):
            call()
    (tmp_path / "models" / "bundled").mkdir(parents=True)
    with pytest.raises(LogitscopeError, match=r"config\.json is missing"):
        bundle.default_model()
    (tmp_path / "resources").mkdir()
    with pytest.raises(LogitscopeError, match=r"icon\.svg is missing"):
        bundle.resource("icon.svg")
