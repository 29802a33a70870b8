"""Makes the recipe's scripts importable, opens the committed models once and measures the bundled one once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = REPOSITORY / "models" / "recipe"
sys.path.insert(0, str(RECIPE))

import evaluate  # noqa: E402 (the path above comes first)
import forward  # noqa: E402


@pytest.fixture(scope="session")
def bundled_folder() -> Path:
    return REPOSITORY / "models" / "bundled"


@pytest.fixture(scope="session")
def sorter_folder() -> Path:
    return REPOSITORY / "models" / "sorter"


@pytest.fixture(scope="session")
def bundled(bundled_folder: Path) -> forward.Model:
    return forward.load(bundled_folder)


@pytest.fixture(scope="session")
def kept_figures() -> dict[str, Any]:
    """The figures from which the model card was written."""
    return json.loads(evaluate.KEPT.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def figures(bundled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All figures of the committed weights, computed by the command in a separate process."""
    path = tmp_path_factory.mktemp("figures") / "bundled.json"
    command = [sys.executable, RECIPE / "evaluate.py", bundled_folder, "--figures", path]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads(path.read_text(encoding="utf-8"))
