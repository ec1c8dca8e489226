"""A small computation to test a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13


def multiply(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32], device: str) -> npt.NDArray[Any]:
    """Multiplies two matrices with OpenVINO.

    Args:
        left: The first matrix; shape ``[rows, inner]``.
        right: The second matrix; shape ``[inner, columns]``.
        device: OpenVINO's name for the device.

    Returns:
        The product; shape ``[rows, columns]``, float32.
    """
    parameters = [opset13.parameter(matrix.shape, np.float32) for matrix in (left, right)]
    model = openvino.Model([opset13.matmul(*parameters, transpose_a=False, transpose_b=False)], parameters)
    compiled = openvino.Core().compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([left, right])[0])
