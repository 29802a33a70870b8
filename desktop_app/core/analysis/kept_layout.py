"""The layout of a checkpoint's embeddings, cached on disk for the user: it is computed once for a set of weights."""

import logging
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.directions import Rows
from desktop_app.core.analysis.layout import Layout, compute
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.npz_file import read_npz, write_npz
from desktop_app.gpt2.session import Stop

log = logging.getLogger(__name__)

_FORM = "1"  # version of the computation: a new one invalidates the cache


def path_of(checkpoint: Checkpoint, without: int) -> Path:
    """The path at which the layout of these weights is cached."""
    folder = user_cache_path("logitscope", appauthor=False) / "maps"
    return folder / f"{checkpoint.digest}-{without}-{_FORM}.npz"


def kept_layout(
    checkpoint: Checkpoint, table: Rows, *, stop: Stop | None = None, progress: Progress = unheard
) -> Layout:
    """The layout from the cache, or computed and stored there. Raises Cancelled on a stop."""
    path = path_of(checkpoint, len(table.left_out))
    found = _read(path, len(table.table))
    if found is None:
        found = compute(table, stop=stop, progress=progress)
        kept = np.array([found.kept, found.kept_by_components])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_npz(path, ["places", "kept"], [found.places, kept], {})
        except (OSError, LogitscopeError):
            log.warning("The map of the embeddings could not be stored in the cache.", exc_info=True)
    return found


def _read(path: Path, count: int) -> Layout | None:
    """The cached layout; None if there is none or the file is not valid."""
    if not path.is_file():
        return None
    try:
        kept = read_npz(path)
        places, shares = kept["places"], kept["kept"]
    except (OSError, ValueError, KeyError):
        log.warning("The cached map of the embeddings could not be read; it is computed again.", exc_info=True)
        return None
    numbers = places.dtype.kind == shares.dtype.kind == "f"  # as they were written
    if not numbers or places.shape != (count, 2) or shares.shape != (2,) or not np.isfinite(places).all():
        return None
    return Layout(places.astype(np.float64), float(shares[0]), float(shares[1]))
