"""A model that Candle runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.backends.candle.architecture import INPUTS, read_architecture
from inferox.backends.candle.builder import CandleTensorBuilder
from inferox.backends.candle.encoder import Encoder
from inferox.backends.candle.errors import translated
from inferox.backends.candle.network import Network
from inferox.backends.candle.sequential import MODEL_TYPE, Sequential
from inferox.backends.candle.tensor import CandleTensor
from inferox.backends.candle.weights import Weights, read_weights
from inferox.core import (
    Artifact,
    DataType,
    LoadError,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
    Tensor,
    TensorLike,
    read_json_object,
)


class CandleModel(Model):
    """A network of Candle's tensors.

    Concurrent calls are computed one after the other: Candle's Python module holds the interpreter lock while it
    computes with its threads.

    Args:
        name: The name of the package.
        metadata: The facts about it.
        signature: The named tensors that it takes and returns.
        network: The network that computes it.
        weights_bytes: The memory of its weights.
    """

    def __init__(
        self, name: str, metadata: ModelMetadata, signature: Signature, network: Network, *, weights_bytes: int
    ) -> None:
        builder, memory = CandleTensorBuilder(), MemoryRequirements(weights_bytes)
        super().__init__(name, metadata, signature, memory, builder=builder, border=translated)
        self._network: Network | None = network

    def close(self) -> None:
        """Releases the weights. A ``forward`` in progress in another thread still completes."""
        self._network = None

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        network = self._network
        if network is None:
            raise self._closed()
        (output,) = self.layout_signature.output_names
        return {output: CandleTensor(network(inputs))}


def open_network(artifact: Artifact) -> Network:
    """Opens the network that an artifact describes, with its weights.

    Args:
        artifact: An artifact with a file ``config``, the option ``architecture`` if that is a Hugging Face model's, and
            a file ``weights`` if it has any.

    Raises:
        LoadError: If the config is malformed, this backend does not support the model, or the weights are not those
            that it needs.
        OutOfMemoryError: If the weights do not fit into memory.
    """
    config = _read_config(artifact.path("config"))
    if config.get("model_type") == MODEL_TYPE:
        _require_one_float(artifact.signature)
        return Sequential(
            config, read_weights(artifact.path("weights")) if "weights" in artifact.files else Weights({})
        )
    architecture = read_architecture(config, artifact.options.get("architecture"))
    unknown = set(artifact.signature.input_names) - INPUTS
    if unknown or len(artifact.signature.outputs) != 1 or "input_ids" not in artifact.signature.input_names:
        raise LoadError(
            f"candle computes one output of input_ids, and optionally attention_mask and token_type_ids, but the "
            f"signature has {', '.join(artifact.signature.input_names)} and "
            f"{', '.join(artifact.signature.output_names)}"
        )
    return Encoder(architecture, read_weights(artifact.path("weights"), prefix=architecture.family.prefix))


def _require_one_float(signature: Signature) -> None:
    specs = (*signature.inputs, *signature.outputs)
    if len(signature.inputs) != 1 or len(signature.outputs) != 1 or any(s.dtype is not DataType.F32 for s in specs):
        raise LoadError(f"a chain of layers takes one f32 tensor and gives one, not {', '.join(map(str, specs))}")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path, error_type=LoadError, hint="pack the model again", allow_non_finite=True)
    except FileNotFoundError as error:
        raise LoadError(f"{path.name} is missing", hint="fetch the package again") from error
