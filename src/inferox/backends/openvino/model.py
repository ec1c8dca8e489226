"""A model that OpenVINO runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.host import HostTensor
from inferox.backends.openvino.errors import translated
from inferox.core import Dim, ExecutionError, MemoryRequirements, Model, ModelMetadata, Signature, Tensor, TensorLike


class OpenVinoModel(Model):
    """A compiled model of OpenVINO. Calls at once are computed one after the other, each on all threads.

    Inputs are taken over without a copy where they can be; outputs are copied out of memory that is used again.

    Args:
        name: The name of the package.
        metadata: What it is.
        signature: The named tensors that it takes and gives.
        compiled: What computes it.
        compile_again: Compiles it once more.
        weights_bytes: The memory that its weights take.
    """

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        compiled: openvino.CompiledModel,
        *,
        compile_again: Callable[[], openvino.CompiledModel],
        weights_bytes: int,
    ) -> None:
        super().__init__(name, metadata, signature, MemoryRequirements(weights_bytes))
        self._compile_again = compile_again
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        self._lock = Lock()

    def close(self) -> None:
        """Lets go of the compiled model. A ``forward`` that is under way in another thread still ends well."""
        with self._lock:
            self._request = None

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        # OpenVINO keeps no reference to memory that it shares: the arrays must outlive the call.
        arrays = {name: _to_array(inputs[name]) for name in self._signature.input_names}
        with translated(f"computing {self._name}", default=ExecutionError), self._lock:
            request = self._request
            if request is None:
                raise self._closed()
            try:
                return self._infer(request, arrays)
            except BaseException:
                # Once a graph failed within its computation, some later calls get what it computed before
                # (seen with 2026.4): no other call may meet it.
                self._request = None
                self._request = self._compile_again().create_infer_request()
                raise

    def _infer(self, request: openvino.InferRequest, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
        extents: dict[Dim, int] = {}
        for spec in self._signature.inputs:
            request.set_tensor(spec.name, openvino.Tensor(arrays[spec.name], shared_memory=True))
            extents |= zip(spec.dims, arrays[spec.name].shape, strict=True)
        request.infer()
        outputs: dict[str, Tensor] = {}
        for spec in self._signature.outputs:
            found = np.array(request.get_tensor(spec.name).data)
            if not spec.allows(found.shape, extents):
                # Some failures within the graph are not reported in any other way.
                raise ExecutionError(
                    f"openvino gave {spec.name} the shape {list(found.shape)}, which must be {spec.shape_text}"
                )
            outputs[spec.name] = HostTensor(found, "openvino")
        return outputs


def _to_array(value: TensorLike) -> npt.NDArray[Any]:
    """The memory of an input in row-major order; a copy where it is read-only, which OpenVINO does not share."""
    return np.require(value if isinstance(value, np.ndarray) else value.numpy(), requirements=["C", "W"])
