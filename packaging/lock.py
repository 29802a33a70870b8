#!/usr/bin/env python3
"""Write the four lock files from pyproject.toml, with uv on the PATH.

Pins stay as they are unless pyproject.toml rules them out; --upgrade takes the newest that it admits.
They hold for every supported Python and platform, carry hashes, and name no package index.
"""

import argparse
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def compile_lock(output: str, *options: str, only: str = "") -> None:
    """Resolve pyproject.toml, or the requirements `only`, into the lock file `output` beside it."""
    subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--annotation-style", "line", "--custom-compile-command", "packaging/lock.py"),
            *("-" if only else "pyproject.toml", "--output-file", output, *options),
        ],
        input=only,
        text=True,
        cwd=ROOT,
        check=True,
    )


def main() -> None:
    """Write the program's own lock, one for each extra that repeats its pins and adds to them, and the build's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    compile_lock("requirements.lock", *upgrade)
    for extra, output in (("test", "requirements-test.lock"), ("package", "packaging/requirements-package.lock")):
        compile_lock(output, "--extra", extra, "--constraint", "requirements.lock", *upgrade)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    compile_lock("packaging/requirements-build.lock", *upgrade, only="\n".join(project["build-system"]["requires"]))


if __name__ == "__main__":
    main()
