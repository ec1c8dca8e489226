"""The facts that a backend's author states, and the fixtures that the tests get from them."""
# ruff: noqa: S101 - tests assert

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from inferox.core import Artifact, Backend, Batch, DataType, DeviceId, LoadOptions, Model, Tensor, TensorBuilder
from inferox.testing.mlp import WEIGHTS_BYTES, mlp_inputs, mlp_outputs

Arrays = dict[str, npt.NDArray[Any]]

OPTIONS = LoadOptions("conformance", trust_code=True)
"""The options with which tests load the artifact, unless they test loading itself."""

NOWHERE = DeviceId("nowhere", 7)
"""A device that no machine has."""


class Subject:
    """The facts and hooks that a subclass provides. Those without a value here are required.

    The artifact should be the perceptron of ``inferox.testing.mlp``. If a backend cannot express it, the artifact may
    be of another model: then ``make_inputs``, ``compute_expected`` and ``weights_bytes`` must be overridden as well.

    Attributes:
        dtypes: The data types that tensors can have on the backend's default device. Every other must be refused.
        zero_copy: Whether ``from_numpy``, ``numpy`` and DLPack share memory on the CPU.
        runtime: The module of the runtime, such as ``onnxruntime``, which nothing imports before it is needed;
            ``None`` if the runtime cannot be missing.
        code_formats: The formats that the backend reads and that run code which comes with the package.
        weights_bytes: The bytes of the weights in fp32.
        tolerance: The largest difference from an expected number, both relative and absolute.
    """

    dtypes: ClassVar[frozenset[DataType]]
    zero_copy: ClassVar[bool] = True
    runtime: ClassVar[str | None] = None
    code_formats: ClassVar[tuple[str, ...]] = ()
    weights_bytes: ClassVar[int] = WEIGHTS_BYTES
    tolerance: ClassVar[float] = 1e-5

    @classmethod
    def make_backend(cls) -> Backend:
        """Makes the backend."""
        raise NotImplementedError

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        """Writes the artifact.

        Args:
            root: An empty folder, the root of a package. Everything that the artifact needs must be in it.
        """
        raise NotImplementedError

    @classmethod
    def make_inputs(cls, rows: int, *, seed: int = 0) -> Arrays:
        """Draws inputs of the artifact's model.

        Args:
            rows: The number of rows.
            seed: The random seed.
        """
        return mlp_inputs(rows, seed=seed)

    @classmethod
    def make_batch(cls, inputs: Mapping[str, npt.NDArray[Any]]) -> Batch:
        """Makes a batch of inputs.

        Args:
            inputs: The result of ``make_inputs``.
        """
        return Batch.of_rows(inputs)

    @classmethod
    def compute_expected(cls, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Computes the outputs that the artifact's model must give, without the backend.

        Args:
            inputs: The inputs by name.
        """
        return mlp_outputs(inputs)

    @classmethod
    def read_bytes(cls, tensor: Tensor) -> bytes:
        """Reads the elements of a tensor as bytes in row-major order.

        NumPy has no ``bf16``: a backend that has it must pass such tensors on to PyTorch, or override this.
        """
        if tensor.dtype is not DataType.BF16:
            return tensor.numpy().tobytes()
        torch = pytest.importorskip("torch", reason="without torch nothing here can read bf16")
        return bytes(torch.from_dlpack(tensor).cpu().contiguous().view(torch.int16).numpy().tobytes())

    @classmethod
    def assert_computes(cls, model: Model, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Asserts that a model gives the expected outputs.

        Args:
            model: The model.
            inputs: The inputs by name.
        """
        cls.assert_close(read(model.forward(inputs)), cls.compute_expected(inputs))

    @classmethod
    def assert_close(cls, found: Mapping[str, npt.NDArray[Any]], expected: Mapping[str, npt.NDArray[Any]]) -> None:
        """Asserts that named arrays are equal within the tolerance, with the same types and shapes."""
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_allclose(found[name], array, rtol=cls.tolerance, atol=cls.tolerance, err_msg=name)

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend."""
        return self.make_backend()

    @pytest.fixture
    def builder(self, backend: Backend) -> TensorBuilder:
        """Returns the builder of tensors on the backend's default device."""
        return backend.tensor_builder()

    @pytest.fixture(scope="class")
    @classmethod
    def artifact(cls, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        """The artifact, written once for all tests."""
        return cls.make_artifact(tmp_path_factory.mktemp("artifact"))

    @pytest.fixture
    def load_model(self, backend: Backend, artifact: Artifact) -> Callable[[], Model]:
        """Loads the artifact on the default device."""
        return lambda: backend.load(artifact, None, OPTIONS)

    @pytest.fixture
    def model(self, load_model: Callable[[], Model]) -> Iterator[Model]:
        """The artifact, loaded on the default device."""
        with load_model() as model:
            yield model


def read(outputs: Mapping[str, Tensor]) -> Arrays:
    """Copies outputs to NumPy.

    Args:
        outputs: The tensors by name.
    """
    return {name: np.array(tensor.numpy()) for name, tensor in outputs.items()}
