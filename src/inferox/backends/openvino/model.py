"""A model that OpenVINO runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.host import HostTensor
from inferox.backends.openvino.compilation import Goal
from inferox.backends.openvino.errors import translated
from inferox.backends.openvino.filling import pad_to_multiple
from inferox.backends.openvino.integers import check_integers
from inferox.backends.openvino.request import compute
from inferox.core import (
    Dim,
    ExecutionError,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
    Tensor,
    TensorLike,
    to_array,
)

_MANY = 32
"""So many calls of the usual size take longer than it takes to compile the model once more."""


class OpenVinoModel(Model):
    """A compiled model of OpenVINO. Calls at once are computed one after the other, each on all threads.

    Many calls together are faster side by side, each on its share of the threads, which then need not wait for each
    other within every layer (5% faster on 2 cores). For that the model is compiled once more when it is first needed.

    Inputs are taken over without a copy where they can be; outputs are copied out of memory that is used again.

    Args:
        name: The name of the package.
        metadata: What it is.
        signature: The named tensors that it takes and gives.
        compiled: What computes it.
        compile_for: Compiles it once more.
        threads: How many CPU threads it may use.
        weights_bytes: The memory that its weights take.
    """

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        compiled: openvino.CompiledModel,
        *,
        compile_for: Callable[[Goal], openvino.CompiledModel],
        threads: int,
        weights_bytes: int,
    ) -> None:
        super().__init__(name, metadata, signature, MemoryRequirements(weights_bytes))
        self._compile_for = compile_for
        self._threads = threads
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        self._lock = Lock()
        self._lanes: list[openvino.InferRequest] = []
        self._lanes_lock = Lock()

    def close(self) -> None:
        """Lets go of the compiled models. A ``forward`` that is under way in another thread still ends well."""
        with self._lock:
            self._request = None
            self._lanes = []

    def forward_all(self, calls: Iterable[Mapping[str, TensorLike]], count: int) -> Iterator[dict[str, Tensor]]:
        """Computes many calls; see ``Model``. Other callers' ``forward`` competes with them for the threads."""
        if count < _MANY or self._threads == 1 or not self._lanes_lock.acquire(blocking=False):
            yield from super().forward_all(calls, count)
            return
        try:
            yield from self._compute_side_by_side(calls, self._open_lanes())
        finally:
            self._lanes_lock.release()

    def _open_lanes(self) -> list[openvino.InferRequest]:
        if self._lanes:
            return self._lanes
        with translated(f"loading {self._name} for many calls", default=ExecutionError):
            compiled = self._compile_for(Goal.THROUGHPUT)
            count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            lanes = [compiled.create_infer_request() for _ in range(count)]
        with self._lock:
            if self._request is None:
                raise self._closed()
            self._lanes = lanes
        return lanes

    def _compute_side_by_side(
        self, calls: Iterable[Mapping[str, TensorLike]], lanes: Sequence[openvino.InferRequest]
    ) -> Iterator[dict[str, Tensor]]:
        idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for lane in lanes:
            idle.put(lane)
        failed = Event()

        def compute_one(inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
            arrays = self._to_arrays(self._checked(inputs))
            lane = idle.get()
            try:
                with translated(f"computing {self._name}", default=ExecutionError):
                    outputs = self._infer(lane, arrays)
            except BaseException:
                failed.set()
                self._lanes = []  # for the reason that _compute gives
                raise
            finally:
                idle.put(lane)
            # A call that failed in another lane meanwhile may have left its numbers where this one's belong.
            return self._compute(inputs) if failed.is_set() else outputs

        running: deque[Future[dict[str, Tensor]]] = deque()
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="openvino") as pool:
            try:
                for inputs in calls:
                    running.append(pool.submit(compute_one, inputs))
                    if len(running) > len(lanes):
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()

    def _to_arrays(self, inputs: Mapping[str, TensorLike]) -> dict[str, npt.NDArray[Any]]:
        # OpenVINO keeps no reference to memory that it shares: the arrays must outlive the call.
        arrays = {name: _to_shared(inputs[name]) for name in self._signature.input_names}
        for spec in self._signature.inputs:
            check_integers(spec, arrays[spec.name])
        return pad_to_multiple(arrays) if self._metadata.layout is Layout.PACKED else arrays

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        arrays = self._to_arrays(inputs)
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
                self._request = self._compile_for(Goal.LATENCY).create_infer_request()
                raise

    def _infer(self, request: openvino.InferRequest, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
        extents: dict[Dim, int] = {}
        for spec in self._signature.inputs:
            request.set_tensor(spec.name, openvino.Tensor(arrays[spec.name], shared_memory=True))
            extents |= zip(spec.dims, arrays[spec.name].shape, strict=True)
        compute(request)
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


def _to_shared(value: TensorLike) -> npt.NDArray[Any]:
    """The memory of an input in row-major order; a copy where it is read-only, which OpenVINO does not share."""
    return np.require(to_array(value), requirements=["C", "W"])
