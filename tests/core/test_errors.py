"""The error tree: drawn in the docstring, and so in the code."""

from __future__ import annotations

import inspect
import re

from inferox.core import errors
from inferox.core.errors import InferoxError, NoUsableBackendError, OutOfMemoryError, UnknownInputError


def drawn_tree() -> dict[str, str]:
    """Each drawn class and the one that it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<stem>[│├└─ ]*)(?P<name>\w+Error)\b", line)
        if match:
            depth = len(match["stem"]) // 4
            path = [*path[:depth], match["name"]]
            if depth:
                parents[match["name"]] = path[-2]
    return parents


def test_the_drawing_is_the_code() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, InferoxError)]
    assert {item.__name__: item.__bases__[0].__name__ for item in classes if item is not InferoxError} == drawn_tree()


def test_a_hint_is_part_of_the_text() -> None:
    assert str(InferoxError("it broke", hint="mend it")) == "it broke (mend it)"
    assert str(InferoxError("it broke")) == "it broke"


def test_errors_carry_their_facts() -> None:
    memory = OutOfMemoryError("no room", requested_bytes=10, free_bytes=3)
    assert (memory.requested_bytes, memory.free_bytes) == (10, 3)
    unknown = UnknownInputError(missing=["a"], unexpected=["b"], expected=["a", "c"])
    assert str(unknown) == "the model takes the inputs a, c: missing a; unknown b"
    usable = NoUsableBackendError("minilm", {"torch/x": "no torch", "onnx/y": "no onnx"})
    assert str(usable) == "no backend can run 'minilm' here: torch/x: no torch; onnx/y: no onnx"
    assert "it has no artifacts" in str(NoUsableBackendError("minilm", {}))
