"""A request to compute, whichever way it came."""

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
    """A request to compute.

    Attributes:
        id: What its client calls it, which the answer repeats; empty where it has no name.
        inputs: The tensors by name.
        outputs: The outputs that are asked for, each with whether it is wanted as binary data; ``None`` for all.
        options: What else it says.
        binary_output: Whether outputs are wanted as binary data, unless they themselves say something else.
        bf16_output: Whether outputs that are FP32 are wanted as BF16, rounded to the nearest.
    """

    id: str
    inputs: Mapping[str, WireTensor]
    outputs: Mapping[str, bool] | None
    options: CallOptions
    binary_output: bool = False
    bf16_output: bool = False

    def choose(self, outputs: Sequence[WireTensor]) -> list[tuple[WireTensor, bool]]:
        """The outputs that are asked for, in that order, and whether each is wanted as binary data.

        Args:
            outputs: What there is.

        Raises:
            FieldError: If one is asked for that there is not.
        """
        there = {tensor.name: self._convert(tensor) for tensor in outputs}
        if self.outputs is None:
            return [(tensor, self.binary_output) for tensor in there.values()]
        refuse_unknown_outputs(self.outputs, there)
        return [(there[name], is_binary) for name, is_binary in self.outputs.items()]

    def _convert(self, tensor: WireTensor) -> WireTensor:
        # Arrays of BF16 are float32 as well: whatever writes it rounds it.
        is_rounded = self.bf16_output and tensor.datatype is Datatype.FP32
        return replace(tensor, datatype=Datatype.BF16) if is_rounded else tensor


def refuse_unknown_outputs(asked: Mapping[str, bool], there: Mapping[str, object]) -> None:
    """Refuses outputs that a model does not have.

    Args:
        asked: What a request asks for.
        there: What the model gives.

    Raises:
        FieldError: If it asks for something else.
    """
    if unknown := [name for name in asked if name not in there]:
        raise FieldError("outputs", f"there is no output {shown(unknown[0])}; there are {', '.join(there)}")


def add_input(inputs: dict[str, WireTensor], tensor: WireTensor) -> None:
    """Adds an input to those that were read.

    Args:
        inputs: Those that were read.
        tensor: The input.

    Raises:
        FieldError: If there is one of that name already.
    """
    if tensor.name in inputs:
        raise FieldError("inputs", f"there are two inputs of the name {shown(tensor.name)}")
    inputs[tensor.name] = tensor
