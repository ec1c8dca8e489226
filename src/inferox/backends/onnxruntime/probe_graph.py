"""A graph that multiplies two matrices, to test whether ONNX Runtime computes.

It is stored as bytes because writing one needs the onnx package, which running models does not. A test makes it again
with that package and compares.
"""

from __future__ import annotations

MATMUL_GRAPH = bytes.fromhex(
    "080812003a7a0a1e0a046c6566740a057269676874120770726f6475637422064d61744d756c12066d61746d756c5a180a04"
    "6c65667412100a0e0801120a0a0312016d0a0312016d5a190a05726967687412100a0e0801120a0a0312016d0a0312016d62"
    "1b0a0770726f6475637412100a0e0801120a0a0312016d0a0312016d42040a001011"
)
"""``product = left @ right`` for two f32 matrices of ``[m, m]``, in opset 17."""
