"""What the server does, whatever protocol asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from inferox.core import (
    ConfigError,
    DeadlineExceededError,
    ModelNotFoundError,
    OverloadedError,
)
from inferox.engine import Answer, Engine, ModelInfo
from inferox.server.config import ModelSource, check_name
from inferox.server.field_error import FieldError

_LOADING_S = 1.0
"""After how long it is worth asking again for a model that is being loaded."""


class Service:
    """Answers requests by an engine. One event loop uses it, but for ``load``.

    Args:
        engine: What computes.
        timeout_s: How long a request may take before it is given up.

    Attributes:
        is_draining: Whether the server is about to end.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self.is_draining = False
        self._engine = engine
        self._timeout_s = timeout_s
        self._models: dict[str, ModelInfo] = {}
        self._is_loaded = False

    def load(self, sources: Sequence[ModelSource]) -> None:
        """Loads the models, one after another. A thread of its own calls it; each answers as soon as it is there.

        Args:
            sources: The packages.

        Raises:
            InferoxError: If one of them cannot be loaded.
            ConfigError: If two have one name, or one has a name that requests cannot say.
        """
        for source in sources:
            info = self._engine.load(source.path, name=source.name, **source.options)
            try:
                check_name(info.name)
            except ConfigError:
                self._engine.unload(info.name, drop_labels=True)
                raise
            self._models = {**self._models, info.name: info}
        self._is_loaded = True

    def models(self) -> list[ModelInfo]:
        """The models that were loaded, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def find(self, name: str) -> ModelInfo:
        """A model.

        Args:
            name: What a request calls it.

        Raises:
            ModelNotFoundError: If there is none of that name.
            OverloadedError: If not all models are loaded yet, so that it may still come.
        """
        if (info := self._models.get(name)) is not None:
            return info
        if not self._is_loaded:
            raise OverloadedError("models are still being loaded", retry_after_s=_LOADING_S)
        known = ", ".join(sorted(self._models))
        raise ModelNotFoundError(f"there is no model {name[:200]!r}", hint=f"this server has {known}")

    def why_not_ready(self) -> str | None:
        """Why the server should be sent no requests; ``None`` where it should."""
        if self.is_draining:
            return "the server is shutting down"
        if not self._is_loaded:
            return "models are being loaded"
        workers = [worker for worker in self._engine.workers() if not worker.is_sandbox]
        missing = [name for name in sorted(self._models) if not any(name in worker.models for worker in workers)]
        return f"no worker process can compute {', '.join(missing)}" if missing else None

    async def embed(self, name: str, texts: Sequence[str], *, dimensions: int | None, cut: bool) -> Answer:
        """Makes a vector of each text. Cancelling it drops what is not computed yet.

        Args:
            name: The model.
            texts: The texts.
            dimensions: The length that the vectors are to have; ``None`` for their own.
            cut: Whether texts that are too long are cut; otherwise they are refused.

        Returns:
            The answer, whose results are an array with a row for each text.

        Raises:
            RequestError: If it cannot be computed.
            DeadlineExceededError: If it takes too long.
            InferoxError: See ``Engine.infer``.
        """
        info = self.find(name)
        if info.task != "embed":
            raise FieldError("model", f"{name!r} is a model for the task {info.task}, and makes no embeddings")
        if dimensions is not None and dimensions != info.dimension:
            raise FieldError(
                "dimensions",
                f"{name!r} makes vectors of {info.dimension} numbers, and its package allows no other length "
                f"than that, but dimensions is {dimensions}",
                hint="leave dimensions out",
            )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._engine.ainfer(name, texts, truncate="cut" if cut else "error")
        except TimeoutError:
            raise DeadlineExceededError(
                f"the answer was not ready within {self._timeout_s:g} s", hint="send less at once"
            ) from None
