"""An artifact that answers a share of the requests, until it fails or drifts too far."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any

from inferox.core import CapacityError, Closing, InferoxError
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.thread_start import start_thread
from inferox.engine.trials.comparer import Answered, Comparer
from inferox.engine.trials.drift import Drift
from inferox.engine.trials.selection import RequestShare
from inferox.engine.trials.stats import TrialInfo, TrialRecorder, TrialStats
from inferox.engine.trials.verdict import Verdict

_logger = logging.getLogger(__name__)


class CanaryTrial(Closing):
    """An artifact that answers a share of the requests, until it fails or drifts too far.

    Args:
        name: The name of the model.
        model: The artifact; it is closed with this object, or when it gets no more requests.
        serving: The serving artifact, which recomputes some of its requests. It is closed after this object.
        info: The description of the trial.
        verdict: Decides whether it may go on.
    """

    def __init__(self, name: str, model: ServedModel, serving: ServedModel, info: TrialInfo, verdict: Verdict) -> None:
        self.model = model
        self._name = name
        self._serving = serving
        self._share = RequestShare(info.share, info.kind)
        self._recorder = TrialRecorder(info)
        self._verdict = verdict
        self._leaves_space = info.embedding_space != serving.info().embedding_space
        self._comparer = Comparer(
            f"inferox-{name}-canary", self._recorder, self._ask_serving, is_shadow=False, note_drift=self._note_drift
        )
        self._lock = Lock()
        self._is_retired = False
        self._retiring: Thread | None = None

    @property
    def stats(self) -> TrialStats:
        """Returns the statistics so far."""
        return self._recorder.stats

    def takes(self, items: Sequence[Any], options: RequestOptions) -> bool:
        """Returns whether the canary is to answer a request.

        Args:
            items: The items.
            options: The options of the request.
        """
        if not len(items) or self._is_retired or (options.is_one_of_many and self._leaves_space):
            return False
        return self._share.chooses(options.request_id)

    def note_answer(self, items: Sequence[Any] | None, options: RequestOptions, answer: Answer) -> None:
        """Records an answer of the canary, and has the serving artifact recompute it.

        Args:
            items: The items; ``None`` if they cannot be recomputed.
            options: The options of the request.
            answer: The answer.
        """
        self._recorder.count("requests")
        self._end_if(self._verdict.note_request(failed=False))
        if items is not None:
            self._comparer.consider(Answered(items, options, answer))

    def note_failure(self, error: InferoxError) -> None:
        """Records a request that the canary failed and the serving artifact answered.

        Args:
            error: The canary's error. A lack of room or time is not its fault.
        """
        if isinstance(error, CapacityError):
            return
        _logger.warning("%s: the canary %s failed a request: %s", self._name, self._recorder.info.artifact, error)
        self._recorder.count("errors")
        self._end_if(self._verdict.note_request(failed=True))

    def close(self) -> None:
        """Stops accepting requests, and closes the artifact once those that it has are answered."""
        self._retire()
        if self._retiring is None:  # no thread could be started
            self._close_all()
        else:
            self._retiring.join()

    def _note_drift(self, drift: Drift) -> None:
        self._end_if(self._verdict.note_drift(drift.distance))

    def _end_if(self, reason: str | None) -> None:
        """Stops giving the canary requests if there is a reason, and logs it once."""
        if reason is not None and self._retire(reason):
            _logger.error("%s: the canary %s is rolled back: %s", self._name, self._recorder.info.artifact, reason)

    def _retire(self, reason: str | None = None) -> bool:
        """Stops giving it requests. A separate thread closes it: that may take a while, and this may be its own."""
        with self._lock:
            if self._is_retired:
                return False
            self._is_retired = True
            if reason is not None:
                self._recorder.note_rollback(reason)
            self._retiring = start_thread(f"inferox-{self._name}-retire", self._close_all)
            return True

    def _close_all(self) -> None:
        self._comparer.close()
        self.model.close()

    def _ask_serving(self, items: Sequence[Any], options: RequestOptions) -> Future[Answer]:
        return self._serving.ask(items, options, time.monotonic())
