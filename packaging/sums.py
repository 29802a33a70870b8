#!/usr/bin/env python3
"""Rewrite models/SHA256SUMS after a bundled model has changed: python packaging/sums.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from desktop_app.core.program.sums import FILE, models_folder, present_sums

if __name__ == "__main__":
    lines = [f"{digest}  {name}\n" for name, digest in present_sums().items()]
    (models_folder() / FILE).write_text("".join(lines), encoding="utf-8")
