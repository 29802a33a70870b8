"""Settings made before libraries are imported: nothing phones home. Environment variables, so workers inherit them.

A library reads its variable when it is imported, so this package sets them as it is imported itself, before all others.
"""

import os
import sys
from contextlib import suppress

OFF = {
    # onnxruntime writes a device's id into the home and sends events; its disable_telemetry_events() comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub asks the hub for names of environment variables, and tells it in each request which are set.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Set whatever their value was: that nothing is sent is a promise, not a setting."""

UNLESS_SET = {
    # What numpy multiplies here is small; its BLAS would keep every core spinning between two products, and takes ten
    # times as long where another process wants a core. onnxruntime, which does the large work, has its own threads.
    "OPENBLAS_NUM_THREADS": "1",
}


def set_switches() -> None:
    """Set them for this process, and for all that it starts."""
    os.environ.update(OFF)
    for name, value in UNLESS_SET.items():
        os.environ.setdefault(name, value)


def keep_to_own_folders() -> None:
    """When run as a program, not imported by a script: keep the libraries' caches in a folder of our own.

    matplotlib would make folders in the home directory for its list of fonts; and with the backend that Jupyter names
    to every process that a notebook starts, it would not start.
    """
    from platformdirs import user_cache_path  # not earlier: `launch` is also used by Pythons that have no packages

    os.environ["MPLBACKEND"] = "agg"
    os.environ.setdefault("MPLCONFIGDIR", str(user_cache_path("logitscope", appauthor=False) / "matplotlib"))


def import_matplotlib() -> None:
    """When imported by a script: import matplotlib with the backend that the environment names, if it is installed.

    Jupyter names one to every process that a notebook starts; where it is not installed, importing matplotlib would
    fail. Our figures use none.
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
