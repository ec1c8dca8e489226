"""A model that OpenVINO runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.host import HostTensor
from inferox.backends.openvino.errors import translated
from inferox.core import ExecutionError, MemoryRequirements, Model, ModelMetadata, Signature, Tensor, TensorLike


class OpenVinoModel(Model):
    """A compiled model of OpenVINO. Calls at once each have a request of their own; they share one pool of threads.

    Inputs are taken over without a copy; outputs are copied out of the request's memory, which is used again.

    Args:
        name: The name of the package.
        metadata: What it is.
        signature: The named tensors that it takes and gives.
        compiled: What computes it.
        weights_bytes: The memory that its weights take.
    """

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        compiled: openvino.CompiledModel,
        *,
        weights_bytes: int,
    ) -> None:
        super().__init__(name, metadata, signature, MemoryRequirements(weights_bytes))
        self._compiled: openvino.CompiledModel | None = compiled
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()

    def close(self) -> None:
        """Lets go of the compiled model. A ``forward`` that is under way in another thread still ends well."""
        self._compiled = None
        self._idle = SimpleQueue()

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        compiled = self._compiled
        if compiled is None:
            raise self._closed()
        with translated(f"computing {self._name}", default=ExecutionError), self._request(compiled) as request:
            for spec in self._signature.inputs:
                request.set_tensor(spec.name, openvino.Tensor(_to_array(inputs[spec.name]), shared_memory=True))
            request.infer()
            return {
                name: HostTensor(np.array(request.get_tensor(name).data), "openvino")
                for name in self._signature.output_names
            }

    @contextmanager
    def _request(self, compiled: openvino.CompiledModel) -> Iterator[openvino.InferRequest]:
        idle = self._idle
        try:
            request = idle.get_nowait()
        except Empty:
            request = compiled.create_infer_request()
        yield request
        # Not reached after a failure: what state that left the request in, no other call shall meet.
        idle.put(request)


def _to_array(value: TensorLike) -> npt.NDArray[Any]:
    """The memory of an input in row-major order; a copy where it is read-only, which OpenVINO does not share."""
    return np.require(value if isinstance(value, np.ndarray) else value.numpy(), requirements=["C", "W"])
