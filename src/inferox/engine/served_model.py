"""A model as the engine asks it, wherever it is computed."""

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

    def check_artifact(self, artifact: str) -> None:
        """Refuses an artifact that a request asks for, and may not.

        Args:
            artifact: Its name.

        Raises:
            RequestError: If it is not offered.
        """
        raise RequestError(
            f"{self.name!r} offers no artifacts to choose from, and {shown(artifact)} is asked for",
            hint="leave it out; the operator may offer some (--offer-artifacts)",
        )

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Takes a request of a coroutine in; see ``ask``."""
        return self.ask(items, options, arrived_s)

    @abstractmethod
    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Divides texts into tokens, of which none is cut off.

        Args:
            texts: The texts.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            add_special_tokens: Whether the tokens that the tokenizer adds are among them.

        Returns:
            What gets the tokens of each text, or an error.

        Raises:
            RequestError: If the model takes no texts, or one cannot be tokenised; it may also come as the answer.
            CapacityError: If no worker can be asked.
        """

    @abstractmethod
    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Makes texts of tokens.

        Args:
            ids: The tokens of each text.
            skip_special_tokens: Whether the tokens that the tokenizer adds are left out.

        Returns:
            What gets the texts, or an error.

        Raises:
            RequestError: If the model takes no texts, or there is no such token; it may also come as the answer.
            CapacityError: If no worker can be asked.
        """

    @abstractmethod
    def info(self) -> ModelInfo:
        """A description of the model, without its labels."""

    @abstractmethod
    def stats(self) -> ModelStats:
        """The statistics of the model, current and total."""
