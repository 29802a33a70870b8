"""The layout of a checkpoint's embeddings, cached in the user's cache folder: computed once for a set of weights."""

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

_VERSION = "1"  # of the computation in layout.py; increase it when results change, so that old files are not read


def path_of(checkpoint: Checkpoint, without: int) -> Path:
    """The cache file of the layout of these weights with `without` principal components left out."""
    folder = user_cache_path("logitscope", appauthor=False) / "maps"
    return folder / f"{checkpoint.digest}-{without}-{_VERSION}.npz"


def kept_layout(
    checkpoint: Checkpoint, table: Rows, *, stop: Stop | None = None, progress: Progress = unheard
) -> Layout:
    """The layout of the rows of `table`, which are `checkpoint`'s embeddings: from the cache, or computed and cached.

    If the cache cannot be written, a warning is logged. While the layout is computed, `progress` receives the share
    done, from 0 to 1, and Cancelled is raised if `stop` is set.
    """
    path = path_of(checkpoint, len(table.left_out))
    found = _read(path, len(table.table))
    if found is None:
        found = compute(table, stop=stop, progress=progress)
        shares = np.array([found.kept, found.kept_by_components])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_npz(path, ["places", "kept"], [found.places, shares], {})
        except (OSError, LogitscopeError):
            log.warning("The map of the embeddings could not be stored in the cache.", exc_info=True)
    return found


def _read(path: Path, count: int) -> Layout | None:
    """The cached layout of `count` tokens; None if there is no file at `path`, or no valid layout of `count` tokens.

    The array `places` is [token, (x, y)]; `kept` holds `Layout.kept` and `Layout.kept_by_components`.
    """
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path)
        places, shares = arrays["places"], arrays["kept"]
    except (OSError, ValueError, KeyError):
        log.warning("The cached map of the embeddings could not be read; it is computed again.", exc_info=True)
        return None
    real = places.dtype.kind == shares.dtype.kind == "f"  # the only kind that is ever written
    if not real or places.shape != (count, 2) or shares.shape != (2,) or not np.isfinite(places).all():
        return None
    return Layout(places.astype(np.float64), float(shares[0]), float(shares[1]))
