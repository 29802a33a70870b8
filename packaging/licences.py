"""The licences of everything in the frozen program, from the installed packages: a summary, and all texts."""

import re
from importlib.metadata import Distribution
from pathlib import Path

from debian import packages_of
from inside import distributions
from notices import notices

ROOT = Path(__file__).resolve().parent.parent
_TEXT = re.compile(
    r"(^|/)(licen[cs]es?/|(licen[cs]e|copying|copyright|notice|authors|thirdparty)[^/]*$)", re.IGNORECASE
)
_PYTHON = re.compile(r"\.(py[co]?|so|json|exe)$")


def write_licences(frozen: Path, folder: Path) -> str:
    """Write the texts into `folder`, one file per part, and return a summary of the parts of `frozen`.

    Raises SystemExit naming a part without any licence.
    """
    folder.mkdir(parents=True)
    lines = []
    for made in distributions():
        if made.name.lower() == "logitscope":
            continue
        texts = _texts(made)
        words = _licence(made)
        if not texts and not words:
            raise SystemExit(f"{made.name} {made.version} declares no licence; find out which it has first.")
        compiled_in = notices(made)
        texts += compiled_in
        (folder / f"{made.name}.txt").write_text(f"{made.name} {made.version}: {words}\n\n" + "\n\n".join(texts))
        more = ", and what is compiled into it" if compiled_in else ""
        lines.append(f"{made.name} {made.version}: {words}{more}")
    for package, text in _system_packages(frozen).items():
        (folder / f"{package}.txt").write_text(text)
        lines.append(f"{package}, from the build machine's system: see the text")
    (folder / "PyInstaller.txt").write_text("\n\n".join(_texts(_pyinstaller())))
    lines.append("PyInstaller's bootloader: GPL-2.0-or-later with an exception that lets it start any program")
    for path in sorted((ROOT / "resources" / "fonts").glob("*LICENSE*")):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"))
        lines.append(f"{path.name.partition('-')[0]}, a font: SIL Open Font License 1.1")
    # The licences of Qt, PySide6, Shiboken, flatbuffers and tokenizers, whose wheels contain no text.
    for name in ("LGPL-3", "GPL-3", "Apache-2.0"):
        (folder / f"{name}.txt").write_text(Path("/usr/share/common-licenses", name).read_text(encoding="utf-8"))
    if not any(frozen.rglob("libQt6Core*")):
        raise SystemExit(f"{frozen} contains no separate Qt library; its licence requires that users can replace it.")
    return "\n".join(lines)


def _pyinstaller() -> Distribution:
    return Distribution.from_name("pyinstaller")


def _texts(made: Distribution) -> list[str]:
    """The licence files of a distribution, each headed by its name."""
    found = []
    for path in made.files or []:
        name = str(path)
        inside = name.partition(".dist-info/")[2] or name
        if _TEXT.search(inside) and not _PYTHON.search(name) and Path(str(path.locate())).is_file():
            found.append(f"==== {name}\n\n{Path(str(path.locate())).read_text(encoding='utf-8', errors='replace')}")
    return sorted(found)


def _licence(made: Distribution) -> str:
    """A distribution's licence as its metadata states it: the expression, the short field, or the classifiers."""
    meta = made.metadata
    expression = meta.get("License-Expression") or ""
    short = (meta.get("License") or "").strip()
    classifiers = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    return expression or (short if short and "\n" not in short and len(short) < 90 else "") or ", ".join(classifiers)


def _system_packages(frozen: Path) -> dict[str, str]:
    """Debian package -> its copyright file, for Python and the build machine's system libraries in `frozen`."""
    return {
        package: Path("/usr/share/doc", package, "copyright").read_text(encoding="utf-8", errors="replace")
        for package in packages_of(frozen)
    }
