"""The limit on a worker's requests of a model, so that its death takes few of them along."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

_CALM_AFTER = 64
"""After how many answers since the last death twice as many requests may be with a worker at once."""

_MOST = 64
"""The most requests that may be with a worker at once where nothing is limited any more."""


class Exposure:
    """The most requests of a model that a worker may have at once. Several threads may use it.

    There is no limit until a worker dies of what it computes. From then on each worker has one request at a time:
    whatever the next one dies of has no mates that would be suspected with it. The limit doubles with every 64 answers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: dict[str, int] = {}

    def note_death(self, models: Iterable[str]) -> None:
        """Takes note that a worker died while it computed.

        Args:
            models: What identifies the models that it computed.
        """
        with self._lock:
            self._answers.update(dict.fromkeys(models, 0))

    def note_answer(self, model: str) -> None:
        """Takes note of an answer.

        Args:
            model: What identifies the model that gave it.
        """
        if model not in self._answers:
            return
        with self._lock:
            answers = self._answers.get(model, _MOST * _CALM_AFTER) + 1
            if _limit(answers) < _MOST:
                self._answers[model] = answers  # never gone for a moment, in which nothing would be limited
            else:
                self._answers.pop(model, None)

    def allows(self, model: str, count: int) -> bool:
        """Says whether a worker may have one more request.

        Args:
            model: What identifies the model.
            count: How many of its requests it has.
        """
        answers = self._answers.get(model)
        return answers is None or count < _limit(answers)


def _limit(answers: int) -> int:
    return int(2 ** (answers / _CALM_AFTER))
