"""One computation of a compiled model."""

from __future__ import annotations

import openvino


def compute(request: openvino.InferRequest) -> None:
    """Computes a request whose inputs are set, and raises an error if that fails.

    With one thread, ``infer`` returns normally even if the graph fails, and the outputs are those of the previous call
    or uninitialised memory (seen with 2026.4). Waiting for a started request does raise. The request runs on OpenVINO's
    own threads either way, so waiting does not use a core.

    Args:
        request: The request.

    Raises:
        Exception: Whatever OpenVINO raises, to be translated by the caller. The graph of the compiled model that failed
            may answer later calls with what it computed before: compile the model again.
    """
    request.start_async()
    request.wait()
