"""The task ``raw``: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.batching import MAX_TOKENS
from inferox.core import (
    BATCH,
    Batch,
    ConfigError,
    Model,
    Outputs,
    RequestError,
    Signature,
    TensorSpec,
    UnknownInputError,
    join_rows,
)
from inferox.tasks.given_items import as_list, refuse_single
from inferox.tasks.number_lists import to_array
from inferox.tasks.options import optional_count
from inferox.tasks.task import Task
from inferox.tasks.truncation import check_truncation

Tensors = Mapping[str, Any]
"""A whole call: each input of the model by name, with all its dims, as an array or nested lists of numbers."""

Arrays = dict[str, npt.NDArray[Any]]

_NON_FINITE_HINT = "if the model takes them, pass --allow-nan on the command line, or use Model.forward"

_SAMPLE_EXTENTS = (1, 2, 5, 16)
"""The extents that the named dims of sample inputs take."""

_CALIBRATION_ROUNDS = 4
"""The number of times that each of these extents is drawn for a quantiser."""


class RawTask(Task):
    """Passes tensors through unchanged.

    Items are whole calls: each input by name, including its batch dim. An array must have the model's data type; nested
    lists, as in JSON, are converted to it. Results are the outputs by name, likewise. ``run`` computes each call by
    itself. ``encode`` gives the rows of all calls, and ``decode`` regroups them by call.

    Args:
        options: ``vocab_size``, the number of tokens from which sample inputs are drawn.
        signature: The model's signature.

    Raises:
        ManifestError: If an option is of the wrong type.
    """

    name: ClassVar[str] = "raw"

    def __init__(self, options: Mapping[str, Any], signature: Signature) -> None:
        self._signature = signature
        self._allow_non_finite = False
        self._vocab_size = optional_count(options, "vocab_size", least=1)

    @property
    def pad_values(self) -> Mapping[str, int]:
        """Empty, since it is unknown whether padding would change a tensor's meaning."""
        return {}

    def allowing_non_finite(self) -> RawTask:
        """Returns the same task for a model that takes NaN and infinities."""
        other = copy(self)
        other._allow_non_finite = True  # noqa: SLF001 - a copy of this one
        return other

    def run(self, model: Model, items: Sequence[Tensors], *, truncate: str = "cut") -> list[Arrays]:
        """Computes each call by itself; see ``Task``. Nothing is ever truncated."""
        check_truncation(truncate)
        return [self.compute_call(model, call) for call in self.read_calls(items)]

    def compute_batches(
        self,
        model: Model,
        items: Sequence[Tensors],
        batch: Batch,  # noqa: ARG002 - rows of several calls never share a batch
        *,
        max_tokens: int = MAX_TOKENS,  # noqa: ARG002 - a call is never divided
    ) -> Iterator[tuple[list[int], list[Arrays]]]:
        """Computes each call by itself; see ``Task``."""
        for index, call in enumerate(self.read_calls(items)):
            yield [index], [self.compute_call(model, call)]

    def compute_call(self, model: Model, call: Arrays) -> Arrays:
        """Computes a call.

        Args:
            model: The model, of the signature that the task was opened for.
            call: The call, as ``read_calls`` returned it.

        Returns:
            The outputs by name.

        Raises:
            BackendError: If the runtime fails.
        """
        return {name: tensor.numpy() for name, tensor in model.forward(call).items()}

    def encode(self, items: Sequence[Tensors]) -> Batch:
        """Splits calls into rows.

        Args:
            items: The calls.

        Returns:
            The rows of every call in order, ``count_rows`` of each.

        Raises:
            RequestError: If a call does not fit the signature, or has NaN or infinite numbers.
            ConfigError: If the model has no batch dim that all its inputs and outputs share.
        """
        self._require_batch()
        calls = self.read_calls(items)
        if not calls:
            return Batch.of_rows({spec.name: np.empty(0, dtype=object) for spec in self._signature.inputs})
        return Batch.of_rows(
            {spec.name: join_rows([call[spec.name] for call in calls]) for spec in self._signature.inputs}
        )

    def decode(
        self,
        items: Sequence[Tensors],
        batch: Batch,  # noqa: ARG002 - the items say how many rows each has
        outputs: Outputs,
    ) -> list[dict[str, npt.NDArray[Any]]]:
        """Joins the outputs of each call's rows; see ``Task``."""
        bounds = np.cumsum([0, *map(self.count_rows, items)]).tolist()
        return [
            {name: outputs.of_rows(name)[first:after] for name in self._signature.output_names}
            for first, after in pairwise(bounds)
        ]

    def count_rows(self, item: Tensors) -> int:
        """The number of rows of a call; see ``Task``."""
        return len(next(iter(item.values())))

    def count_batch(self, call: Arrays) -> int:
        """Returns the extent of a call's batch dim; 1 if its inputs have none, or it is empty.

        Args:
            call: The call, as ``read_calls`` returned it.
        """
        batched = [spec for spec in self._signature.inputs if BATCH in spec.dims]
        extents: list[int] = [call[spec.name].shape[spec.dims.index(BATCH)] for spec in batched]
        return max([1, *extents])

    def calibration_items(self) -> list[dict[str, npt.NDArray[Any]]]:
        """Makes random tensors of the same kind as the samples; see ``Task``."""
        random = np.random.default_rng(1)
        return [self._draw(extent, random) for _ in range(_CALIBRATION_ROUNDS) for extent in _SAMPLE_EXTENTS]

    def samples(self) -> list[list[dict[str, npt.NDArray[Any]]]]:
        """Makes random tensors of several extents; see ``Task``.

        Floating-point inputs are drawn from the standard normal distribution, ``input_ids`` from the vocabulary, and
        other indices from their whole range. Masks are ones. Integers of unknown meaning are zeros, which are valid
        indices of every table.
        """
        random = np.random.default_rng(0)
        return [[self._draw(extent, random)] for extent in _SAMPLE_EXTENTS]

    def _draw(self, extent: int, random: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
        return {spec.name: self._draw_input(spec, extent, random) for spec in self._signature.inputs}

    def _draw_input(self, spec: TensorSpec, extent: int, random: np.random.Generator) -> npt.NDArray[Any]:
        # Rows in a batch are compared with single rows, so calls have one row and three in turn.
        rows = 1 + extent % 2 * 2
        shape = tuple(dim if isinstance(dim, int) else rows if dim == BATCH else extent for dim in spec.dims)
        dtype = spec.dtype.numpy_dtype
        if spec.dtype.is_floating:
            return random.standard_normal(shape).astype(dtype)
        if spec.upper_bound is not None:
            return random.integers(0, spec.upper_bound, shape).astype(dtype)
        if spec.name == "input_ids" and self._vocab_size:
            return random.integers(0, self._vocab_size, shape).astype(dtype)
        return np.full(shape, int("mask" in spec.name), dtype=dtype)

    def _require_batch(self) -> None:
        firsts = {spec.dims[:1] for spec in (*self._signature.inputs, *self._signature.outputs)}
        if len(firsts) != 1 or () in firsts:
            raise ConfigError("the model has no batch dim that all its inputs and outputs share, so calls have no rows")

    def read_calls(self, items: Sequence[Tensors]) -> list[Arrays]:
        """Checks calls against the signature, and converts their lists to arrays.

        Args:
            items: The calls.

        Raises:
            RequestError: If they are not a list, a call does not fit the signature, or it has NaN or infinite numbers.
        """
        if isinstance(items, Mapping):
            raise RequestError("expected a list of calls, but got a single one", hint="put it in a list")
        refuse_single(items, "a list of calls")
        calls = []
        for index, item in enumerate(as_list(items)):
            subject = f"call {index}"
            try:
                calls.append(self._call(item, subject))
            except RequestError as error:
                error.item = index
                if subject in error.message:
                    error.naming_item(index, "call {}")
                raise
        return calls

    def _call(self, item: Tensors, subject: str) -> Arrays:
        if not isinstance(item, Mapping):
            raise RequestError(f"{subject} must give each input by name, but is of the type {type(item).__name__}")
        by_name = {spec.name: spec for spec in self._signature.inputs}
        missing, unexpected = (
            [name for name in by_name if name not in item],
            [name for name in item if name not in by_name],
        )
        if missing or unexpected:
            raise UnknownInputError(missing=missing, unexpected=unexpected, expected=tuple(by_name))
        call = {
            name: to_array(item[name], spec.dtype, f"input {name!r} of {subject}") for name, spec in by_name.items()
        }
        self._signature.check_inputs(call)
        for name, array in call.items():
            if not self._allow_non_finite and by_name[name].dtype.is_floating and not np.isfinite(array).all():
                raise RequestError(f"input {name!r} of {subject} has NaN or infinite numbers", hint=_NON_FINITE_HINT)
        return call
