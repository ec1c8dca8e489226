"""One computation of a compiled model."""

from __future__ import annotations

import openvino


def compute(request: openvino.InferRequest) -> None:
    """Computes a request whose inputs are set, and raises where that fails.

    With one thread, ``infer`` returns as if all were well when a graph fails inside, and the outputs are those of the
    call before or memory that nobody wrote (seen with 2026.4). Waiting for a request that was started does raise. The
    request runs on OpenVINO's own threads either way, so that waiting takes no core.

    Args:
        request: The request.

    Raises:
        Exception: Whatever OpenVINO raises, to be translated by the caller. The graph of the compiled model that failed
            may answer later calls with what it computed before: compile the model again.
    """
    request.start_async()
    request.wait()
