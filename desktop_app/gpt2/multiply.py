"""Matrix products by onnxruntime on the calling thread, for threads that each do a piece of the work.

Numpy's products run on all cores and wait for each other's threads between two pieces; onnxruntime's take two thirds of
their processor time (Intel, AVX-512), and give the same bits however many threads call.
"""

from functools import cache

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from desktop_app.gpt2.graph import IR_VERSION, OPSET


def times_rows(vectors: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The dot product of each of `vectors` [m, n] with each of `rows` [p, n]: [m, p].

    Contiguous arrays are not copied.
    """
    feeds = {"vectors": np.ascontiguousarray(vectors), "rows": np.ascontiguousarray(rows)}
    found: NDArray[np.float32] = _session().run(["products"], feeds)[0]
    return found


@cache
def _session() -> ort.InferenceSession:
    def value(name: str, *shape: str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    node = helper.make_node("Gemm", ["vectors", "rows"], ["products"], transB=1)
    inputs = [value("vectors", "m", "n"), value("rows", "p", "n")]
    graph = helper.make_graph([node], "products", inputs, [value("products", "m", "p")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the memory of the largest product
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
