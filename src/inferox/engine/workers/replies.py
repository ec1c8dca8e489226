"""The delivery of workers' replies to requests."""

from __future__ import annotations

from inferox.core import ExecutionError
from inferox.engine.workers.failures import to_error
from inferox.engine.workers.link import Reply
from inferox.engine.workers.messages import Answered, Failed
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.results import to_answer


def deliver(part: Part, reply: Reply) -> None:
    """Delivers a worker's reply to a part of a request.

    Args:
        part: The part.
        reply: The worker's reply.
    """
    model = part.request.model
    if isinstance(reply, Answered):
        model.note_answer(part)
        part.request.add(part.rows, to_answer(reply, model.name, model.version))
    elif isinstance(reply, Failed):
        part.fail(to_error(reply))
    else:
        part.fail(ExecutionError(f"a worker gave {type(reply).__name__} to a request"))
