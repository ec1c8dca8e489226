"""Loading and unloading models while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from inferox.core import ConfigError, InferoxError, ModelNotFoundError, OverloadedError, first_line, printable
from inferox.server.config import MODEL_NAME, ModelSource
from inferox.server.http_error import HttpError
from inferox.server.model_repository import ModelRepository
from inferox.server.service import Service

_logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")


class ModelControl:
    """Loads and unloads models, one after another. To be used from one event loop.

    Args:
        service: The service that holds the models.
        repository: The packages that may be loaded. Requests give their names, never paths.
        announce: Called with one-line messages for the person at the terminal.
    """

    def __init__(self, service: Service, repository: ModelRepository, announce: Callable[[str], None]) -> None:
        self._service = service
        self._repository = repository
        self._announce = announce
        self._turn = asyncio.Lock()
        self._doing: set[asyncio.Task[None]] = set()

    async def load(self, name: str) -> None:
        """Loads a model; a loaded one is reloaded, and serves until the next version takes over.

        Args:
            name: The name by which requests address it.

        Raises:
            ModelNotFoundError: If there is no package of that name.
            HttpError: If it cannot be loaded; the loaded version continues to serve.
            OverloadedError: If the server is still loading its first models.
        """
        await self._to_its_end(self._load(name))

    async def unload(self, name: str) -> None:
        """Unloads a model, once its requests are answered.

        Args:
            name: The name by which requests address it.

        Raises:
            ModelNotFoundError: If it is not loaded.
            HttpError: If it cannot be unloaded.
        """
        await self._to_its_end(self._unload(name))

    async def list_unloaded(self) -> dict[str, str]:
        """Returns the packages that are not loaded, each with the reason: its name may not be valid in requests.

        Raises:
            HttpError: If the folder of packages cannot be read.
        """
        found = await self._do("the packages cannot be listed", self._repository.list_names)
        names = {*self._service.sources, *found} - {info.name for info in self._service.models()}
        # Names of files need not be UTF-8.
        return {printable(name): "unloaded" if MODEL_NAME.fullmatch(name) else "invalid name" for name in sorted(names)}

    async def _load(self, name: str) -> None:
        async with self._turn:
            source = self._find(name)
            info = await self._do(f"{name} cannot be loaded", lambda: self._service.load_again(name, source))
        self._announce(f"loaded {name}, version {info.version}, at an admin's request")

    async def _unload(self, name: str) -> None:
        async with self._turn:
            self._service.find(name)
            await self._do(f"{name} cannot be unloaded", lambda: self._service.unload(name))
        self._announce(f"unloaded {name}, at an admin's request")

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs work to its end, even if the client that requested it disconnects: the next must not begin earlier."""
        task = asyncio.create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        await asyncio.shield(task)

    def _find(self, name: str) -> ModelSource:
        source = self._service.sources.get(name) or self._repository.find_new(name)
        if source is None:
            self._service.refuse_while_loading()
            raise ModelNotFoundError(
                f"there is no package for a model {name[:200]!r}",
                hint="name it when the server is started, or put it into the folder of --repository",
            )
        return source

    async def _do(self, failing: str, work: Callable[[], _Value]) -> _Value:
        """Runs slow work in a thread. Failures are explained in full, as the client is the operator."""
        try:
            return await asyncio.to_thread(work)
        except (OverloadedError, ModelNotFoundError):
            raise
        except InferoxError as error:
            _logger.warning("%s: %s", failing, error)
            status = 400 if isinstance(error, ConfigError) else 409
            raise HttpError(status, "not_done", f"{failing}: {first_line(error)}") from error
