"""Reading a config that may ask for anything with transformers' class: the work ends, whatever the config says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from types import FrameType
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

from inferox.backends.torch.config_numbers import RAISED_BY, LargeNumbers, count_entries
from inferox.backends.torch.construction import offline
from inferox.core import LoadError, first_line

_FEWEST_STEPS = 1 << 21
"""The configs of transformers with the most parts take a million lines of Python; most take less than a tenth of it."""

_STEPS_PER_ENTRY = 1 << 10

_LARGEST_GROWTH = RAISED_BY // 2
"""The steps and entries by which a config may grow with its large numbers. One that counts grows by more."""

_STEPS_BETWEEN_LOOKS = 1 << 10
"""Looking at what a function holds costs more than counting its lines."""

_tracing_lock = Lock()
"""Python refuses to trace a thread at the very moment in which it begins or ends to trace another."""

Trace = Callable[[FrameType, str, Any], Any]


class _OutOfBoundsError(BaseException):
    """Ends a config class. Not an ``Exception``, which the class may catch before it goes on."""


def read_config(config: Mapping[str, Any]) -> PretrainedConfig:
    """Has the class of a config's model type read it, without network, and within bounds.

    Some classes make a list as long as a number says, such as the names of as many labels. The lines of Python that
    they run are counted. What Python does within one line is not seen; so where numbers are larger than any count, two
    smaller ones are tried in place of each, and the config is refused where the work or the config grows with them.

    Args:
        config: The model's ``config.json``, with a ``model_type`` that transformers knows.

    Raises:
        LoadError: If the config takes more work than any model's, with the numbers that ask for it.
        Exception: Whatever the class raises for a config that it does not take.
    """
    # This imports the class, which takes longer than it does to read a config.
    kind = CONFIG_MAPPING[config["model_type"]]
    numbers, entries = LargeNumbers(config), count_entries(config)
    if numbers:
        work = [_measure(kind, numbers.made_smaller(raised=raised), entries, numbers) for raised in (False, True)]
        if any(raised - usual > _LARGEST_GROWTH for usual, raised in zip(*work, strict=True)):
            raise _refusal(numbers)
    with steps_counted(entries, numbers):
        settings: PretrainedConfig = kind.from_dict(dict(config))
    return settings


def _measure(kind: Any, config: dict[str, Any], entries: int, numbers: LargeNumbers) -> tuple[int, int]:
    """The number of steps it takes to read a config, and of the entries it has then."""
    try:
        with steps_counted(entries, numbers) as steps:
            made = kind.from_dict(config)
    except LoadError:
        raise
    except Exception as error:  # transformers validates configs with exceptions of several libraries
        raise LoadError(
            f"the config states {numbers}, which is more than any count, and the class of its model type does not take "
            f"it with smaller numbers in their place either: {first_line(error)}",
            hint="look for a number of layers or labels that is not this model's, or another mistake in the config",
        ) from error
    return steps.taken, count_entries(made)


class Steps:
    """Counts the lines that a thread runs, and ends it after too many.

    Args:
        entries: How many entries there are to work on.
    """

    def __init__(self, entries: int) -> None:
        self.taken = 0
        self._most = _FEWEST_STEPS + _STEPS_PER_ENTRY * entries
        self._most_held = _FEWEST_STEPS + entries

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Trace:
        """The function for ``sys.settrace``."""
        self.taken += 1
        if self.taken > self._most:
            raise _OutOfBoundsError
        if self.taken % _STEPS_BETWEEN_LOOKS == 0 and _count_held(frame) > self._most_held:
            raise _OutOfBoundsError
        return self.trace


@contextmanager
def steps_counted(entries: int, numbers: LargeNumbers) -> Iterator[Steps]:
    """Ends what this thread does, without network, once it takes more steps or holds more than a config may ask for.

    Args:
        entries: How many entries there are to work on, as ``count_entries`` counts them.
        numbers: The numbers of the config, for the message.

    Raises:
        LoadError: Where it is ended.
    """
    steps, before = Steps(entries), sys.gettrace()
    try:
        with offline():
            with _tracing_lock:
                sys.settrace(steps.trace)
            yield steps
    except _OutOfBoundsError:
        raise _refusal(numbers) from None
    finally:
        with _tracing_lock:
            sys.settrace(before)


def _count_held(frame: FrameType) -> int:
    held = (value for value in frame.f_locals.values() if isinstance(value, list | tuple | dict | set | str))
    return sum(len(value) for value in held)


def _refusal(numbers: LargeNumbers) -> LoadError:
    return LoadError(
        f"the config asks for more work than a model of its weights could take; its largest numbers are {numbers}",
        hint="look for a number of layers or labels that is not this model's",
    )
