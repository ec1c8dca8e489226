"""How deep JSON is nested."""

from __future__ import annotations

import numpy as np

_QUOTE = 0x22

_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
"""What each byte outside of a string adds to the depth."""


def is_deeper(body: bytes, limit: int) -> bool:
    """Whether JSON is nested more deeply than a limit. What is not JSON may be taken for deeper or not.

    It takes a pass over the brackets where those are few, and otherwise a few passes over all bytes.

    Args:
        body: The JSON.
        limit: How deep it may be nested: ``[]`` is nested 1 deep.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    # Within strings, a backslash comes with what it escapes: neither ends the string.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    codes = np.frombuffer(plain, np.uint8)
    is_inside = np.logical_xor.accumulate(codes == _QUOTE)
    steps = np.where(is_inside, np.int8(0), _STEPS[codes])
    return bool(np.cumsum(steps[steps != 0], dtype=np.int32).max(initial=0) > limit)
