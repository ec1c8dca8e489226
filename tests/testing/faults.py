"""The reference backend with one fault each, for the suite to find.

``caught_by`` names the test that must fail. This is not a test file: pytest only collects these classes by name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.backends.host import HostTensor, HostTensorBuilder
from inferox.core import (
    Array,
    Artifact,
    Availability,
    Backend,
    DataType,
    DeviceId,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    Tensor,
    TensorBuilder,
    TensorLike,
    to_array,
)
from inferox.testing.conformance import BackendConformance
from inferox.testing.numpy_backend import NumpyBackend, NumpyModel, write_artifact

LEAKED: list[Model] = []


class Faulty(BackendConformance):
    caught_by: ClassVar[str]
    faulty_backend: ClassVar[type[NumpyBackend]] = NumpyBackend
    faulty_model: ClassVar[type[NumpyModel]] = NumpyModel
    faulty_builder: ClassVar[type[HostTensorBuilder]] = HostTensorBuilder
    dtypes = frozenset(DataType) - {DataType.BF16}

    @classmethod
    def make_backend(cls) -> Backend:
        model_class, builder_class = cls.faulty_model, cls.faulty_builder

        class Made(cls.faulty_backend):  # type: ignore[name-defined,misc]  # the class is a value here
            def tensor_builder(self, device: DeviceId | None = None) -> HostTensorBuilder:
                super().tensor_builder(device)
                return builder_class("numpy")

            def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
                opened = super()._open(artifact, device, options)
                if isinstance(opened, NumpyModel) and opened._layers is not None:
                    return model_class(artifact, device, options.package, opened._layers)
                return opened  # type: ignore[no-any-return]

        return Made()

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        return write_artifact(root)


class TestNoFault(Faulty):
    pass


class ConvertingBuilder(HostTensorBuilder):
    def from_numpy(self, array: npt.NDArray[Any]) -> HostTensor:
        return super().from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array)


class TestSilentConversion(Faulty):
    caught_by = "test_every_bit_of_a_data_type_survives_or_the_type_is_refused"
    faulty_builder = ConvertingBuilder


class TestAClaimThatIsNotKept(Faulty):
    caught_by = "test_every_bit_of_a_data_type_survives_or_the_type_is_refused"
    dtypes = frozenset(DataType)


class TestATypeThatIsNotClaimed(Faulty):
    caught_by = "test_every_bit_of_a_data_type_survives_or_the_type_is_refused"
    dtypes = frozenset(DataType) - {DataType.BF16, DataType.I16}


class CleaningBuilder(HostTensorBuilder):
    def from_numpy(self, array: npt.NDArray[Any]) -> HostTensor:
        if array.dtype.kind == "f" and np.isnan(array).any():
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
        return super().from_numpy(array)


class TestPayloadsOfNaNAreLost(Faulty):
    caught_by = "test_every_bit_of_a_data_type_survives_or_the_type_is_refused"
    faulty_builder = CleaningBuilder


class WrappingBuilder(HostTensorBuilder):
    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> HostTensor:
        if dtype is DataType.U8:
            values = [value % 256 if isinstance(value, int) else value for value in values]
        return super().from_slice(values, shape, dtype)


class TestIntegersWrapAround(Faulty):
    caught_by = "test_values_that_the_type_does_not_hold"
    faulty_builder = WrappingBuilder


class CopyingBuilder(HostTensorBuilder):
    def from_numpy(self, array: npt.NDArray[Any]) -> HostTensor:
        return super().from_numpy(array.copy())


class TestCopiesWhereNoneIsClaimed(Faulty):
    caught_by = "test_memory_is_shared_exactly_where_that_is_claimed"
    faulty_builder = CopyingBuilder


class SharingBuilder(HostTensorBuilder):
    def from_numpy(self, array: npt.NDArray[Any]) -> HostTensor:
        writable = np.lib.stride_tricks.as_strided(array, array.shape, array.strides)
        interface = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}
        holder = type("Holder", (), {"__array_interface__": interface, "array": array})()
        return HostTensor(np.asarray(holder) if not array.flags.writeable else writable, "numpy")


class TestReadOnlyMemoryBecomesWritable(Faulty):
    caught_by = "test_read_only_memory_is_never_written_to"
    faulty_builder = SharingBuilder


class UnseededBuilder(HostTensorBuilder):
    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> HostTensor:
        return super().randn(shape, dtype, seed=seed + time.perf_counter_ns())


class TestDrawsThatDiffer(Faulty):
    caught_by = "test_draws_are_normal_and_repeatable"
    faulty_builder = UnseededBuilder


class AnyDeviceBuilder(HostTensorBuilder):
    def with_device(self, device: DeviceId) -> HostTensorBuilder:  # noqa: ARG002 - the fault
        return self


class TestAnyDeviceWillDo(Faulty):
    caught_by = "test_the_device_is_the_one_asked_for"
    faulty_builder = AnyDeviceBuilder


class BufferModel(NumpyModel):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._buffers: dict[tuple[int, ...], npt.NDArray[Any]] = {}

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = super()._compute(inputs)["y"]
        buffer = self._buffers.setdefault(found.shape, np.empty_like(found))
        buffer[...] = found
        return {"y": buffer}


class TestResultsAreOverwritten(Faulty):
    caught_by = "test_results_stay_as_they_were"
    faulty_model = BufferModel


class CachingModel(NumpyModel):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._last: dict[tuple[int, ...], dict[str, npt.NDArray[Any]]] = {}

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        (value,) = inputs.values()
        return self._last.setdefault(value.shape, super()._compute(inputs))


class TestStaleResults(Faulty):
    caught_by = "test_it_computes_the_right_numbers"
    faulty_model = CachingModel


class SharedStateModel(NumpyModel):
    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self._current = inputs
        time.sleep(0.005)  # where a runtime would compute without Python's lock
        return super()._compute(self._current)


class TestThreadsShareState(Faulty):
    caught_by = "test_threads_get_their_own_results"
    faulty_model = SharedStateModel


class MixingModel(NumpyModel):
    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = super()._compute(inputs)["y"]
        return {"y": (found + 1e-3 * found.mean(axis=0)).astype(np.float32)}


class TestRowsAffectEachOther(Faulty):
    caught_by = "test_batched_equals_single"
    faulty_model = MixingModel


class WidenedModel(NumpyModel):
    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return {"y": super()._compute(inputs)["y"].astype(np.float64)}


class TestOutputsInAnotherType(Faulty):
    caught_by = "test_outputs_are_as_the_signature_states"
    faulty_model = WidenedModel


class WritingModel(NumpyModel):
    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = super()._compute(inputs)
        (value,) = inputs.values()
        if value.flags.writeable:
            value *= 2
        return found


class TestInputsAreChanged(Faulty):
    caught_by = "test_inputs_stay_as_they_were"
    faulty_model = WritingModel


class LenientModel(NumpyModel):
    def forward(self, inputs: Mapping[str, TensorLike] | TensorLike) -> dict[str, Tensor]:
        arrays = {name: to_array(value) for name, value in self._by_name(inputs).items()}
        return {name: HostTensor(value, "numpy") for name, value in self._compute(arrays).items()}


class TestRequestsAreNotChecked(Faulty):
    caught_by = "test_inputs_that_do_not_fit_never_reach_the_runtime"
    faulty_model = LenientModel


class ImmortalModel(NumpyModel):
    def close(self) -> None:
        pass


class TestClosedModelsCompute(Faulty):
    caught_by = "test_closing"
    faulty_model = ImmortalModel


class RacingModel(NumpyModel):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._is_computing = threading.Event()

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        if self._layers is None:
            raise self._closed()
        outputs = super()._compute(inputs)
        if threading.current_thread() is threading.main_thread():
            self._is_computing.wait(0.2)  # it closes the model next: another thread computes by then
            return outputs
        self._is_computing.set()
        until_s = time.monotonic() + 1
        while vars(self)["_layers"] is not None:
            if time.monotonic() > until_s:
                return outputs
            time.sleep(0.001)
        return {"y": np.zeros((4, 3), np.float32)}


class TestClosingBreaksWhatIsUnderWay(Faulty):
    caught_by = "test_closing_while_others_compute"
    faulty_model = RacingModel


class LeakingModel(NumpyModel):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept = [weight.copy() for weight, _ in self._layers or ()]
        LEAKED.append(self)


class TestClosedModelsKeepTheirWeights(Faulty):
    caught_by = "test_closing_gives_the_memory_back"
    faulty_model = LeakingModel


class LyingModel(NumpyModel):
    def memory_requirements(self) -> MemoryRequirements:
        return MemoryRequirements(0)


class TestNoMemoryIsStated(Faulty):
    caught_by = "test_what_a_model_says_of_itself"
    faulty_model = LyingModel


class SwallowingBackend(NumpyBackend):
    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        try:
            return super()._open(artifact, device, options)
        except LoadError as error:
            reason = error.message
        raise LoadError(reason)


class TestTheCauseIsSwallowed(Faulty):
    caught_by = "test_a_damaged_file"
    faulty_backend = SwallowingBackend


class GreedyBackend(NumpyBackend):
    def can_load(self, artifact: Artifact) -> bool:
        return artifact.format == "safetensors"


class TestOthersArtifactsAreTaken(Faulty):
    caught_by = "test_it_reads_its_own_artifacts_alone"
    faulty_backend = GreedyBackend


class TrustingBackend(NumpyBackend):
    def can_load(self, artifact: Artifact) -> bool:
        return artifact.backend == self.name and artifact.format in {"safetensors", "pickle"}

    def load(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> Model:
        return super().load(artifact, device, replace(options, trust_code=True))


class TestCodeRunsUnasked(Faulty):
    caught_by = "test_code_is_refused_unless_it_is_trusted"
    faulty_backend = TrustingBackend
    code_formats = ("pickle",)


class RaisingBackend(NumpyBackend):
    def probe(self) -> Availability:
        raise RuntimeError("no driver")


class TestTheProbeRaises(Faulty):
    caught_by = "test_it_says_that_it_can_run_here"
    faulty_backend = RaisingBackend


class OptimisticBackend(NumpyBackend):
    def tensor_builder(self, device: DeviceId | None = None) -> TensorBuilder:  # noqa: ARG002 - the fault
        return super().tensor_builder()


class TestADeviceThatIsNotThereWillDo(Faulty):
    caught_by = "test_a_device_that_is_not_there"
    faulty_backend = OptimisticBackend


class WrongBackend(NumpyBackend):
    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        return super()._multiply(left, right, device) + np.float32(1e-4)


class TestAProductIsWrong(Faulty):
    caught_by = "test_its_devices"
    faulty_backend = WrongBackend


class SharedModelBackend(NumpyBackend):
    opened: ClassVar[dict[Path, Model]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        with self.lock:
            found = self.opened.get(artifact.root)
            self.opened[artifact.root] = found or _Shared(super()._open(artifact, device, options))
            return self.opened[artifact.root]


class _Shared(Model):
    """Not a ``NumpyModel``, so the backend returns this very one again."""

    def __init__(self, inner: Model) -> None:
        super().__init__(
            inner.name,
            inner.metadata,
            inner.signature,
            inner.memory_requirements(),
            builder=HostTensorBuilder("numpy"),
        )
        self._inner = inner

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        return self._inner.forward(inputs)

    def close(self) -> None:
        self._inner.close()


class TestModelsAreShared(Faulty):
    caught_by = "test_models_are_independent"
    faulty_backend = SharedModelBackend


class LitteringBackend(NumpyBackend):
    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        (artifact.root / "cache.bin").write_bytes(str(time.perf_counter_ns()).encode())
        return super()._open(artifact, device, options)


class TestThePackageIsWrittenTo(Faulty):
    caught_by = "test_the_package_is_left_as_it_was"
    faulty_backend = LitteringBackend
