"""Warnings point to the line outside Inferox that caused them, whatever the path of the call."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from inferox.client.event_loop import LoopThread
from inferox.core import InferoxWarning, warn_user

_INSIDE = """
def deep(levels):
    if levels:
        return deep(levels - 1)
    warn_user(InferoxWarning("a warning"))

def stream(levels):
    deep(levels)
    yield 1

async def wait(levels):
    await sleep(0)
    deep(levels)
"""


@pytest.fixture(scope="module")
def inside() -> dict[str, Any]:
    """Functions of a module of Inferox."""
    names: dict[str, Any] = {
        "__name__": "inferox.somewhere",
        "warn_user": warn_user,
        "InferoxWarning": InferoxWarning,
        "sleep": asyncio.sleep,
    }
    exec(compile(_INSIDE, "somewhere.py", "exec"), names)  # noqa: S102 - the text above
    return names


def in_another_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    loop = LoopThread()
    try:
        loop.run(coroutine)
    finally:
        loop.close()


@pytest.mark.parametrize("levels", [0, 1, 7])
@pytest.mark.parametrize(
    "call",
    [
        lambda names, levels: names["deep"](levels),
        lambda names, levels: next(names["stream"](levels)),
        lambda names, levels: in_another_thread(names["wait"](levels)),
    ],
    ids=["plain", "generator", "another thread"],
)
def test_a_warning_points_to_the_line_outside(
    inside: dict[str, Any], levels: int, call: Callable[[dict[str, Any], int], None]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(inside, levels)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_warning_may_be_an_error_of_the_caller(inside: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InferoxWarning, match="a warning"):
            in_another_thread(inside["wait"](1))


def test_a_coroutine_warns_about_the_one_that_waits_for_it(inside: dict[str, Any]) -> None:
    async def wait() -> None:
        await inside["wait"](2)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(wait())
    assert [warning.filename for warning in caught] == [__file__]
