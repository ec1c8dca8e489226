"""The contracts of packing: the model that a package is made from, and the exporters that make its artifacts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from inferox.core.artifact import Artifact, Layout, Precision
from inferox.core.spec import Signature


@dataclass(frozen=True)
class SourceFacts:
    """The facts about a model before it is packed.

    Attributes:
        kind: The kind of source: ``huggingface``, ``torchscript``, ``torch-export``, ``python``, ``onnx`` or
            ``openvino-ir``.
        name: A name for its package.
        model_type: The model's type as its config states it, such as ``bert``; otherwise the kind.
        architecture: The model's class, such as ``BertModel``; ``None`` if there is none.
        architecture_family: ``EncoderOnly``, ``DecoderOnly``, ``EncoderDecoder``, ``Vision`` or ``Multimodal``;
            ``None`` if that is unknown.
        repo_id: The repository on the hub that it came from.
        revision: The commit of that repository.
        license: The license as an SPDX identifier or as its author states it.
        config: The model's ``config.json``; empty if there is none.
        directory: The folder with the files that describe its use, such as ``tokenizer.json``.
        program: The file that holds the whole model, if the source is one file.
        origin: The model directory as its author published it, which the libraries that define the model can load;
            ``None`` if the source is not one.
        left_out: Weights of the checkpoint that the architecture does not use, such as a pretraining head.
        notes: Further facts that whoever packs the model should know, as sentences.
    """

    kind: str
    name: str
    model_type: str
    architecture: str | None = None
    architecture_family: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    license: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    program: Path | None = None
    left_out: tuple[str, ...] = ()
    origin: Path | None = None
    notes: tuple[str, ...] = ()


class SourceModel(ABC):
    """A model in memory, in fp32: the reference that every artifact is measured against."""

    @property
    @abstractmethod
    def facts(self) -> SourceFacts:
        """The facts about the model."""

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """The named tensors that it takes and returns."""

    @property
    @abstractmethod
    def module(self) -> Any:
        """The ``torch.nn.Module`` that exporters trace; a loaded program's own module if the source is a program."""

    @property
    @abstractmethod
    def example_inputs(self) -> Mapping[str, npt.NDArray[Any]] | None:
        """Inputs that came with the model, by name; ``None`` if they are made from its task."""

    @property
    def backend(self) -> str:
        """The backend whose runtime computes the reference."""
        return "torch"

    @property
    def precision(self) -> Precision:
        """The precision of the model: not ``fp32`` for a graph that is already quantised or in half precision."""
        return Precision.FP32

    @property
    def size_bytes(self) -> int:
        """The approximate size of the model on disk."""
        return 4 * self.num_parameters

    @property
    def probe_inputs(self) -> Sequence[Mapping[str, npt.NDArray[Any]]]:
        """Inputs that exercise a model whose task is not known, if the source can make them."""
        return ()

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """The number of parameters; shared ones are counted once."""

    @abstractmethod
    def compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Computes the reference outputs, eagerly and in fp32.

        Args:
            inputs: The tensors by name, as the signature lists them.
        """

    @abstractmethod
    def save_weights(self, path: Path) -> bool:
        """Writes the weights as a safetensors file; shared ones are written once.

        Args:
            path: The file to write. Its folder exists.

        Returns:
            Whether there was anything to write: ``False`` for a program that does not expose its weights.
        """


@dataclass(frozen=True)
class ExportRequest:
    """A request for one artifact of a model.

    Attributes:
        precision: The number format in which it is to compute.
        layout: The layout in which it is to take rows of different lengths.
        signature: The named tensors that it is to take and return: those of the model, in that layout.
        calibration: Inputs with which a quantiser may observe the model, by name, as ``signature`` lists them.
    """

    precision: Precision
    layout: Layout
    signature: Signature
    calibration: Sequence[Mapping[str, npt.NDArray[Any]]] = ()


class Exporter(ABC):
    """Writes one backend's artifacts into a package that is being made."""

    layouts: ClassVar[tuple[Layout, ...]] = (Layout.PADDED,)
    """The layouts in which the backend's artifacts may take rows."""

    free_precisions: ClassVar[tuple[Precision, ...]] = ()
    """The precisions in which the backend can compute the files of an fp32 artifact unchanged.

    An artifact in one of them takes no space, and is made without being requested."""

    @abstractmethod
    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact.

        ``weights/model.safetensors`` and ``config.json`` already exist below the root if the source has them; an
        artifact that needs them lists them and writes no copy. New files go below ``backends/<name>/``.

        Args:
            source: The model.
            root: The folder of the package that is being made.
            request: The requested artifact.

        Raises:
            LoadError: If this backend cannot represent the model in this way; the message names what is missing.
        """


WEIGHTS_FILE = "weights/model.safetensors"
"""The path of a package's weights, relative to its root."""

CONFIG_FILE = "config.json"
"""The path of the model's configuration in a package, relative to its root."""
