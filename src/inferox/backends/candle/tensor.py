"""Candle's tensors behind the contract of ``inferox.core.Tensor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import candle
import numpy.typing as npt

from inferox.backends.candle.bfloat16 import export_bits
from inferox.backends.candle.errors import translated
from inferox.backends.candle.exchange import dtype_of_candle, to_bits, to_numpy
from inferox.backends.host import require_cpu
from inferox.core import DataType, DeviceId, ExecutionError, Tensor, resolve_shape


class CandleTensor(Tensor):
    """A Candle tensor, on the CPU.

    Wrapping one copies nothing; ``numpy()`` and DLPack copy, because Candle does not share its memory.

    Args:
        tensor: The tensor.

    Raises:
        UnsupportedDTypeError: If its data type is ``u32``, which Inferox lacks.
    """

    def __init__(self, tensor: candle.Tensor) -> None:
        self._dtype = dtype_of_candle(tensor)
        self._tensor = tensor

    @property
    def candle(self) -> candle.Tensor:
        """The tensor itself."""
        return self._tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis."""
        return tuple(self._tensor.shape)

    @property
    def dtype(self) -> DataType:
        """The type of the elements."""
        return self._dtype

    @property
    def device(self) -> DeviceId:
        """The CPU."""
        return DeviceId.cpu()

    def to_device(self, device: DeviceId) -> CandleTensor:
        """Returns itself for the CPU.

        Raises:
            BackendUnavailableError: For every other device.
        """
        require_cpu(device, "candle")
        return self

    def reshape(self, shape: Sequence[int]) -> CandleTensor:
        """Returns the same elements with another shape, sharing memory if they are contiguous; see ``Tensor``.

        Raises:
            ShapeMismatchError: If the number of elements differs, or the extents are ambiguous.
        """
        resolved = resolve_shape(self, shape)
        with translated(f"reshaping {self}", default=ExecutionError):
            # Candle refuses to reshape to an extent of 0.
            reshaped = (
                self._tensor.reshape(resolved) if self.numel else candle.zeros(resolved, dtype=self._tensor.dtype)
            )
            return CandleTensor(reshaped)

    def contiguous(self) -> CandleTensor:
        """Returns the elements in row-major order without gaps; see ``Tensor``."""
        if self._tensor.is_contiguous():
            return self
        with translated(f"copying {self}", default=ExecutionError):
            return CandleTensor(self._tensor.contiguous())

    def numpy(self) -> npt.NDArray[Any]:
        """Copies the elements into a new NumPy array.

        Raises:
            UnsupportedDTypeError: For ``bf16``, which NumPy lacks.
        """
        with translated(f"reading {self}", default=ExecutionError):
            return to_numpy(self._tensor)

    def __dlpack__(
        self,
        *,
        stream: Any | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Exports a copy as a DLPack capsule.

        Raises:
            BufferError: If a copy is forbidden, as the protocol requires.
        """
        if copy is False:
            raise BufferError("candle shares its memory with no one: exporting one of its tensors copies it")
        if self._dtype is DataType.BF16:
            with translated(f"reading {self}", default=ExecutionError):
                return export_bits(to_bits(self._tensor))
        # The array is a copy already, whether or not one is requested.
        return super().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device)
