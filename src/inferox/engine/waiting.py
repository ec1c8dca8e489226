"""The wait for the answer to a request, up to its deadline."""

from __future__ import annotations

import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from inferox.core import DeadlineExceededError
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.tasks.truncation import warn_of_cut


def wait_for_answer(future: Future[Answer], options: RequestOptions, arrived_s: float) -> Answer:
    """Waits for the answer to a request on the caller's thread.

    Args:
        future: The future of the answer.
        options: The options of the request.
        arrived_s: When it arrived, on the clock of ``time.monotonic``.

    Raises:
        DeadlineExceededError: If the answer is not ready in time.
        InferoxError: If the request fails.
    """
    deadline_s = options.deadline_s
    left_s = None if deadline_s is None else max(0.0, arrived_s + deadline_s - time.monotonic())
    try:
        return future.result(left_s)
    except TimeoutError:
        raise expire(options, future) from None
    except BaseException:
        future.cancel()  # an interrupted caller no longer waits
        raise
    finally:
        del future  # the future has the error, whose traceback has this frame: a cycle of garbage


def expire(options: RequestOptions, future: Future[Answer] | None) -> DeadlineExceededError:
    """Gives up on a request whose deadline has passed.

    Args:
        options: The options of the request.
        future: The future of its answer; ``None`` if it was not even encoded.

    Returns:
        The error for its caller.
    """
    if future is not None:
        with suppress(InvalidStateError):
            future.set_exception(_make_error(options))  # if it were raised, the two would be a cycle
    return _make_error(options)


def _make_error(options: RequestOptions) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the answer was not ready within {options.deadline_s} s", hint="allow more time, or send less at once"
    )


def warn_of_cuts(answer: Answer, options: RequestOptions) -> Answer:
    """Warns about texts that were cut, if the caller wants that.

    Args:
        answer: The answer.
        options: The options of the request.

    Returns:
        The answer, unchanged.
    """
    if options.truncate == "warn":
        warn_of_cut(answer.cut_tokens)
    return answer
