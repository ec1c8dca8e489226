"""An inference request, over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inferox.core import shown
from inferox.server.call_options import CallOptions
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.wire_tensor import WireTensor


@dataclass(frozen=True)
class InferRequest:
    """An inference request.

    Attributes:
        id: The client's id of the request, which the response repeats; empty if it has none.
        inputs: The tensors, by name.
        outputs: The requested outputs, each with whether it is wanted as binary data; ``None`` for all.
        options: The other options.
        binary_output: Whether outputs are wanted as binary data, unless an output says otherwise.
        bf16_output: Whether FP32 outputs are wanted as BF16, rounded to nearest.
    """

    id: str
    inputs: Mapping[str, WireTensor]
    outputs: Mapping[str, bool] | None
    options: CallOptions
    binary_output: bool = False
    bf16_output: bool = False

    def choose(self, outputs: Sequence[WireTensor]) -> list[tuple[WireTensor, bool]]:
        """Returns the requested outputs, in the requested order, each with whether it is wanted as binary data.

        Args:
            outputs: The outputs of the model.

        Raises:
            FieldError: If a requested one does not exist.
        """
        there = {tensor.name: self._convert(tensor) for tensor in outputs}
        if self.outputs is None:
            return [(tensor, self.binary_output) for tensor in there.values()]
        refuse_unknown_outputs(self.outputs, there)
        return [(there[name], is_binary) for name, is_binary in self.outputs.items()]

    def _convert(self, tensor: WireTensor) -> WireTensor:
        # Arrays of BF16 are float32 as well: they are rounded when they are written.
        is_rounded = self.bf16_output and tensor.datatype is Datatype.FP32
        return replace(tensor, datatype=Datatype.BF16) if is_rounded else tensor


def refuse_unknown_outputs(asked: Mapping[str, bool], there: Mapping[str, object]) -> None:
    """Refuses outputs that a model does not have.

    Args:
        asked: The requested outputs.
        there: The outputs of the model.

    Raises:
        FieldError: If a requested one is not among them.
    """
    if unknown := [name for name in asked if name not in there]:
        raise FieldError("outputs", f"there is no output {shown(unknown[0])}; the outputs are {', '.join(there)}")


def add_input(inputs: dict[str, WireTensor], tensor: WireTensor) -> None:
    """Adds an input to those read so far.

    Args:
        inputs: The inputs read so far.
        tensor: The input.

    Raises:
        FieldError: If there is one of that name already.
    """
    if tensor.name in inputs:
        raise FieldError("inputs", f"there are two inputs named {shown(tensor.name)}")
    inputs[tensor.name] = tensor
