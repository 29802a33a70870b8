"""Environment variables for libraries, mainly to turn telemetry off; worker processes inherit them.

A library reads its variable when it is imported, so this package sets the variables before it imports any library.
"""

import os
import sys
from contextlib import suppress

OFF = {
    # onnxruntime writes a device id into the home folder and sends events; disable_telemetry_events() is too late.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub fetches a list of environment variables from the hub, and reports in each request which are set.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Set even if the user set them otherwise, because the program promises that nothing is sent."""

UNLESS_SET = {
    # numpy's products here are small. Its BLAS threads would spin on every core between two products, and take ten
    # times as long if another process uses a core. onnxruntime, which computes the large products, has its own threads.
    "OPENBLAS_NUM_THREADS": "1",
}


def set_switches() -> None:
    """Set the variables for this process and for all processes that it starts."""
    os.environ.update(OFF)
    for name, value in UNLESS_SET.items():
        os.environ.setdefault(name, value)


def keep_to_own_folders() -> None:
    """For use as a program, not as an imported package: set matplotlib's backend, and its cache to a folder of our own.

    By default matplotlib creates folders in the home directory for its list of fonts. It also fails to import with the
    backend that Jupyter sets for every process that a notebook starts.
    """
    from platformdirs import user_cache_path  # not earlier: `launch` is also used by Pythons that have no packages

    os.environ["MPLBACKEND"] = "agg"
    os.environ.setdefault("MPLCONFIGDIR", str(user_cache_path("logitscope", appauthor=False) / "matplotlib"))


def import_matplotlib() -> None:
    """For use as an imported package: import matplotlib with the backend that the environment names, if installed.

    Jupyter sets a backend for every process that a notebook starts; if it is not installed, importing matplotlib would
    fail. Our figures use no backend.
    """
    if "matplotlib" in sys.modules:
        return
    name = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if name is not None:
            os.environ["MPLBACKEND"] = name
    if name:
        with suppress(ValueError):  # the environment's backend is not installed: matplotlib chooses
            mpl.rcParams["backend"] = name
