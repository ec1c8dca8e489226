"""The bounded reading of an untrusted config by transformers' class, which terminates whatever the config states."""

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
"""The steps allowed besides those per entry: transformers' largest configs take a million, most less than a tenth."""

_STEPS_PER_ENTRY = 1 << 10

_LARGEST_GROWTH = RAISED_BY // 2
"""The most steps and entries by which a config may grow with its large numbers. A count makes it grow by more."""

_STEPS_BETWEEN_LOOKS = 1 << 10
"""The number of steps between inspections of a function's variables, which cost more than counting lines."""

_tracing_lock = Lock()
"""Held while tracing starts or ends, as Python refuses to start tracing one thread while it does so for another."""

Trace = Callable[[FrameType, str, Any], Any]


class _OutOfBoundsError(BaseException):
    """Terminates a config class. Not an ``Exception``, which the class might catch and continue."""


def read_config(config: Mapping[str, Any]) -> PretrainedConfig:
    """Has the class of a config's model type read it, without network access and within bounds.

    Some classes make a list as long as a number states, such as the names of that many labels. The lines of Python that
    they run are counted. The work within one line is not seen, so if numbers are larger than any count, two smaller
    ones are tried in place of each, and the config is refused if the work or the config grows with them.

    Args:
        config: The model's ``config.json``, with a ``model_type`` that transformers knows.

    Raises:
        LoadError: If the config takes more work than any real model's; it names the numbers that cause it.
        Exception: Whatever the class raises for a config that it does not accept.
    """
    # This imports the class, which takes longer than reading a config.
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
    """Measures the steps needed to read a config, and the entries that it then has."""
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
    """Counts the lines that a thread runs, and terminates it after too many.

    Args:
        entries: The number of entries to work on.
    """

    def __init__(self, entries: int) -> None:
        self.taken = 0
        self._most = _FEWEST_STEPS + _STEPS_PER_ENTRY * entries
        self._most_held = _FEWEST_STEPS + entries

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Trace:
        """Traces a frame; the function for ``sys.settrace``."""
        self.taken += 1
        if self.taken > self._most:
            raise _OutOfBoundsError
        if self.taken % _STEPS_BETWEEN_LOOKS == 0 and _count_held(frame) > self._most_held:
            raise _OutOfBoundsError
        return self.trace


@contextmanager
def steps_counted(entries: int, numbers: LargeNumbers) -> Iterator[Steps]:
    """Runs the block without network access, and terminates it if it takes more steps or memory than a config may.

    Args:
        entries: The number of entries to work on, as ``count_entries`` counts them.
        numbers: The numbers of the config, for the message.

    Raises:
        LoadError: If the block is terminated.
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
