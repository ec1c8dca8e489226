"""The process that an engine belongs to."""

from __future__ import annotations

import os

from inferox.core import ConfigError


class OwnProcess:
    """The process in which this object was made.

    A fork of it copies the objects of an engine, but none of its threads, so that requests would wait forever; and it
    shares the connections to worker processes, so that answers would go to the wrong one of the two.
    """

    def __init__(self) -> None:
        self._id = os.getpid()

    @property
    def is_other(self) -> bool:
        """True in a fork of the process."""
        return os.getpid() != self._id

    def check(self) -> None:
        """Checks that this is the process.

        Raises:
            ConfigError: If it is a fork.
        """
        if self.is_other:
            raise ConfigError(
                "the engine belongs to another process, of which this one is a fork",
                hint="make an engine in each process, after the fork",
            )
