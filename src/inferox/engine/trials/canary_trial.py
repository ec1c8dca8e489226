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
        model: The artifact; it is closed with this, or when it gets no more requests.
        serving: The artifact that serves, which computes some of its requests again. It is closed after this.
        info: What is tried.
        verdict: Whether it may go on.
    """

    def __init__(self, name: str, model: ServedModel, serving: ServedModel, info: TrialInfo, verdict: Verdict) -> None:
        self.model = model
        self._name = name
        self._serving = serving
        self._share = RequestShare(info.share, info.kind)
        self._recorder = TrialRecorder(info)
        self._verdict = verdict
        self._comparer = Comparer(
            f"inferox-{name}-canary", self._recorder, self._ask_serving, is_shadow=False, note_drift=self._note_drift
        )
        self._lock = Lock()
        self._retiring: Thread | None = None

    @property
    def stats(self) -> TrialStats:
        """The statistics so far."""
        return self._recorder.stats

    def takes(self, items: Sequence[Any], options: RequestOptions) -> bool:
        """Says whether it is to answer a request.

        Args:
            items: The items.
            options: What the caller says of it.
        """
        return len(items) > 0 and self._retiring is None and self._share.chooses(options.request_id)

    def note_answer(self, items: Sequence[Any] | None, options: RequestOptions, answer: Answer) -> None:
        """Takes note of an answer that it gave, and has the serving artifact compute it again.

        Args:
            items: The items; ``None`` if it cannot be computed again.
            options: What the caller said of it.
            answer: The answer.
        """
        self._recorder.count("requests")
        self._end_if(self._verdict.note_request(failed=False))
        if items is not None:
            self._comparer.consider(Answered(items, options, answer))

    def note_failure(self, error: InferoxError) -> None:
        """Takes note of a request that it failed, and the serving artifact answered.

        Args:
            error: What it failed with. It is not to blame where there was no room or no time.
        """
        if isinstance(error, CapacityError):
            return
        _logger.warning("%s: the canary %s failed a request: %s", self._name, self._recorder.info.artifact, error)
        self._recorder.count("errors")
        self._end_if(self._verdict.note_request(failed=True))

    def close(self) -> None:
        """Takes no more requests, and closes the artifact once those that it has are answered."""
        self._retire()
        assert self._retiring is not None  # noqa: S101 - as that does
        self._retiring.join()

    def _note_drift(self, drift: Drift) -> None:
        self._end_if(self._verdict.note_drift(drift.distance))

    def _end_if(self, reason: str | None) -> None:
        """Gives the canary no more requests where there is a reason, and says it once."""
        if reason is not None and self._retire(reason):
            _logger.error("%s: the canary %s is rolled back: %s", self._name, self._recorder.info.artifact, reason)

    def _retire(self, reason: str | None = None) -> bool:
        """Gives it no more requests. A thread of its own closes it: it may take a while, and this may be its own."""
        with self._lock:
            if self._retiring is not None:
                return False
            if reason is not None:
                self._recorder.note_rollback(reason)
            self._retiring = Thread(target=self._close_all, name=f"inferox-{self._name}-retire", daemon=True)
            self._retiring.start()
            return True

    def _close_all(self) -> None:
        self._comparer.close()
        self.model.close()

    def _ask_serving(self, items: Sequence[Any], options: RequestOptions) -> Future[Answer]:
        return self._serving.ask(items, options, time.monotonic())
