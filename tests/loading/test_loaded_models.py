"""Models from ``inferox.load`` meet the contract like those of their backend, in either layout.

The tests of a class share one model, as the callers of a service do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

import inferox
from inferox.backends.registry import get_backend
from inferox.core import Artifact, Backend, Batch, DataType, DeviceId, Layout, Model, Signature, TensorSpec, read_padded
from inferox.loading.planned_load import plan_load
from inferox.package import PackageWriter
from inferox.testing.conformance.models import ModelTests
from inferox.testing.conformance.subject import Arrays, Subject
from inferox.testing.mlp import SIGNATURE
from tests.backends.candle import test_conformance as candle
from tests.backends.onnxruntime import test_conformance as onnxruntime
from tests.backends.openvino import test_conformance as openvino
from tests.backends.torch import test_conformance as torch_subjects
from tests.package.packages import make_info, make_metadata

LENGTH = 6


def write_perceptron(output: Path, subject: type[Subject]) -> Path:
    """Writes a package with the artifact that a backend's own conformance tests load."""
    with PackageWriter(output) as writer:
        artifact = subject.make_artifact(writer.root)
        backends = (artifact.backend,)
        info = replace(make_info(writer.root), supported_backends=backends, signature=SIGNATURE, artifacts=(artifact,))
        return writer.commit(make_metadata(), info, None, None)


class LoadedOnce(ModelTests):
    """A model that is loaded for all tests of its class."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, load_model: Callable[[], Model]) -> Iterator[Model]:
        with load_model() as model:
            yield model


class LoadedPerceptron(LoadedOnce):
    """The suite's perceptron, loaded from a package."""

    subject: ClassVar[type[Subject]]

    @classmethod
    def make_backend(cls) -> Backend:
        return cls.subject.make_backend()

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        return cls.subject.make_artifact(root)

    @pytest.fixture(scope="class")
    @classmethod
    def package(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return write_perceptron(tmp_path_factory.mktemp("loaded") / "package", cls.subject)

    @pytest.fixture(scope="class")
    @classmethod
    def load_model(cls, package: Path) -> Callable[[], Model]:
        return lambda: inferox.load(package, device=DeviceId.cpu(), trust_code=True).model


class TestTorch(LoadedPerceptron):
    subject = torch_subjects.TestTorchScript


class TestOnnxRuntime(LoadedPerceptron):
    subject = onnxruntime.TestWeightsInTheGraph


class TestOpenVino(LoadedPerceptron):
    subject = openvino.TestOnnx


class TestCandle(LoadedPerceptron):
    subject = candle.TestCandle


class LoadedText(LoadedOnce):
    """A text model, behind the padded signature of its package."""

    runtime_name: ClassVar[str]
    layout: ClassVar[Layout]
    output: ClassVar[str]
    module: ClassVar[Any]

    @classmethod
    def make_backend(cls) -> Backend:
        return get_backend(cls.runtime_name)

    @classmethod
    def make_inputs(cls, rows: int, *, seed: int = 0) -> Arrays:
        ids = np.random.default_rng(seed).integers(1000, 2000, (rows, LENGTH))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}

    @classmethod
    def make_batch(cls, inputs: Mapping[str, npt.NDArray[Any]]) -> Batch:
        names = ("input_ids", "attention_mask", "token_type_ids")
        specs = tuple(TensorSpec(name, DataType.I64, ("batch", "seq")) for name in names)
        return read_padded(inputs, Signature(specs, ()))[0]

    @classmethod
    def compute_expected(cls, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        with torch.inference_mode():
            outputs = cls.module(**{name: torch.from_numpy(array.copy()) for name, array in inputs.items()})
        return {cls.output: outputs[cls.output].numpy()}

    @pytest.fixture(scope="class")
    @classmethod
    def load_model(cls, text_package: Path) -> Callable[[], Model]:
        planned = plan_load(text_package, cls.runtime_name, DeviceId.cpu())
        order = tuple(artifact for artifact in planned.plan.order if artifact.layout is cls.layout)
        chosen = replace(planned, plan=replace(planned.plan, order=order))
        return lambda: chosen.load().model

    def test_its_artifact_has_the_layout(self, model: Model) -> None:
        assert model.metadata.layout is self.layout


class LoadedEmbedder(LoadedText):
    """A model with an output for each token."""

    output = "last_hidden_state"

    @pytest.fixture(scope="class")
    @classmethod
    def text_package(cls, bert_package: Path) -> Path:
        cls.module = _read_module(transformers.AutoModel, bert_package.parent / "source")
        return bert_package


class LoadedClassifier(LoadedText):
    """A model with an output for each row."""

    output = "logits"

    @pytest.fixture(scope="class")
    @classmethod
    def text_package(cls, packages: dict[str, Path]) -> Path:
        package = packages["classify"]
        source = package.parent / "classify"
        cls.module = _read_module(transformers.AutoModelForSequenceClassification, source)
        return package


@cache
def _read_module(kind: Any, source: Path) -> Any:
    return kind.from_pretrained(source).eval()


class TestPackedTorch(LoadedEmbedder):
    runtime_name, layout = "torch", Layout.PACKED


class TestPackedOnnxRuntime(LoadedEmbedder):
    runtime_name, layout = "onnxruntime", Layout.PACKED


class TestPackedOpenVino(LoadedEmbedder):
    runtime_name, layout = "openvino", Layout.PACKED


class TestPaddedTorch(LoadedEmbedder):
    runtime_name, layout = "torch", Layout.PADDED


class TestPaddedOnnxRuntime(LoadedEmbedder):
    runtime_name, layout = "onnxruntime", Layout.PADDED


class TestPaddedOpenVino(LoadedEmbedder):
    runtime_name, layout = "openvino", Layout.PADDED


class TestPackedClassifier(LoadedClassifier):
    runtime_name, layout = "torch", Layout.PACKED


class TestPaddedClassifier(LoadedClassifier):
    runtime_name, layout = "torch", Layout.PADDED


def test_what_is_printed_of_a_model_says_what_was_loaded(bert_package: Path) -> None:
    with inferox.load(bert_package, "onnxruntime") as model:
        assert repr(model) == f"<TaskModel {model.name!r} ({model.task.name}): onnxruntime/onnx/fp32/packed on cpu>"
