"""The speed at which this machine multiplies large matrices, and a model's share of such products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inferox.measuring.timing import time_call

PRECISIONS = ("fp32", "bf16", "int8")

_SIZE = 2048
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_LENGTHS = (8, 64, 128)
"""The number of operations is a quadratic polynomial of a text's length: products with weights, and attention."""


def open_product(precision: str, threads: int) -> Callable[[], float]:
    """Makes a product of two large matrices in a precision, with OpenVINO.

    Args:
        precision: ``fp32``, ``bf16`` or ``int8``, in which both matrices are quantised and the product is exact.
        threads: The number of threads that compute.

    Returns:
        A function that computes it once and returns the operations per second.
    """
    import openvino
    from openvino import opset13

    draw = np.random.default_rng(0)
    left = opset13.parameter((_SIZE, _SIZE), np.float32)
    weight: Any = opset13.constant(draw.standard_normal((_SIZE, _SIZE)).astype(np.float32))
    product = opset13.matmul(
        *((_quantized(node) for node in (left, weight)) if precision == "int8" else (left, weight)),
        transpose_a=False,
        transpose_b=True,
    )
    compiled = openvino.Core().compile_model(
        openvino.Model([product], [left]),
        "CPU",
        {"INFERENCE_PRECISION_HINT": _HINTS[precision], "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1},
    )
    request = compiled.create_infer_request()
    given = draw.standard_normal((_SIZE, _SIZE)).astype(np.float32)
    request.infer([given])

    def compute() -> float:
        return 2 * _SIZE**3 / time_call(lambda: request.infer([given], share_inputs=True, share_outputs=True))

    return compute


def _quantized(node: Any) -> Any:
    from openvino import opset13

    limits = [opset13.constant(np.float32(limit)) for limit in (-4, 4, -4, 4)]
    return opset13.fake_quantize(node, *limits, 255)


def count_operations(model: str, texts: Sequence[str]) -> float:
    """Counts the additions and multiplications in the matrix products of embedding texts without padding.

    Args:
        model: A sentence-transformers model directory.
        texts: The texts.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from torch.utils.flop_counter import FlopCounterMode

    peer = SentenceTransformer(model, device="cpu")
    lengths = peer.tokenize(list(texts))["attention_mask"].sum(dim=1).tolist()
    counted = []
    for length in _LENGTHS:
        ids = torch.ones((1, length), dtype=torch.long)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            peer({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        counted.append(counter.get_total_flops())
    growth = np.polyfit(_LENGTHS, counted, 2)
    return float(np.polyval(growth, lengths).sum())
