"""The nesting depth of JSON."""

from __future__ import annotations

import numpy as np

_QUOTE = 0x22

_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
"""The change of depth at each byte outside of a string."""


def is_deeper(body: bytes, limit: int) -> bool:
    """Returns True if JSON is nested more deeply than a limit. For bytes that are not JSON, the result is arbitrary.

    Takes a pass over the bytes if brackets are few, and otherwise a few passes.

    Args:
        body: The JSON.
        limit: The depth that is allowed: ``[]`` is nested 1 deep.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    # Within strings, a backslash comes with what it escapes: neither ends the string.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    codes = np.frombuffer(plain, np.uint8)
    is_inside = np.logical_xor.accumulate(codes == _QUOTE)
    steps = np.where(is_inside, np.int8(0), _STEPS[codes])
    return bool(np.cumsum(steps[steps != 0], dtype=np.int32).max(initial=0) > limit)
