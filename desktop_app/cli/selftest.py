"""`logitscope --selftest`: reports what is installed, and tests everything shipped. It needs no display."""

import io
import json
import logging
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

from desktop_app import __version__
from desktop_app.cli.shared import shown
from desktop_app.gpt2.errors import LogitscopeError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The result of a check: the lines that it reported, and its failure, or "" if it passed."""

    title: str
    lines: tuple[str, ...]
    failure: str


def run_selftest(*, as_json: bool = False) -> int:
    """Print one or more lines for each check, or all results as JSON. Returns 0 if all checks pass, else 1."""
    if as_json:
        with redirect_stdout(sys.stderr):  # so that code under test that prints does not corrupt the JSON
            results = [_tried(title, check) for title, check in _checks()]
        print(json.dumps(_diagnostics(results), indent=1))
        return 1 if any(result.failure for result in results) else 0
    print(f"Logitscope {__version__}")
    results = [_tried(title, check, _show) for title, check in _checks()]
    failed = [result.title for result in results if result.failure]
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nAll is well.")
    return 1 if failed else 0


def _diagnostics(results: list[Result]) -> dict[str, Any]:
    """What *Help > Copy diagnostics* copies, with the results of the checks and the last lines of the log file."""
    from desktop_app.core.program.diagnostics import collect
    from desktop_app.core.program.logs import last_of_file
    from desktop_app.core.program.settings import load_settings

    return collect(load_settings(), last_of_file(), checks=[asdict(result) for result in results])


def _checks() -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
    """The checks by title; each yields lines of results, or raises if it fails."""
    yield from (("paths", _paths), ("versions", _versions), ("providers", _providers), ("resources", _resources))
    yield from (("models", _models), ("pass", _pass), ("figures", _figures), ("slides", _slides))
    yield ("window", _window)


def _tried(
    title: str, check: Callable[[], Iterator[str]], show: Callable[[str, str], None] = lambda _title, _line: None
) -> Result:
    """Run a check; `show` gets each line with the title (empty after the first line), and a failure with the title."""
    lines: list[str] = []
    try:
        for line in check():
            show(title if not lines else "", line)
            lines.append(line)
    except (LogitscopeError, OSError) as reason:
        failure = f"{type(reason).__name__}: {reason}"
        log.info("The check of %s failed: %s", title, failure)
    except Exception as reason:
        # Any exception means that the check failed.
        failure = f"{type(reason).__name__}: {reason}"
        log.exception("The check of %s failed.", title)
    else:
        return Result(title, tuple(lines), "")
    show(title, f"FAILED: {failure}")
    return Result(title, tuple(lines), failure)


def _show(title: str, line: str) -> None:
    print(f"{title:10} {shown(line)}", flush=True)


def _paths() -> Iterator[str]:
    from desktop_app.core.program.logs import log_file
    from desktop_app.core.program.settings import settings_file
    from desktop_app.core.program.sums import models_folder

    frozen = ", frozen" if getattr(sys, "frozen", False) else ""
    yield f"Python {platform.python_version()}, {platform.system()} {platform.machine()}{frozen}"
    yield f"program   {sys.executable}"
    yield f"package   {Path(__file__).resolve().parent.parent}"
    yield f"models    {models_folder()}"
    yield f"settings  {settings_file()}"
    yield f"log       {log_file()}"


def _versions() -> Iterator[str]:
    """Versions of Logitscope's requirements, and of what these require, from the metadata of the distributions."""
    from desktop_app.core.program.diagnostics import packages

    found, missing = packages()
    if missing:
        raise LogitscopeError(f"{', '.join(missing)} is not installed; install Logitscope again.")
    words = [f"{name} {version}" for name, version in found.items()]
    for start in range(0, len(words), 5):
        yield ", ".join(words[start : start + 5])


def _providers() -> Iterator[str]:
    import onnxruntime as ort

    available = ort.get_available_providers()
    yield ", ".join(available)
    if "CPUExecutionProvider" not in available:
        raise LogitscopeError("onnxruntime cannot compute on the processor; install Logitscope again.")


def _resources() -> Iterator[str]:
    """Read every file of resources/ with a parser of its format."""
    from desktop_app.core.program.bundle import resource

    files = [path for path in sorted(resource().rglob("*")) if path.is_file()]
    for path in files:
        try:
            _READERS.get(path.suffix, _read_bytes)(path)
        except Exception as reason:
            raise LogitscopeError(f"{path} cannot be read: {reason}") from reason
    kinds = sorted({path.suffix for path in files})
    yield f"{len(files)} files read ({', '.join(kinds)})"


def _read_bytes(path: Path) -> None:
    if not path.read_bytes():
        raise LogitscopeError("it is empty")


def _read_text(path: Path) -> None:
    if not path.read_text(encoding="utf-8").strip():
        raise LogitscopeError("it is empty")


def _read_font(path: Path) -> None:
    from matplotlib.ft2font import FT2Font

    if not FT2Font(str(path)).num_glyphs:
        raise LogitscopeError("it has no glyphs")


def _read_picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


_READERS: dict[str, Callable[[Path], object]] = {
    ".toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".svg": lambda path: ElementTree.fromstring(path.read_bytes()),
    ".txt": _read_text,
    ".md": _read_text,
    ".ttf": _read_font,
    ".otf": _read_font,
    **dict.fromkeys((".png", ".jpg", ".gif", ".webp"), _read_picture),
}
"""The suffix of a file -> the function that parses it."""


def _models() -> Iterator[str]:
    from desktop_app.core.program.sums import require_sums

    for name, digest in require_sums().items():
        if name.endswith(".safetensors") and name.count("/") == 1:
            yield f"{name}  sha256 {digest}"
    yield "every file is unchanged"


def _pass() -> Iterator[str]:
    """Run one forward pass of each bundled model, and recompute every tensor in float64."""
    from desktop_app.core.check import check_pass
    from desktop_app.core.model import open_model
    from desktop_app.core.program.bundle import bundled_models

    for name, folder in bundled_models().items():
        model = open_model(folder)
        ids = [n % model.config.vocab_size for n in range(min(6, model.config.n_positions))]
        findings = list(check_pass(model.engine, ids))
        wrong = [finding.name for finding in findings if not finding.good]
        if wrong:
            raise LogitscopeError(f"{name}: {', '.join(wrong)} is not what its formula says.")
        worst = max(finding.relative for finding in findings)
        off = f"at most {worst:.1g} of the sum of absolute terms off"
        yield f"{name}: {len(findings)} tensors of {len(ids)} tokens recomputed, {off}"


def _figures() -> Iterator[str]:
    """Draw a view in every format and theme of figures."""
    from desktop_app.core.model import open_model
    from desktop_app.core.program.bundle import default_model
    from desktop_app.core.scene import make_scene
    from desktop_app.core.session.state import State
    from desktop_app.core.steps import find_step
    from desktop_app.figures.export import FORMATS, Options, make_job, render
    from desktop_app.figures.theme import THEMES

    model = open_model(default_model())
    text = "A B"
    trace = model.engine.trace(model.tokenizer.encode(text).ids)
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, State(text=text))
    job = make_job(scene, find_step("blocks.0.attn.pattern", model.config))
    for kind in FORMATS:
        sizes = [len(render(job, Options(kind, theme=theme, dpi=96))) for theme in THEMES]
        yield f"{kind}: {', '.join(f'{theme} {size:,} bytes' for theme, size in zip(THEMES, sizes, strict=True))}"


def _slides() -> Iterator[str]:
    """Make slides and a film of one step with `logitscope deck`."""
    from desktop_app.cli import main

    with TemporaryDirectory() as folder:
        for kind in ("pptx", "gif"):
            out, said = Path(folder) / f"walk.{kind}", io.StringIO()
            with redirect_stdout(said), redirect_stderr(said):
                status = main(["deck", "A B", "--steps", "tokens", "--jobs", "1", "--out", str(out)])
            if status:
                raise LogitscopeError(said.getvalue().strip())
            yield f"{kind}: {out.stat().st_size:,} bytes"


def _window() -> Iterator[str]:
    """Test Qt and the files that the window reads with it, without a screen."""
    from desktop_app import launch

    # An off-screen platform, even if there is a display; system libraries that it lacks are named.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    missing = launch.problems(os.environ)
    if missing:
        raise LogitscopeError(" ".join(missing))

    from desktop_app.ui.selftest import findings

    yield from findings()
    for name in launch.WINDOW:
        lacking = launch.problems({"QT_QPA_PLATFORM": name}, answers=lambda _name: True)
        yield f"{name}: {lacking[0] if lacking else 'all libraries are present'}"
