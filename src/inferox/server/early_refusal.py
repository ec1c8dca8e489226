"""The refusal of requests by what is known of them before they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferox.core import OverloadedError
from inferox.server.api_keys import ApiKeys
from inferox.server.intake import Intake
from inferox.server.service import Service


@dataclass(frozen=True)
class EarlyRefusal:
    """The refusal of a request that was not read.

    Attributes:
        error: The reason.
        owner: The name of the request's API key; ``None`` if the server has no keys.
    """

    error: OverloadedError
    owner: str | None


class EarlyRefusals:
    """Refuses requests for which there is no room, whatever the protocol. To be used from one event loop.

    Whoever is refused here would also be refused after the request was read: the same limits decide, and what is not
    known yet is assumed to be as small as it can be.

    Args:
        service: The service that holds the models.
        intake: Limits the requests and bytes in progress.
        keys: The API keys.
    """

    def __init__(self, service: Service, intake: Intake, keys: ApiKeys) -> None:
        self._service = service
        self._intake = intake
        self._keys = keys

    @property
    def are_possible(self) -> bool:
        """True if some request would be refused; a quick answer for the many that arrive while there is room.

        While the server is shutting down, requests are answered as usual, as each answer then ends its connection.
        """
        return (self._service.has_full or self._intake.is_full) and not self._service.is_draining

    def find(
        self, api_key: bytes | None, tasks: Sequence[str] | None, model: str | None = None, *, expected_bytes: int = 0
    ) -> EarlyRefusal | None:
        """Returns the refusal of a request; ``None`` if it is to be answered as usual.

        Args:
            api_key: The key that came with it; ``None`` if none did.
            tasks: The tasks of the models that may compute it; ``None`` for any task, empty if no model does.
            model: The model that it names; ``None`` if that is not known.
            expected_bytes: The announced size of its body; 0 if that is not known.

        Raises:
            HttpError: If the server has keys, and the request's is missing or not among them.
        """
        owner = self._keys.find_owner(api_key)
        error = self._intake.find_refusal(expected_bytes) or self._service.find_refusal(owner, tasks, model)
        return None if error is None else EarlyRefusal(error, owner)
