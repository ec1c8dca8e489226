"""The interface through which the engine uses a model, wherever it is computed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from inferox.core import Closing, RequestError, shown
from inferox.engine.answer import Answer
from inferox.engine.model_info import ModelInfo
from inferox.engine.request import RequestOptions
from inferox.engine.stats import ModelStats
from inferox.tasks.token import Token


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
        """Accepts a request. Cancelling the future drops what is not computed yet.

        Args:
            items: The items.
            options: The options of the request.
            arrived_s: When it arrived, on the clock of ``time.monotonic``.
            is_patient: Whether the caller will block for the answer, so that it may be computed on its thread.

        Returns:
            The future of the answer.

        Raises:
            RequestError: If an item cannot be computed; the future may also raise it.
            CapacityError: If the request is refused.
        """

    def check_artifact(self, artifact: str) -> None:
        """Refuses an artifact that requests may not select.

        Args:
            artifact: Its name.

        Raises:
            RequestError: If it is not offered.
        """
        raise RequestError(
            f"{self.name!r} offers no artifacts to choose from, and {shown(artifact)} was requested",
            hint="leave it out; the operator may offer some (--offer-artifacts)",
        )

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Accepts a coroutine's request; see ``ask``."""
        return self.ask(items, options, arrived_s)

    @abstractmethod
    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Splits texts into tokens, without truncation.

        Args:
            texts: The texts.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            add_special_tokens: Whether to include the tokens that the tokenizer adds.

        Returns:
            The future of the tokens of each text.

        Raises:
            RequestError: If the model takes no texts, or one cannot be tokenised; the future may also raise it.
            CapacityError: If no worker is available.
        """

    @abstractmethod
    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Decodes tokens to texts.

        Args:
            ids: The tokens of each text.
            skip_special_tokens: Whether to leave out the tokens that the tokenizer adds.

        Returns:
            The future of the texts.

        Raises:
            RequestError: If the model takes no texts, or the vocabulary lacks a token; the future may also raise it.
            CapacityError: If no worker is available.
        """

    @abstractmethod
    def info(self) -> ModelInfo:
        """Describes the model, without its labels."""

    @abstractmethod
    def stats(self) -> ModelStats:
        """Returns the statistics of the model, current and total."""
