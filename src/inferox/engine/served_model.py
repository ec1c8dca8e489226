"""A model as the engine asks it, wherever it is computed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from inferox.core import Closing
from inferox.engine.answer import Answer
from inferox.engine.model_info import ModelInfo
from inferox.engine.request import RequestOptions
from inferox.engine.stats import ModelStats


class ServedModel(Closing):
    """A version of a model that answers requests: in this process, or in worker processes.

    Attributes:
        name: The name of the model in the engine.
        version: Its version.
    """

    name: str
    version: str

    @abstractmethod
    def ask(
        self, items: Sequence[Any], options: RequestOptions, arrived_s: float, *, is_patient: bool = False
    ) -> Future[Answer]:
        """Takes a request in. Cancelling what it returns drops what is not computed yet.

        Args:
            items: The items.
            options: What the caller says of it.
            arrived_s: When it came, on the clock of ``time.monotonic``.
            is_patient: Whether the caller waits for the answer in any case, so that it may be computed meanwhile.

        Returns:
            What gets the answer.

        Raises:
            RequestError: If an item cannot be computed; it may also come as the answer.
            CapacityError: If the request is refused.
        """

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Takes a request of a coroutine in; see ``ask``."""
        return self.ask(items, options, arrived_s)

    @abstractmethod
    def info(self) -> ModelInfo:
        """What the model is; of its labels it knows nothing."""

    @abstractmethod
    def stats(self) -> ModelStats:
        """What the model is doing, and has done."""
