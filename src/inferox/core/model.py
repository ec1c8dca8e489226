"""A model: an artifact loaded on a device, ready to compute."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import BoundedSemaphore, Lock
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.core.artifact import Layout
from inferox.core.batch import Batch
from inferox.core.border import ErrorBorder
from inferox.core.closing import Closing
from inferox.core.empty_calls import has_no_elements, has_only_token_outputs, require_tokens
from inferox.core.errors import ConfigError, ExecutionError, LoadError, UnknownInputError
from inferox.core.given import missing_inputs, name_inputs, read_inputs
from inferox.core.layout import pad_batch
from inferox.core.model_metadata import ModelMetadata
from inferox.core.outputs import Outputs
from inferox.core.packed import pack_batch, packed_signature, padded_signature, read_padded, repad
from inferox.core.shown_text import shown
from inferox.core.spec import BATCH, SEQUENCE, Signature
from inferox.core.tensor import Tensor, TensorBuilder, TensorLike, to_array
from inferox.core.trace import span


@dataclass(frozen=True)
class MemoryRequirements:
    """The memory that a model needs on its device.

    Attributes:
        weights_bytes: The size of the weights, in the precision in which they are held.
    """

    weights_bytes: int


@dataclass(frozen=True)
class BatchLimits:
    """The limits of the batches that a model takes.

    Attributes:
        rows: The most rows of a batch; ``None`` if there is no limit.
        is_fixed: Whether a batch costs the same however few rows it has, because the model always computes ``rows``.
        tokens_per_row: The most tokens of a row; ``None`` if there is no limit, or rows have no tokens.
    """

    rows: int | None = None
    is_fixed: bool = False
    tokens_per_row: int | None = None


class Model(Closing):
    """An artifact loaded on a device. Several threads may call ``compute`` and ``forward`` at once.

    At most ``max_concurrency`` calls compute at the same time, so that together they stay within the thread budget;
    others wait their turn. A model is a context manager that closes itself.

    Args:
        name: The name of the package that it comes from.
        metadata: The facts about it, and why it was chosen.
        signature: The named tensors that the artifact takes and returns, in its own layout.
        memory: The memory that it needs.
        builder: Makes tensors from outputs that are computed as arrays, on the artifact's device.
        border: Translates what the runtime raises; ``None`` if nothing is known about its exceptions.
        max_concurrency: The most calls that may compute at once.

    Attributes:
        name: The name of the package that it comes from.
        metadata: The facts about it, and why it was chosen.
        signature: The named tensors that ``forward`` takes and returns: padded, whatever the layout of the artifact.
        layout_signature: The named tensors of the artifact's own layout.
        max_concurrency: The most calls that compute at once within the thread budget; further callers wait.

    Raises:
        LoadError: If the signature of a packed artifact is not that of a packed layout.
    """

    takes_arrays: ClassVar[bool] = False
    """Whether ``_compute`` takes only NumPy arrays, as it does for a runtime without tensors of its own."""

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        memory: MemoryRequirements,
        *,
        builder: TensorBuilder,
        border: ErrorBorder | None = None,
        max_concurrency: int = 1,
    ) -> None:
        self.name = name
        self.metadata = metadata
        self.layout_signature = signature
        self._is_packed = metadata.layout is Layout.PACKED
        self.signature = padded_signature(signature) if self._is_packed else signature
        # The dims after the tokens', or in place of them, are checked for each batch.
        self._has_only_token_inputs = all(spec.dims == (BATCH, SEQUENCE) for spec in self.signature.inputs)
        if self._is_packed and packed_signature(self.signature) != signature:
            raise LoadError(
                f"{metadata.artifact} states a signature that is not of the packed layout: "
                f"{', '.join(map(str, signature.inputs))}",
                hint="pack the model again",
            )
        self._memory = memory
        self._builder = builder
        self._border = border or ErrorBorder(f"the backend {metadata.backend}")
        self.max_concurrency = max_concurrency
        # A lock is taken in a tenth of the time that a semaphore needs.
        self._turns = Lock() if max_concurrency == 1 else BoundedSemaphore(max_concurrency)

    def note_invariance(self, batch_invariant: bool | None) -> None:
        """Records in the metadata whether the artifact was measured to be batch invariant.

        Args:
            batch_invariant: As in ``ModelMetadata``.
        """
        self.metadata = replace(self.metadata, batch_invariant=batch_invariant)
        self.__dict__.pop("limits", None)  # which say how many rows may share a batch

    @cached_property
    def limits(self) -> BatchLimits:
        """The limits of the batches that it takes.

        Raises:
            ConfigError: If its rows are not computed independently: an input or output has no batch dim.
        """
        fixed = self._fixed_rows
        alone = self.metadata.batch_invariant is False
        tokens = self.signature.limits.get(SEQUENCE)
        rows = self.signature.limits.get(BATCH) if fixed is None else fixed
        return BatchLimits(1 if alone else rows, is_fixed=fixed is not None, tokens_per_row=tokens)

    @cached_property
    def _fixed_rows(self) -> int | None:
        return _fixed_rows(self.signature)

    def memory_requirements(self) -> MemoryRequirements:
        """The memory that it needs."""
        return self._memory

    def compute(self, batch: Batch) -> Outputs:
        """Computes a batch in the artifact's own layout.

        Args:
            batch: At least one row, and at most ``limits.rows``. Inputs that the signature does not list are left out.

        Returns:
            The outputs of each row or token, which stay on the model's device until they are read.

        Raises:
            UnknownInputError: If an input is missing.
            ShapeMismatchError: If a shape is not what the signature says, there are no rows, or a row has no tokens.
            DTypeMismatchError: If a data type is not what the signature says.
            InputTooLongError: If a row is longer than the model takes.
            RequestError: If an index, such as a token's, is out of range.
            OutOfMemoryError: If the device does not have enough memory.
            ExecutionError: If the runtime fails, or the model is closed.
        """
        with span.get()("lay out"):
            arrays = self._lay_out(batch)
        return Outputs(self._run(arrays), self.layout_signature, batch)

    def _lay_out(self, batch: Batch) -> dict[str, npt.NDArray[Any]]:
        if self._is_packed:
            return pack_batch(batch, self.signature)
        arrays = pad_batch(self._repeat_last_row(batch), self.signature)
        if not self._has_only_token_inputs:
            self.signature.check_shapes(arrays)
        return arrays

    def __call__(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        """Computes padded tensors like ``forward``, with the calling convention of a PyTorch module.

        Args:
            inputs: Tensors, in the order of the signature; or one mapping of tensors by name.
            named: The other tensors, by their names.
        """
        return self.forward(name_inputs(inputs, named, self.signature))

    def forward(self, inputs: Mapping[str, Any] | Any) -> dict[str, Tensor]:
        """Computes padded tensors.

        Args:
            inputs: The tensors by name, as the signature lists them: Inferox's own, NumPy arrays, those of any library
                that supports DLPack, such as PyTorch, or lists of numbers, which are converted to the signature's data
                type. Arrays and tensors are not copied where the backend allows it. ``attention_mask`` defaults to
                ones, and ``token_type_ids`` to zeros; where a single input is left to give, that tensor alone will do.
                A packed artifact requires an ``attention_mask`` of ones followed by zeros.

        Returns:
            The outputs by name, on the model's device. Values at padded positions have no meaning and differ between
            artifacts: packed ones give zeros there. If the inputs' shapes leave no output an element, as when there
            are no rows, nothing is computed, and a named dim that no input has is 0.

        Raises:
            UnknownInputError: If an input is missing or unknown.
            ShapeMismatchError: If a shape is not what the signature says.
            DTypeMismatchError: If a data type is not what the signature says.
            InputTooLongError: If a row is longer than the model takes.
            RequestError: If a value is neither a tensor nor a list of numbers, an index, such as a token's, is out of
                range, a row of a text model with row-level outputs has no tokens, or a packed artifact cannot take the
                mask.
            OutOfMemoryError: If the device does not have enough memory.
            ExecutionError: If the runtime fails, or the model is closed.
        """
        given = read_inputs(self._by_name(inputs), self.signature, self._builder)
        extents = self.signature.check_inputs(given)
        if has_no_elements(self.signature, extents):
            return self._make_zeros(extents)
        named = {name: given[name] for name in self.signature.input_names}
        if self._is_packed:
            outputs = self._forward_packed({name: to_array(value) for name, value in named.items()}, extents)
        else:
            require_tokens(named, self.signature)
            outputs = self._run(
                {name: to_array(value) for name, value in named.items()} if self.takes_arrays else named
            )
        return {
            name: value if isinstance(value, Tensor) else self._builder.from_numpy(value)
            for name, value in outputs.items()
        }

    def _forward_packed(
        self, arrays: Mapping[str, npt.NDArray[Any]], extents: Mapping[str, int]
    ) -> Mapping[str, TensorLike]:
        batch, lengths = read_padded(arrays, self.signature)
        if not len(batch) and has_only_token_outputs(self.signature):
            return self._make_zeros(extents)
        computed = self.compute(batch)
        return {
            spec.name: repad(computed.of_tokens(spec.name), lengths, extents[SEQUENCE])
            if spec.dims[:2] == (BATCH, SEQUENCE)
            else computed.of_rows(spec.name)
            for spec in self.signature.outputs
        }

    def _make_zeros(self, extents: Mapping[str, int]) -> dict[str, Tensor]:
        return {spec.name: self._builder.zeros(spec.shape_for(extents), spec.dtype) for spec in self.signature.outputs}

    def _run(self, inputs: Mapping[str, Any]) -> Mapping[str, TensorLike]:
        """Computes outputs from inputs in the artifact's own layout that are known to fit its signature."""
        with self._turns, span.get()("compute"):
            try:
                return self._check_outputs(self._compute(inputs))
            except BaseException as error:  # noqa: BLE001 - always raises
                self._border.translate(error, f"computing {self.name!r}", default=ExecutionError)

    def _check_outputs(self, outputs: Any) -> Mapping[str, TensorLike]:
        if not isinstance(outputs, Mapping):
            raise self._wrong_outputs(f"a value of the type {type(outputs).__name__} in place of outputs by name")
        for name, value in outputs.items():
            if not isinstance(value, Tensor | np.ndarray):
                raise self._wrong_outputs(f"a value of the type {type(value).__name__} as the output {shown(name)}")
        if lacking := [name for name in self.layout_signature.output_names if name not in outputs]:
            raise self._wrong_outputs(f"no {', '.join(map(shown, lacking))}")
        return outputs

    def _wrong_outputs(self, what: str) -> ExecutionError:
        return ExecutionError(
            f"the backend {self.metadata.backend} returned {what} from computing {self.name!r}",
            hint="report it to the authors of the backend",
        )

    def _repeat_last_row(self, batch: Batch) -> Batch:
        """Repeats the batch's last row to the number of rows with which the model was traced."""
        fixed = self.layout_signature.inputs[0].dims[:1]
        rows = batch.row_count
        if not rows or not fixed or not isinstance(fixed[0], int) or rows >= fixed[0]:
            return batch
        return batch.select([*range(rows), *[rows - 1] * (fixed[0] - rows)])

    @abstractmethod
    def _compute(self, inputs: Mapping[str, Any]) -> Mapping[str, TensorLike]:
        """Computes outputs from inputs in the artifact's own layout that are known to fit its signature.

        Whatever it raises is translated by the ``border``.

        Args:
            inputs: NumPy arrays by name, in the order of the signature; tensors may be among them unless the class
                ``takes_arrays``.

        Returns:
            Every output by name, as a tensor of the backend or as an array.
        """

    def _closed(self) -> ExecutionError:
        """Returns the error that ``_compute`` raises once the model is closed."""
        return ExecutionError(f"the model {self.name!r} is closed", hint="load it again")

    def _by_name(self, inputs: Mapping[str, Any] | Any) -> Mapping[str, Any]:
        if isinstance(inputs, Mapping):
            return inputs
        required = missing_inputs((), self.signature)
        if len(required) != 1:
            names = self.signature.input_names
            raise UnknownInputError(missing=required, unexpected=(), expected=names, unnamed=type(inputs))
        return {required[0]: inputs}


def _fixed_rows(signature: Signature) -> int | None:
    """Returns the number of rows with which a model was traced; ``None`` if every call may choose it."""
    firsts = {spec.dims[0] if spec.dims else None for spec in (*signature.inputs, *signature.outputs)}
    first = firsts.pop() if len(firsts) == 1 else None
    if first is None or (first != BATCH and (isinstance(first, str) or first < 1)):
        specs = ", ".join(str(spec) for spec in (*signature.inputs, *signature.outputs))
        raise ConfigError(
            f"the model has no batch dim that all its inputs and outputs share: {specs}",
            hint="use the task raw, which passes tensors on as they are",
        )
    return first if isinstance(first, int) else None
