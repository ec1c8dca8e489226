"""Waiting for the answer of a request, up to its deadline."""

from __future__ import annotations

import time

from inferox.core import DeadlineExceededError
from inferox.engine.answer import Answer
from inferox.engine.request import Request, RequestOptions
from inferox.engine.runner import ModelRunner


def wait_for_answer(runner: ModelRunner, request: Request) -> Answer:
    """Waits for the answer of a request on the caller's thread.

    Args:
        runner: The model that has it.
        request: The request.

    Raises:
        DeadlineExceededError: If the answer is not ready in time.
        InferoxError: What the request failed with.
    """
    try:
        results = request.future.result(_left_s(request))
    except TimeoutError:
        raise expire(request.options, request) from None
    except BaseException:
        request.future.cancel()  # whoever is interrupted waits no longer
        raise
    return runner.to_answer(request, results)


def _left_s(request: Request) -> float | None:
    if request.options.deadline_s is None:
        return None
    return max(0.0, request.deadline_s - time.monotonic())


def expire(options: RequestOptions, request: Request | None) -> DeadlineExceededError:
    """Gives up a request whose deadline has passed.

    Args:
        options: What its caller says of it.
        request: The request; ``None`` where its rows are not even made.

    Returns:
        The error for its caller.
    """
    error = DeadlineExceededError(
        f"the answer was not ready within {options.deadline_s} s", hint="allow more time, or send less at once"
    )
    if request is not None:
        request.fail(error)
    return error
