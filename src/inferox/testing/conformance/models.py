"""Tests of models: correct numbers for concurrent callers, and clear errors for inputs that do not fit."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import numpy as np
import pytest

from inferox.backends.host import HostTensor
from inferox.core import (
    MASK,
    SEQUENCE,
    Batch,
    DataType,
    DTypeMismatchError,
    ExecutionError,
    InferoxError,
    Model,
    RequestError,
    ShapeMismatchError,
    TensorBuilder,
    TensorLike,
    UnknownInputError,
    can_be_packed,
)
from inferox.core.given import missing_inputs
from inferox.testing.conformance.subject import Arrays, Subject, read

_THREADS = 8
_CALLS = 48


class ModelTests(Subject):
    """Tests of the contract of ``inferox.core.Model``. Inputs and outputs have the rows on their first axis."""

    def test_it_computes_the_right_numbers(self, model: Model) -> None:
        for seed, rows in enumerate((1, 2, 7, 32, 2, 1)):
            self.assert_computes(model, self.make_inputs(rows, seed=seed))

    def test_outputs_are_as_the_signature_states(self, model: Model) -> None:
        outputs = model.forward(self.make_inputs(5))
        assert list(outputs) == list(model.signature.output_names)
        for spec in model.signature.outputs:
            assert outputs[spec.name].dtype is spec.dtype
            assert outputs[spec.name].device == model.metadata.device
            assert len(outputs[spec.name].shape) == len(spec.dims)

    def test_batched_equals_single(self, model: Model) -> None:
        inputs = self.make_inputs(9)
        together = read(model.forward(inputs))
        alone = [
            read(model.forward({name: array[row : row + 1] for name, array in inputs.items()})) for row in range(9)
        ]
        for name, array in together.items():
            np.testing.assert_allclose(
                np.concatenate([outputs[name] for outputs in alone]), array, rtol=1e-5, atol=1e-5
            )

    def test_rows_do_not_depend_on_their_order(self, model: Model) -> None:
        inputs = self.make_inputs(6)
        turned = read(model.forward({name: array[::-1].copy() for name, array in inputs.items()}))
        for name, array in read(model.forward(inputs)).items():
            np.testing.assert_allclose(turned[name][::-1], array, rtol=1e-5, atol=1e-5)

    def test_no_rows_have_an_answer_in_the_shapes_that_the_signature_states(self, model: Model) -> None:
        inputs = self.make_inputs(0)
        self._assert_empty(model, inputs)
        if self._takes_tokens(model):
            self._assert_empty(model, {name: array[:, :0] for name, array in inputs.items()})

    def test_rows_without_tokens_have_an_answer_only_where_all_outputs_are_of_tokens(self, model: Model) -> None:
        if not self._takes_tokens(model):
            pytest.skip("the model takes no tokens")
        inputs = self.make_inputs(3)
        short = {name: array[:, :0] for name, array in inputs.items()}
        masked = {**inputs, MASK: inputs[MASK] * np.array([[1], [0], [1]])}
        if all(SEQUENCE in spec.dims for spec in model.signature.outputs):
            self._assert_empty(model, short)
            assert all(tensor.shape[0] == len(inputs[MASK]) for tensor in model.forward(masked).values())
        else:
            with pytest.raises(RequestError, match=r"^row 0 has no tokens"):
                model.forward(short)
            with pytest.raises(RequestError, match=rf"^the {MASK} of row 1 is all zeros"):
                model.forward(masked)
        self.assert_computes(model, inputs)

    def _takes_tokens(self, model: Model) -> bool:
        return MASK in self.make_inputs(1) and can_be_packed(model.signature)

    def _assert_empty(self, model: Model, inputs: Arrays) -> None:
        """Asserts that an answer has no elements, in shapes that follow from those of the inputs."""
        extents = {
            dim: extent
            for spec in model.signature.inputs
            if spec.name in inputs
            for dim, extent in zip(spec.dims, inputs[spec.name].shape, strict=True)
        }
        found = model.forward(inputs)
        assert list(found) == list(model.signature.output_names)
        for spec in model.signature.outputs:
            tensor = found[spec.name]
            expected = tuple(dim if isinstance(dim, int) else extents.get(dim, 0) for dim in spec.dims)
            assert (tensor.shape, tensor.numel, tensor.dtype) == (expected, 0, spec.dtype)
            assert tensor.device == model.metadata.device

    def test_results_stay_as_they_were(self, model: Model) -> None:
        inputs = self.make_inputs(4)
        outputs = model.forward(inputs)
        kept = read(outputs)
        for seed in range(1, 4):
            model.forward(self.make_inputs(4, seed=seed))
        for array in inputs.values():
            array.fill(0)
        for name, array in read(outputs).items():
            np.testing.assert_array_equal(array, kept[name], err_msg=f"a later call changed {name}")

    def test_inputs_stay_as_they_were(self, model: Model) -> None:
        inputs = self.make_inputs(4)
        before = {name: array.tobytes() for name, array in inputs.items()}
        for tensor in model.forward(inputs).values():
            if tensor.numpy().flags.writeable:
                tensor.numpy().fill(1)
        assert {name: array.tobytes() for name, array in inputs.items()} == before
        self.assert_computes(model, inputs)

    def test_it_takes_tensors_of_any_origin(self, model: Model, builder: TensorBuilder) -> None:
        inputs = self.make_inputs(4)
        expected = self.compute_expected(inputs)
        spread = {name: np.repeat(array, 2, axis=0)[::2] for name, array in inputs.items()}
        fixed = {name: array.copy() for name, array in inputs.items()}
        for array in fixed.values():
            array.setflags(write=False)
        origins: dict[str, Mapping[str, TensorLike]] = {
            "its own": {name: builder.from_numpy(array) for name, array in inputs.items()},
            "another backend's": {name: HostTensor(array, "another") for name, array in inputs.items()},
            "column-major": {name: np.asfortranarray(array) for name, array in inputs.items()},
            "backwards": {name: array[::-1].copy()[::-1] for name, array in inputs.items()},
            "with gaps": spread,
            "read-only": fixed,
            "in another order": dict(reversed(inputs.items())),
        }
        for origin, given in origins.items():
            try:
                found = read(model.forward(given))
            except InferoxError as error:
                pytest.fail(f"tensors {origin}: {error}")
            self.assert_close(found, expected)

    def test_the_only_input_that_is_required_needs_no_name(self, model: Model) -> None:
        inputs = self.make_inputs(3)
        required = missing_inputs((), model.signature)
        if len(required) == 1:
            (name,) = required
            self.assert_close(read(model.forward(inputs[name])), read(model.forward({name: inputs[name]})))
            if len(inputs) == 1:
                self.assert_close(read(model.forward(inputs[name])), self.compute_expected(inputs))
        else:
            with pytest.raises(UnknownInputError):
                model.forward(next(iter(inputs.values())))

    def test_inputs_that_do_not_fit_never_reach_the_runtime(
        self, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inputs = self.make_inputs(2)
        name, array = next(iter(inputs.items()))
        wrong_dtype = np.float64 if model.signature.inputs[0].dtype is not DataType.F64 else np.float32
        faults: dict[type[RequestError], list[Any]] = {
            UnknownInputError: [{}, {"no such input": array}, {**inputs, "one more": array}],
            DTypeMismatchError: [{**inputs, name: array.astype(wrong_dtype)}],
            ShapeMismatchError: [{**inputs, name: array[..., None]}, {**inputs, name: array.reshape(-1)}],
            RequestError: [{**inputs, name: "text"}, {**inputs, name: ["text"]}, {**inputs, name: None}],
        }
        if isinstance(model.signature.inputs[0].dims[-1], int):
            faults[ShapeMismatchError].append({**inputs, name: array[..., :-1]})

        def compute(_inputs: Mapping[str, TensorLike]) -> NoReturn:
            pytest.fail("the runtime was asked to compute inputs that do not fit")

        with monkeypatch.context() as patch:
            patch.setattr(model, "_compute", compute)
            for error, calls in faults.items():
                for call in calls:
                    with pytest.raises(error):
                        model.forward(call)
        self.assert_computes(model, inputs)

    def test_lists_are_taken_as_arrays_are(self, model: Model) -> None:
        inputs = self.make_inputs(2)
        lists = {name: array.tolist() for name, array in inputs.items()}
        expected = read(model.forward(inputs))
        self.assert_close(read(model.forward(lists)), expected)
        self.assert_close(read(model(**lists)), expected)

    def test_threads_get_their_own_results(self, model: Model) -> None:
        calls = [self.make_inputs(1 + seed % 5, seed=seed) for seed in range(_CALLS)]
        alone = [read(model.forward(call)) for call in calls]
        for call in calls[::2]:
            for array in call.values():  # an array that cannot be shared is copied, and the copy must outlive the call
                array.setflags(write=False)
        start = threading.Barrier(_THREADS)

        def compute(part: int) -> list[Arrays]:
            start.wait(timeout=60)
            return [read(model.forward(call)) for call in calls[part::_THREADS]]

        with ThreadPoolExecutor(_THREADS) as pool:
            parts = list(pool.map(compute, range(_THREADS)))
        for part, found in enumerate(parts):
            for outputs, expected in zip(found, alone[part::_THREADS], strict=True):
                self.assert_close(outputs, expected)

    @pytest.mark.parametrize("rows", [1, 2, 5])
    def test_batches_are_computed(self, model: Model, rows: int) -> None:
        inputs = self.make_inputs(rows)
        outputs = model.compute(self.make_batch(inputs))
        assert len(outputs) == rows
        for row, expected in zip(outputs, split_rows(self.compute_expected(inputs)), strict=True):
            self.assert_close(row, expected)

    def test_a_batch_that_does_not_fit(self, model: Model) -> None:
        with pytest.raises(RequestError):
            model.compute(Batch.of_rows({"no such input": np.zeros((1, 1), dtype=np.float32)}))
        with pytest.raises(RequestError):
            model.compute(self.make_batch(self.make_inputs(1)).select([]))
        self.assert_computes(model, self.make_inputs(3))

    def test_batches_of_several_callers(self, model: Model) -> None:
        assert model.max_concurrency >= 1
        calls = [self.make_inputs(1 + seed % 5, seed=seed) for seed in range(_CALLS)]
        expected = [split_rows(self.compute_expected(call)) for call in calls]
        start = threading.Barrier(_THREADS)

        def compute(part: int) -> list[list[Arrays]]:
            start.wait(timeout=60)
            return [list(model.compute(self.make_batch(call))) for call in calls[part::_THREADS]]

        with ThreadPoolExecutor(_THREADS) as pool:
            for part, found in enumerate(pool.map(compute, range(_THREADS))):
                for rows, right in zip(found, expected[part::_THREADS], strict=True):
                    for row, of_row in zip(rows, right, strict=True):
                        self.assert_close(row, of_row)

    @pytest.mark.parametrize("attempt", range(5))
    def test_closing_while_others_compute(self, load_model: Callable[[], Model], attempt: int) -> None:
        model = load_model()
        inputs = self.make_inputs(4, seed=attempt)
        expected = read(model.forward(inputs))
        begun = threading.Barrier(_THREADS + 1)

        def compute_until_closed() -> None:
            begun.wait(timeout=60)
            while True:
                try:
                    found = read(model.forward(inputs))
                except ExecutionError:
                    return
                self.assert_close(found, expected)

        with ThreadPoolExecutor(_THREADS) as pool:
            running = [pool.submit(compute_until_closed) for _ in range(_THREADS)]
            begun.wait(timeout=60)
            self.assert_close(read(model.forward(inputs)), expected)
            model.close()
            for future in running:
                future.result(timeout=60)
        with pytest.raises(ExecutionError):
            model.compute(self.make_batch(inputs))


def split_rows(outputs: Arrays) -> list[Arrays]:
    """Splits outputs into those of each row, without the batch dim."""
    rows = len(next(iter(outputs.values())))
    return [{name: array[index] for name, array in outputs.items()} for index in range(rows)]
