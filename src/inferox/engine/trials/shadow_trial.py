"""An artifact that recomputes a share of the requests after they are answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from inferox.core import Closing
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.trials.comparer import Answered, Comparer, keep_first
from inferox.engine.trials.drift import Drift
from inferox.engine.trials.selection import RequestShare
from inferox.engine.trials.stats import TrialInfo, TrialRecorder, TrialStats


class ShadowTrial(Closing):
    """An artifact that recomputes a share of the requests after they are answered.

    Args:
        name: The name of the model.
        model: The artifact; it is closed with this object.
        info: The description of the trial.
    """

    def __init__(self, name: str, model: ServedModel, info: TrialInfo) -> None:
        self._model = model
        self._share = RequestShare(info.share, info.kind)
        self._recorder = TrialRecorder(info)
        self._comparer = Comparer(
            f"inferox-{name}-shadow", self._recorder, self._ask, is_shadow=True, note_drift=_note_nothing
        )

    @property
    def stats(self) -> TrialStats:
        """Returns the statistics so far."""
        return self._recorder.stats

    def follow(self, items: Sequence[Any], options: RequestOptions, future: Future[Answer]) -> None:
        """Has a request recomputed once it is answered, if it is in the share.

        Args:
            items: The items.
            options: The options of the request.
            future: The future of its answer.
        """
        if len(items) and self._share.chooses(options.request_id) and (kept := keep_first(items)) is not None:
            future.add_done_callback(partial(self._note_answer, kept, options))

    def close(self) -> None:
        """Stops recomputing, and closes the artifact."""
        self._comparer.close()
        self._model.close()

    def _note_answer(self, items: Sequence[Any], options: RequestOptions, future: Future[Answer]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._comparer.consider(Answered(items, options, future.result()))

    def _ask(self, items: Sequence[Any], options: RequestOptions) -> Future[Answer]:
        return self._model.ask(items, options, time.monotonic())


def _note_nothing(_: Drift) -> None:
    """Ignores the drift: a shadow has no limit."""
