"""The dependencies between packages, how the documentation draws and describes them, and the lock files."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "desktop_app"
BELOW_UI = ("gpt2", "core", "figures")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def module_names(folder):
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def locked(name):
    """Package -> [(version, marker)] as a lock file pins them."""
    pins = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip(" \\"))
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            pins.setdefault(requirement.name, []).append((specifier.version, str(requirement.marker)))
    return pins


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def script(name):
    """A module of packaging/, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXTRAS = {"desktop_app.core.evidence.cluster": "dask"}
"""Module -> the packages of an extra that it imports; only a command that uses it installs the extra."""


def test_everything_below_ui_imports_where_qt_does_not_exist():
    absent = {name for name, package in EXTRAS.items() if importlib.util.find_spec(package) is None}
    names = [name for package in BELOW_UI for name in module_names(PACKAGE / package) if name not in absent]
    assert len(names) >= len(BELOW_UI)
    program = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['PySide6', 'shiboken6', 'pyqtgraph']))\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_window_starts_without_what_only_an_export_needs():
    pytest.importorskip("PySide6")
    code = (
        "import sys; import desktop_app.ui.app;"
        "own = {m for m in sys.modules if m.startswith('desktop_app.figures.deck.')};"
        "print(*sorted(own | sys.modules.keys() & {'PIL', 'lxml', 'pptx', 'pypdf', 'matplotlib', 'fontTools'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["desktop_app.figures.deck.workers"]


def test_the_command_line_is_read_without_qt():
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['PySide6', 'shiboken6', 'pyqtgraph']))\n"
        "from desktop_app.cli import main\n"
        "sys.exit(main(['--help']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "trace" in done.stdout


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", []), ("requirements-test.lock", ["test"])])
def test_a_lock_pins_what_pyproject_asks_for(lock, extras):
    pins = locked(lock)
    asked = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, asked):
        versions = [Version(version) for version, _ in pins[canonical(requirement.name)]]
        assert all(version in requirement.specifier for version in versions), requirement


def test_the_test_lock_repeats_every_pin_of_the_other():
    test_pins = locked("requirements-test.lock")
    assert {name: test_pins.get(name) for name in locked("requirements.lock")} == locked("requirements.lock")


@pytest.mark.parametrize(
    ("lock", "group"), [("packaging/requirements-ci.lock", "ci"), ("packaging/requirements-audit.lock", "audit")]
)
def test_the_tools_of_ci_are_locked_as_pyproject_asks_for_them_and_fit_the_test_tools(lock, group):
    pins = locked(lock)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for requirement in map(Requirement, groups[group]):
        assert all(Version(version) in requirement.specifier for version, _ in pins[canonical(requirement.name)])
    if group == "ci":  # they share an environment
        test_pins = locked("requirements-test.lock")
        for name in pins.keys() & test_pins:
            assert {version for version, _ in pins[name]} == {version for version, _ in test_pins[name]}, name


def test_the_workflow_can_be_read_and_runs_what_is_in_the_tree():
    """A colon and a space inside a plain line make a file of YAML that GitHub refuses as a whole."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {".ci/run", "./run --selftest"} <= set(lines)
    named = {word for line in lines for word in line.split() if word.endswith((".lock", ".py")) or "tests/" in word}
    assert len(named) > 5 and all((ROOT / name).exists() for name in named)


def test_the_files_for_the_host_can_be_read_and_name_what_is_in_the_tree():
    """GitHub skips a form or a list of updates that it cannot read, and says so to nobody."""
    github = ROOT / ".github"
    updates = yaml.safe_load((github / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions", "pip"]
    assert all((ROOT / update["directory"].strip("/")).is_dir() and update["schedule"] for update in updates)
    forms = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in github.glob("ISSUE_TEMPLATE/*.yml")]
    forms = [form for form in forms if "body" in form]
    assert len(forms) == 2
    for form in forms:
        assert form["name"] and form["description"]
        fields = [part for part in form["body"] if part["type"] != "markdown"]
        assert len({part["id"] for part in fields}) == len(fields) and all(
            part["attributes"]["label"] for part in fields
        )
        text = str(form)
        assert all((ROOT / name).is_file() for name in re.findall(r"docs/[A-Z_]+\.md", text))


@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/check.yml"])
def test_ci_installs_what_is_locked_with_hashes_and_the_programs_own_wheel(path):
    text = re.sub(r"\\\n\s*", "", (ROOT / path).read_text(encoding="utf-8"))
    found = re.findall(r"pip install (.*)", text)
    assert found
    for arguments in found:
        assert "--require-hashes" in arguments or re.search(r"--no-deps \S+logitscope-\*\.whl", arguments), arguments


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-test.lock",
        "requirements-scan.lock",
        *(str(p.relative_to(ROOT)) for p in ROOT.glob("packaging/*.lock")),
    ],
)
def test_every_pin_has_hashes_and_no_index_is_named(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    for entry in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=sha256:" in entry, entry


# What is caught


def silent(source):
    """Lines of exception handlers that neither raise, log nor use the exception, and have no comment to say why."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            parts = [part for statement in node.body for part in ast.walk(statement)]
            told = (
                any(isinstance(part, ast.Raise) for part in parts)
                or any(isinstance(part, ast.Attribute) and ast.unparse(part.value) == "log" for part in parts)
                or any(isinstance(part, ast.Name) and part.id == node.name for part in parts)
            )
        elif isinstance(node, ast.With) and any("suppress(" in ast.unparse(item) for item in node.items):
            told = False
        else:
            continue
        last = node.body[-1].end_lineno if isinstance(node, ast.ExceptHandler) else node.lineno
        if not told and not any(
            "  # " in line or line.strip().startswith("#") for line in lines[node.lineno - 1 : last]
        ):
            yield node.lineno


def test_what_is_caught_is_raised_logged_or_passed_on_or_a_comment_says_why_not():
    assert list(silent("try:\n    a()\nexcept OSError:\n    pass\n")) == [3]
    assert list(silent("with suppress(OSError):\n    a()\n")) == [1]
    for reason in ("log.info('x')", "raise B", "pass  # it is gone already"):
        assert not list(silent(f"try:\n    a()\nexcept OSError:\n    {reason}\n"))
    found = [f"{path}:{line}" for path in sorted(PACKAGE.rglob("*.py")) for line in silent(path.read_text("utf-8"))]
    assert not found, found


SAYS_WHICH = {"core/program/diagnostics.py", "cli/selftest.py"}
"""Modules that report the operating system to the user."""


def test_one_module_asks_which_system_this_is():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        asked = re.findall(r"\bsys\.platform\b|\bos\.name\b|\bplatform\.system\(", path.read_text(encoding="utf-8"))
        assert not asked or name == "gpt2/system.py" or name in SAYS_WHICH, (name, asked)


def test_every_process_is_spawned_and_none_forked():
    """A forked program with threads and a window may hang, and Windows cannot fork."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bos\.fork|\bget_context\((?!\"spawn\"\))|multiprocessing\.(Process|Pool)\b", text), path
        pools = re.findall(r"ProcessPoolExecutor\([^)]*", text)
        assert all("mp_context=get_context(" in pool for pool in pools), path


# What is said of it


def test_the_drawing_is_made_from_the_imports_as_they_are():
    drawing = script("drawing")
    assert drawing.FILE.read_text(encoding="utf-8") == drawing.drawing(), "run: python packaging/drawing.py"


def test_a_drawing_has_each_folder_below_all_that_import_it_and_no_arrow_that_follows_from_others():
    graph = {"cli": {"ui", "gpt2"}, "ui": {"views"}, "views": {"core"}, "core": {"views", "gpt2"}, "gpt2": set()}
    rows, arrows = script("drawing").ordered(graph)
    assert rows == [[("cli",)], [("ui",)], [("core", "views")], [("gpt2",)]]
    assert arrows == {(("cli",), ("ui",)), (("ui",), ("core", "views")), (("core", "views"), ("gpt2",))}


def test_every_file_that_the_page_names_is_there():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:gpt2|core|figures|ui|resources|packaging)/[\w./]*)`", page)
    assert len(named) > 15
    for name in named:
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_what_builds_the_wheel_is_the_locked_backend():
    (backend,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    ((version, _),) = locked("packaging/requirements-build.lock")["hatchling"]
    assert backend == f"hatchling=={version}"
