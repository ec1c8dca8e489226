"""The limit on a worker's requests for a model, so that its death affects only a few."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

_CALM_AFTER = 64
"""The number of answers since the last death after which the limit doubles."""

_MOST = 64
"""The limit beyond which requests are no longer limited."""


class Exposure:
    """The most requests for a model that a worker may have at once. Thread-safe.

    There is no limit until a worker dies while computing. From then on each worker has one request at a time, so that
    no others are suspected if the next one dies. The limit doubles with every 64 answers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: dict[str, int] = {}

    def note_death(self, models: Iterable[str]) -> None:
        """Records that a worker died while computing.

        Args:
            models: The keys of the models that it was computing.
        """
        with self._lock:
            self._answers.update(dict.fromkeys(models, 0))

    def note_answer(self, model: str) -> None:
        """Records an answer.

        Args:
            model: The key of the model that gave it.
        """
        if model not in self._answers:
            return
        with self._lock:
            answers = self._answers.get(model, _MOST * _CALM_AFTER) + 1
            if _limit(answers) < _MOST:
                self._answers[model] = answers  # never absent, even for a moment in which nothing would be limited
            else:
                self._answers.pop(model, None)

    def allows(self, model: str, count: int) -> bool:
        """Returns whether a worker may have one more request.

        Args:
            model: The key of the model.
            count: The number of the model's requests that the worker has.
        """
        answers = self._answers.get(model)
        return answers is None or count < _limit(answers)


def _limit(answers: int) -> int:
    return int(2 ** (answers / _CALM_AFTER))
