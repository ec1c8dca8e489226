"""PyTorch's ONNX exporter, as the tests call it: a hundred times in one process."""

from __future__ import annotations

import functools
import sys
from typing import Any


def make_operator_table_once() -> None:
    """Lets every export of this process begin with a copy of one table of operators.

    The exporter makes the same table anew for each export, of which that is a second, for the smallest modules more
    than half. Nothing is done where PyTorch has not been imported, as then nothing is exported.
    """
    if "torch" not in sys.modules:
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    make: Any = functools.cache(ONNXRegistry.from_torchlib)

    def copy_table(*arguments: Any, **named: Any) -> ONNXRegistry:
        made = make(*arguments, **named)
        copied = ONNXRegistry()
        vars(copied).update(vars(made), functions={name: list(found) for name, found in made.functions.items()})
        return copied

    ONNXRegistry.from_torchlib = staticmethod(copy_table)  # type: ignore[method-assign]
