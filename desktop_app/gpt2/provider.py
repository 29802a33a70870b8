"""The onnxruntime execution provider in use: the CPU, unless another one is available and was chosen.

It is chosen once for the whole process, before the first session is created.
"""

import onnxruntime as ort

from desktop_app.gpt2.errors import ModelError

CPU = "cpu"
_SUFFIX = "ExecutionProvider"
_chosen = CPU


def offered() -> dict[str, str]:
    """Short name -> onnxruntime's name of every available provider, like cuda -> CUDAExecutionProvider."""
    return {name.removesuffix(_SUFFIX).lower(): name for name in ort.get_available_providers()}


def choose(name: str) -> None:
    """Set the provider for the process, by its short or full name. Raises ModelError if it is not available."""
    global _chosen  # noqa: PLW0603 - one choice per process, like the onnxruntime package that is installed
    short = name.removesuffix(_SUFFIX).lower()
    if short not in offered():
        raise ModelError(
            f"There is no execution provider {name[:40]!r} here; onnxruntime offers {', '.join(offered())}. "
            "Others come with their own build of it, like onnxruntime-gpu."
        )
    _chosen = short


def chosen() -> str:
    """The short name of the provider in use."""
    return _chosen


def providers() -> list[str]:
    """The chosen provider and, for operations that it lacks, the CPU, by onnxruntime's names."""
    return list(dict.fromkeys([offered()[_chosen], offered()[CPU]]))
