"""A model that OpenVINO runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.host import HostTensorBuilder
from inferox.backends.openvino.errors import translated
from inferox.backends.openvino.filling import round_places, round_tokens
from inferox.backends.openvino.integers import check_integers
from inferox.backends.openvino.request import compute
from inferox.core import (
    PAD_INDICES,
    TOKENS,
    UNPAD_INDICES,
    Dim,
    ExecutionError,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
)

Arrays = dict[str, npt.NDArray[Any]]


class OpenVinoModel(Model):
    """A compiled model of OpenVINO. A call that runs alone gets all threads.

    Concurrent calls share the threads in lanes, which then need not wait for each other within every layer (5% faster
    on 2 cores). For that, the model is compiled once more when it is first needed.

    Inputs are passed without a copy where possible; outputs are copied, since OpenVINO reuses their memory.

    Args:
        name: The name of the package.
        metadata: The facts about it.
        signature: The named tensors that it takes and returns.
        compiled: The model compiled for one call at a time.
        compile_for: Compiles the model once more, for a number of concurrent calls.
        streams: The number of calls that may be computed at once.
        weights_bytes: The memory of its weights.
    """

    takes_arrays: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        compiled: openvino.CompiledModel,
        *,
        compile_for: Callable[[int], openvino.CompiledModel],
        streams: int,
        weights_bytes: int,
    ) -> None:
        builder, memory = HostTensorBuilder(metadata.backend), MemoryRequirements(weights_bytes)
        super().__init__(name, metadata, signature, memory, builder=builder, border=translated, max_concurrency=streams)
        self._compile_for = compile_for
        self._lock = Lock()
        self._is_closed = False
        self._computing = 0
        self._whole: openvino.InferRequest | None = compiled.create_infer_request()
        self._lanes: _Lanes | None = None
        self._lanes_lock = Lock()

    def close(self) -> None:
        """Releases the compiled models. A call in progress in another thread still completes."""
        with self._lock:
            self._is_closed = True
            self._whole = self._lanes = None

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        # OpenVINO keeps no reference to memory that it shares: the arrays must outlive the call. It does not share
        # memory that is read-only.
        arrays = {name: np.require(array, requirements=["C", "W"]) for name, array in inputs.items()}
        check_integers(self.layout_signature.inputs, arrays)
        if self.metadata.layout is not Layout.PACKED:
            return self._compute_arrays(arrays)
        tokens, rows = len(arrays[UNPAD_INDICES]), len(arrays[PAD_INDICES])
        outputs = self._compute_arrays(round_tokens(round_places(arrays)))
        return {
            spec.name: outputs[spec.name][: tokens if spec.dims[0] == TOKENS else rows]
            for spec in self.layout_signature.outputs
        }

    def _compute_arrays(self, arrays: Arrays) -> Arrays:
        with self._counted() as is_alone:
            return self._compute_alone(arrays) if is_alone else self._compute_in_lane(arrays)

    @contextmanager
    def _counted(self) -> Iterator[bool]:
        """Counts a call, and tells whether no other is being computed."""
        with self._lock:
            if self._is_closed:
                raise self._closed()
            is_alone = self._computing == 0
            self._computing += 1
        try:
            yield is_alone
        finally:
            with self._lock:
                self._computing -= 1

    def _compute_alone(self, arrays: Arrays) -> Arrays:
        request = self._whole or self._compile_for(1).create_infer_request()
        try:
            outputs = self._infer(request, arrays)
        except BaseException:
            # Once a graph failed within its computation, some later calls get what it computed before
            # (seen with 2026.4): no other call may meet it.
            self._keep(None)
            self._keep(self._compile_for(1).create_infer_request())
            raise
        self._keep(request)
        return outputs

    def _keep(self, request: openvino.InferRequest | None) -> None:
        with self._lock:
            self._whole = None if self._is_closed else request

    def _compute_in_lane(self, arrays: Arrays) -> Arrays:
        lanes = self._open_lanes()
        lane = lanes.idle.get()
        try:
            outputs = self._infer(lane, arrays)
        except BaseException:
            lanes.failed.set()
            self._leave(lanes)  # for the reason that _compute_alone gives
            raise
        finally:
            lanes.idle.put(lane)
        # A call that failed in another lane meanwhile may have left its numbers where this one's belong.
        return self._compute_in_lane(arrays) if lanes.have_failed() else outputs

    def _open_lanes(self) -> _Lanes:
        with self._lanes_lock:
            lanes = self._lanes
            if lanes is None or lanes.failed.is_set():
                compiled = self._compile_for(self.max_concurrency)
                lanes = _Lanes([compiled.create_infer_request() for _ in range(self.max_concurrency)])
                with self._lock:
                    self._lanes = None if self._is_closed else lanes
            return lanes

    def _leave(self, lanes: _Lanes) -> None:
        with self._lock:
            if self._lanes is lanes:
                self._lanes = None

    def _infer(self, request: openvino.InferRequest, arrays: Arrays) -> Arrays:
        extents: dict[Dim, int] = {}
        for spec in self.layout_signature.inputs:
            request.set_tensor(spec.name, openvino.Tensor(arrays[spec.name], shared_memory=True))
            extents |= zip(spec.dims, arrays[spec.name].shape, strict=True)
        compute(request)
        outputs: Arrays = {}
        for spec in self.layout_signature.outputs:
            found = np.array(request.get_tensor(spec.name).data)
            if not spec.allows(found.shape, extents):
                # Some failures within the graph are not reported in any other way.
                raise ExecutionError(
                    f"openvino gave {spec.name} the shape {list(found.shape)}, but it must be {spec.shape_text}"
                )
            outputs[spec.name] = found
        return outputs


class _Lanes:
    """The requests of one compiled model that are computed concurrently.

    Attributes:
        idle: The requests that are not in use.
        failed: Set once one of them has failed.
    """

    def __init__(self, requests: list[openvino.InferRequest]) -> None:
        self.idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        self.failed = Event()
        self._requests = requests
        for request in requests:
            self.idle.put(request)

    def have_failed(self) -> bool:
        """Returns whether one of them has failed, even if the thread that waits for it does not know yet."""
        return self.failed.is_set() or any(map(_has_failed, self._requests))


def _has_failed(request: openvino.InferRequest) -> bool:
    try:
        request.wait_for(0)
    except RuntimeError:
        return True
    return False
