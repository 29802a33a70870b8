"""What the packages say about the program is true, and Debian's own checkers accept it."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path
from xml.etree import ElementTree

import pytest

from desktop_app import __version__, cli
from desktop_app.cli.options import parser_of
from desktop_app.core.session.session_file import to_json
from desktop_app.core.session.state import State

ROOT = Path(__file__).resolve().parents[1]
LINUX = ROOT / "packaging" / "linux"
MIME = "{http://www.freedesktop.org/standards/shared-mime-info}"


def script(name):
    """A module of packaging/, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged_by(*command):
    """The output of one of Debian's checkers."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("man") / "logitscope.1"
    path.write_text(script("manpage").manual("2026-01-31"), encoding="utf-8")
    return path


def test_the_manual_page_names_every_command_and_every_option(page):
    said = page.read_text(encoding="utf-8").replace(r"\-", "-")
    for name in cli.COMMANDS:
        assert f'.SS "logitscope {name}"' in said
        parser = parser_of(name, cli.COMMANDS[name], log_level=False)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", parser.format_help()):
            assert rf"\fB{option}\fR" in said or option == "--help", f"{name} {option}"
    assert "--smoke" not in said


def test_the_manual_page_describes_options_in_the_words_of_help(page):
    said = page.read_text(encoding="utf-8").replace(r"\-", "-").splitlines()
    assert "slide, half (a slide), column, page, poster or a0" in said  # values are written as they are typed
    assert r"\fBget\fR \fIOWNER/NAME[@REVISION]\fR" in said
    assert not [line for line in said if line.strip(r"\&") == "."]


def test_the_manual_page_names_what_the_environment_says_of_downloads(page):
    said = page.read_text(encoding="utf-8")
    for path in (ROOT / "desktop_app" / "core" / "library").glob("*.py"):
        for name in re.findall(
            r"\bset (HF_[A-Z_]+)|check (HF_[A-Z_]+)|(HF_HUB_OFFLINE) is set", path.read_text(encoding="utf-8")
        ):
            assert f".B {''.join(name)}" in said.splitlines()


def test_man_has_no_warning_about_the_page(page):
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_desktop_entry_is_valid():
    assert judged_by("desktop-file-validate", str(LINUX / "logitscope.desktop")) == ""


def test_the_description_for_software_centres_is_valid(tmp_path):
    if sys.platform != "linux":
        pytest.skip("debian.py asks dpkg")
    path = tmp_path / "local.logitscope.Logitscope.metainfo.xml"
    path.write_bytes(script("debian").metainfo("2026-01-31"))
    said = judged_by("appstreamcli", "validate", "--no-net", str(path))
    assert "successful" in said
    assert ElementTree.parse(path).find("releases/release").get("version") == __version__


def test_a_screenshot_is_described_where_its_address_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("SCREENSHOT_URL", "https://example.org/window.png")
    path = tmp_path / "local.logitscope.Logitscope.metainfo.xml"
    path.write_bytes(script("debian").metainfo("2026-01-31"))
    assert ElementTree.parse(path).findtext("screenshots/screenshot/image") == "https://example.org/window.png"
    judged_by("appstreamcli", "validate", "--no-net", str(path))


def test_one_type_of_session_files_is_spoken_of_everywhere():
    declared = ElementTree.parse(LINUX / "logitscope.xml").find(f"{MIME}mime-type")
    kind = declared.get("type")
    entry = (LINUX / "logitscope.desktop").read_text(encoding="utf-8")
    assert f"MimeType={kind};" in entry.splitlines()
    assert "Exec=logitscope %f" in entry.splitlines()
    assert ElementTree.parse(LINUX / "logitscope.metainfo.xml").findtext("provides/mediatype") == kind
    assert declared.find(f"{MIME}glob").get("pattern") == "*.logitscope"


def test_the_type_is_told_by_what_a_saved_session_begins_with():
    first = ElementTree.parse(LINUX / "logitscope.xml").find(f"{MIME}mime-type/{MIME}magic/{MIME}match")
    inner = first.find(f"{MIME}match")
    saved = to_json(State(text="x")).decode()
    assert saved.startswith(first.get("value"))
    low, high = map(int, inner.get("offset").split(":"))
    assert low <= saved.index(inner.get("value")) <= high


def test_what_is_packed_is_what_is_locked_for_the_program():
    def pins(path):
        return set(re.findall(r"^([a-z0-9-]+==[^ ;]+)", path.read_text(encoding="utf-8"), re.MULTILINE))

    packing = ROOT / "packaging" / "requirements-package.lock"
    assert pins(ROOT / "requirements.lock") <= pins(packing), "run: python packaging/lock.py"
    assert {name.partition("==")[0] for name in pins(packing)} >= {"pyinstaller", "hatchling", "build", "twine"}


def test_what_a_wheel_says_is_compiled_in_goes_along_with_its_licence(tmp_path):
    folder = tmp_path / "thing-1.0.dist-info"
    (folder / "sboms").mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n")
    (folder / "RECORD").write_text("thing-1.0.dist-info/sboms/thing.cdx.json,,\n")
    parts = [
        {"name": "ahash", "version": "0.8", "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        {"name": "abseil", "licenses": [{"license": {"id": "Apache-2.0"}}, {"license": {"name": "a word of thanks"}}]},
        {"name": "nobody's"},
    ]
    (folder / "sboms" / "thing.cdx.json").write_text(json.dumps({"bomFormat": "CycloneDX", "components": parts}))
    [said] = script("notices").notices(PathDistribution(folder))
    assert said.splitlines()[2:] == ["ahash 0.8: MIT OR Apache-2.0", "abseil : Apache-2.0, a word of thanks"]


VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
FINE = {"name": "a", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("answers", "status", "words"),
    [
        ([[FINE], [FINE, UNKNOWN]], 0, "1 packages audited, 1 without an answer, 0 known vulnerabilities"),
        ([[FINE], [FINE, VULNERABLE]], 1, "  b 2: PYSEC-1, fixed in 3"),
        ([[UNKNOWN]], 0, "Nothing was audited: PyPI's advisories cannot be reached from this network."),
        ([None], 0, "Nothing was audited: PyPI's advisories cannot be reached from this network."),
    ],
)
def test_known_vulnerabilities_are_named_and_a_network_without_advisories_is_told(
    monkeypatch, capsys, answers, status, words
):
    audit = script("audit")
    left = iter(answers)

    def run(command, **_how):
        assert Path(command[-1]).is_file()
        found = next(left)
        out = "" if found is None else json.dumps({"dependencies": found, "fixes": []})
        return subprocess.CompletedProcess(command, 1, out, "requests.exceptions.ConnectionError: refused")

    monkeypatch.setattr(audit.subprocess, "run", run)
    monkeypatch.setattr(audit, "LOCKS", audit.LOCKS[: len(answers)] if len(answers) > 1 else audit.LOCKS)
    assert audit.main() == status
    assert words in capsys.readouterr().out
    assert next(left, None) is None


def test_the_version_stands_in_one_place():
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = [*(ROOT / "packaging").rglob("*.*"), ROOT / "README.md"]
    texts = {path: path.read_text(encoding="utf-8") for path in files if path.suffix in {".py", ".xml", ".md", ".spec"}}
    assert [path for path, text in texts.items() if re.search(rf"\b{re.escape(__version__)}\b", text)] == []
