"""The call that asks a worker to compute a part of a request."""

from __future__ import annotations

import time

from inferox.engine.workers.items import to_sendable
from inferox.engine.workers.messages import Ask
from inferox.engine.workers.pooled_request import Part


def to_ask(number: int, part: Part) -> Ask:
    """Makes the call that asks a worker to compute a part of a request.

    Args:
        number: The number of the call.
        part: The part.
    """
    request = part.request
    options, model = request.options, request.model
    left_s = None
    if options.deadline_s is not None:
        left_s = max(1e-3, request.arrived_s + options.deadline_s - time.monotonic())
    truncate = "cut" if options.truncate == "warn" else options.truncate  # the answer tells what was cut
    return Ask(
        number,
        model.name,
        model.version,
        to_sendable(part.items),
        left_s,
        options.priority,
        options.owner,
        options.prompt,
        truncate,
        options.truncation_side,
        options.unscaled,
        options.of_tokens,
        options.token_ids,
    )
