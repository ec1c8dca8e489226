"""A model that OpenVINO runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.host import HostTensorBuilder
from inferox.backends.openvino.errors import translated
from inferox.backends.openvino.integers import check_integers
from inferox.backends.openvino.lanes import Arrays, Lanes
from inferox.backends.openvino.request import compute
from inferox.backends.openvino.shape_rounding import round_places, round_tokens
from inferox.core import (
    PAD_INDICES,
    TOKENS,
    UNPAD_INDICES,
    Dim,
    ExecutionError,
    InferoxError,
    Layout,
    LoadError,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
)

_logger = logging.getLogger(__name__)

_MOST_TURNS = 3
"""The number of times that a call waits for the request that has all threads, where calls before it keep failing. After
that, it has a compilation of its own."""


class OpenVinoModel(Model):
    """A compiled model of OpenVINO. A call that runs alone gets all threads.

    Concurrent calls share the threads in lanes, which then need not wait for each other within every layer (5% faster
    on 2 cores). For that, the model is compiled once more when it is first needed. Where lanes cannot be used because a
    call in them has failed, the calls beside it take turns with all threads; so do all calls from then on if it cannot
    be compiled for lanes, for which there may be too little memory.

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
        self._whole = Lanes(compile_for, 1, compiled)
        self._lanes = Lanes(compile_for, streams, on_failure=partial(_warn_of_turns, name))

    def close(self) -> None:
        """Releases the compiled models once no call in another thread is in progress."""
        with self._lock:
            self._is_closed = True
            self._whole.close()
            self._lanes.close()
            self._release_if_over()

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
        infer = partial(self._infer, arrays)
        with self._counted() as is_alone:
            outputs = None if is_alone else self._lanes.compute(infer, waits=False)
            for _ in range(_MOST_TURNS):
                if outputs is None:
                    outputs = self._whole.compute(infer, waits=True)
            return infer(self._compile_for(1).create_infer_request()) if outputs is None else outputs

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
                self._release_if_over()

    def _release_if_over(self) -> None:
        if self._is_closed and self._computing == 0:
            self._whole.release()
            self._lanes.release()

    def _infer(self, arrays: Arrays, request: openvino.InferRequest) -> Arrays:
        extents: dict[Dim, int] = {}
        for spec in self.layout_signature.inputs:
            request.set_tensor(spec.name, openvino.Tensor(arrays[spec.name], shared_memory=True))
            extents |= zip(spec.dims, arrays[spec.name].shape, strict=True)
        compute(request)
        # All shapes before any copy: calls beside this one do not know of such a failure until it is raised here.
        found = {spec.name: request.get_tensor(spec.name) for spec in self.layout_signature.outputs}
        for spec in self.layout_signature.outputs:
            shape = list(found[spec.name].shape)
            if not spec.allows(shape, extents):
                # Some failures within the graph are not reported in any other way.
                raise ExecutionError(f"openvino gave {spec.name} the shape {shape}, but it must be {spec.shape_text}")
        return {name: np.array(tensor.data) for name, tensor in found.items()}


def _warn_of_turns(name: str, error: BaseException) -> None:
    try:
        translated.translate(error, f"compiling {name!r} for concurrent calls", default=LoadError)
    except InferoxError as translation:
        _logger.warning("concurrent calls of %s take turns: %s", name, translation)
