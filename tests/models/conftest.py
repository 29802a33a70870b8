"""Makes the recipe's scripts importable and opens the committed models once."""

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "models" / "recipe"))

import forward  # noqa: E402 (the path above comes first)


@pytest.fixture(scope="session")
def bundled_folder() -> Path:
    return REPOSITORY / "models" / "bundled"


@pytest.fixture(scope="session")
def sorter_folder() -> Path:
    return REPOSITORY / "models" / "sorter"


@pytest.fixture(scope="session")
def bundled(bundled_folder: Path) -> forward.Model:
    return forward.load(bundled_folder)
