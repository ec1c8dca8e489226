"""Models: the right numbers, for every caller at once, and a clear word about inputs that do not fit."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import numpy as np
import pytest

from inferox.backends.host import HostTensor
from inferox.core import (
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
)
from inferox.testing.conformance.subject import Arrays, Subject, read

_THREADS = 8
_CALLS = 48


class ModelTests(Subject):
    """The contract of ``inferox.core.Model``. Inputs and outputs have the rows on their first axis."""

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

    def test_no_rows(self, model: Model) -> None:
        try:
            found = model.forward(self.make_inputs(0))
        except InferoxError:
            return  # a runtime may lack empty tensors, as long as it says so in our words
        assert all(tensor.shape[0] == 0 for tensor in found.values())

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

    def test_a_single_input_needs_no_name(self, model: Model) -> None:
        inputs = self.make_inputs(3)
        first = next(iter(inputs.values()))
        if len(inputs) == 1:
            self.assert_close(read(model.forward(first)), self.compute_expected(inputs))
        else:
            with pytest.raises(UnknownInputError):
                model.forward(first)

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
            RequestError: [{**inputs, name: array.tolist()}, {**inputs, name: None}],
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

    def test_threads_get_their_own_results(self, model: Model) -> None:
        calls = [self.make_inputs(1 + seed % 5, seed=seed) for seed in range(_CALLS)]
        alone = [read(model.forward(call)) for call in calls]
        for call in calls[::2]:
            for array in call.values():  # what cannot be shared is copied, and the copy must live as long as the call
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

    def test_many_calls_are_answered_in_their_order(self, model: Model) -> None:
        calls = [self.make_inputs(1 + seed % 5, seed=seed) for seed in range(_CALLS)]
        for array in calls[3].values():
            array.setflags(write=False)
        for _ in range(2):  # a backend may prepare itself the first time
            found = list(map(read, model.forward_all(iter(calls), _CALLS)))
            assert len(found) == _CALLS
            for outputs, call in zip(found, calls, strict=True):
                self.assert_close(outputs, self.compute_expected(call))
        assert list(model.forward_all(iter(()), 0)) == []

    def test_a_call_among_many_that_does_not_fit(self, model: Model) -> None:
        calls: list[Mapping[str, Any]] = [self.make_inputs(2, seed=seed) for seed in range(_CALLS)]
        calls[10] = {"no such input": np.zeros(1)}
        answers = model.forward_all(iter(calls), _CALLS)
        found: list[Arrays] = []
        with pytest.raises(RequestError):
            found.extend(map(read, answers))
        assert len(found) == 10  # noqa: PLR2004 - those before it
        for outputs, call in zip(found, calls, strict=False):
            self.assert_close(outputs, self.compute_expected(call))
        self.assert_computes(model, self.make_inputs(3))

    def test_many_calls_that_nobody_waits_for(self, model: Model) -> None:
        calls = [self.make_inputs(2, seed=seed) for seed in range(_CALLS)]
        taken = 0

        def take() -> Iterator[Arrays]:
            nonlocal taken
            for call in calls:
                taken += 1
                yield call

        answers = model.forward_all(take(), _CALLS)
        self.assert_close(read(next(answers)), self.compute_expected(calls[0]))
        answers.close()  # type: ignore[attr-defined] # a generator
        assert taken < _CALLS / 2
        self.assert_close(read(next(model.forward_all(iter(calls), _CALLS))), self.compute_expected(calls[0]))

    def test_many_calls_of_several_callers(self, model: Model) -> None:
        calls = [self.make_inputs(1 + seed % 5, seed=seed) for seed in range(_CALLS)]
        expected = [self.compute_expected(call) for call in calls]
        start = threading.Barrier(4)

        def compute(_: int) -> list[Arrays]:
            start.wait(timeout=60)
            return [read(outputs) for outputs in model.forward_all(iter(calls), _CALLS)]

        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(compute, range(4)):
                for outputs, right in zip(found, expected, strict=True):
                    self.assert_close(outputs, right)

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
            next(model.forward_all(iter([inputs] * _CALLS), _CALLS))
