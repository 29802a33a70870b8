"""Logitscope: a desktop microscope for GPT-2."""

import os

__version__ = "0.1.0"

# What numpy multiplies here is small; its BLAS would keep every core spinning between two products, and takes ten times
# as long where something else wants a core. onnxruntime, which does the large work, has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
