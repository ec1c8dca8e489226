"""The raising of errors that were made elsewhere."""

from __future__ import annotations


def raise_any(error: Exception | None) -> None:
    """Raises an error, if there is one. Nothing but its traceback then refers to it.

    An error in a variable of a frame through which it is raised is part of a cycle, as its traceback has the frame:
    garbage that only a collection frees.

    Args:
        error: The error; ``None`` for none. The caller has it in no variable.
    """
    if error is not None:
        try:
            raise error
        finally:
            del error


def forget_frames(error: BaseException) -> None:
    """Removes the traceback of an error that nobody raises again, and those of its causes.

    Their frames, and the callers of these, may have what holds the error: a cycle of garbage that only a collection
    frees.

    Args:
        error: The error.
    """
    chain = [error]
    for found in chain:
        found.__traceback__ = None
        for other in (found.__cause__, found.__context__):
            if other is not None and all(other is not known for known in chain):
                chain.append(other)
