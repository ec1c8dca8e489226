"""The builder of Candle's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from inferox.backends.candle.bfloat16 import import_bits, is_bfloat16
from inferox.backends.candle.errors import require_memory, translated
from inferox.backends.candle.exchange import COPIES, SUPPORTED, to_candle
from inferox.backends.candle.tensor import CandleTensor
from inferox.backends.host import ArrayTensorBuilder
from inferox.core import DataType, ExecutionError


class CandleTensorBuilder(ArrayTensorBuilder[CandleTensor]):
    """Makes tensors on the CPU. Each is a copy, because Candle does not share its memory."""

    def __init__(self) -> None:
        super().__init__("candle", SUPPORTED)

    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> CandleTensor:
        with translated("copying an array", default=ExecutionError):
            return CandleTensor(to_candle(array, dtype))

    def _take_over(self, source: Any) -> CandleTensor:
        if isinstance(source, CandleTensor):
            return source
        with translated("importing a tensor through DLPack", default=ExecutionError):
            if is_bfloat16(source):
                return self._adopt(import_bits(source), DataType.BF16)
        return super()._take_over(source)

    def _require_memory(self, size_bytes: int, shape: Sequence[int]) -> None:
        require_memory(size_bytes * COPIES, f"a tensor of {list(shape)}")
