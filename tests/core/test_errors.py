"""The error tree in the docstring is that of the code."""

from __future__ import annotations

import inspect
import re

from inferox.core import InferoxError, errors
from inferox.core.error_facts import describe_error
from inferox.core.errors import (
    InputTooLongError,
    NoUsableBackendError,
    OutOfMemoryError,
    RequestError,
    UnknownInputError,
)


def drawn_tree() -> dict[str, str]:
    """Returns each class in the drawing, with its parent."""
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


def test_an_item_is_named_once() -> None:
    error = RequestError("a number is odd").at_item(3)
    assert (error.item, str(error)) == (3, "item 3: a number is odd")
    assert str(error.at_item(7)) == "item 7: a number is odd"
    named = RequestError("text 3 has text 3 in it").naming_item(3, "text {}")
    assert (named.item, str(named)) == (3, "text 3 has text 3 in it")
    assert describe_error(named) == {"message": str(named), "hint": None, "item": 3, "item_label": "text {}"}
    moved = named.at_item(13)
    assert (moved.item, str(moved), moved.args) == (13, "text 13 has text 3 in it", ("text 13 has text 3 in it",))
    assert (named.item, str(named)) == (3, "text 3 has text 3 in it")
    long = InputTooLongError("pair 0", length=9, limit=8, unit="tokens").naming_item(0, "pair {}").at_item(5)
    assert (long.subject, long.length) == ("pair 5", 9)
    assert str(long) == "pair 5 has 9 tokens, but the model takes 8 at most"


def test_a_copy_that_names_an_item_has_notes_of_its_own() -> None:
    error = RequestError("a number is odd")
    error.add_note("of both")
    copied = error.at_item(3)
    copied.add_note("of the copy")
    assert (error.__notes__, copied.__notes__) == (["of both"], ["of both", "of the copy"])
    assert not hasattr(RequestError("it is even").at_item(3), "__notes__")
