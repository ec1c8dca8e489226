"""How much of a model a worker has at once, so that its death takes few requests along."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

_CALM_AFTER = 64
"""After how many answers since the last death twice as many requests may be with a worker at once."""

_MOST = 64
"""How many requests may be with a worker at once where nothing is limited any more."""


class Exposure:
    """How many requests of a model a worker may have at once. Several threads may use it.

    There is no limit until a worker dies of what it computes. From then on each worker has one request at a time:
    whatever the next one dies of has no mates that would be suspected with it. The limit doubles as answers come.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._limits: dict[str, float] = {}

    def note_death(self, models: Iterable[str]) -> None:
        """Takes note that a worker died while it computed.

        Args:
            models: What identifies the models that it computed.
        """
        with self._lock:
            self._limits.update(dict.fromkeys(models, 1.0))

    def note_answer(self, model: str) -> None:
        """Takes note of an answer.

        Args:
            model: What identifies the model that gave it.
        """
        if model not in self._limits:
            return
        with self._lock:
            limit = self._limits.pop(model, _MOST) * 2 ** (1 / _CALM_AFTER)
            if limit < _MOST:
                self._limits[model] = limit

    def allows(self, model: str, count: int) -> bool:
        """Whether a worker may have one more request.

        Args:
            model: What identifies the model.
            count: How many of its requests it has.
        """
        return count < self._limits.get(model, count + 1)
