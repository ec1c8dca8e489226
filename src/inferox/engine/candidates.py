"""The artifacts that can compute a model, and which of them are out of order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from inferox.core import BackendUnavailableError, ExecutionError
from inferox.engine.outages import Outages
from inferox.loading import PlannedLoad, TaskModel

_logger = logging.getLogger(__name__)


class Candidates:
    """The artifacts of one embedding space that can compute a model, the best first.

    Args:
        name: The name of the model in the engine.
        artifact: The artifact that serves first.
        planned: The package; ``None`` if there is none, and so no artifact that can be opened.
        retry_s: After how many seconds one that failed is tried again; twice as many after each failure.

    Attributes:
        outages: Which are out of order.
    """

    def __init__(self, name: str, artifact: str, planned: PlannedLoad | None, *, retry_s: float) -> None:
        self.outages = Outages(retry_s)
        self._name = name
        self._artifacts: dict[str, Callable[[], TaskModel]] = {}
        if planned is not None:
            alike = planned.find_alike(artifact)
            self._artifacts = {artifact.name: partial(planned.open, artifact) for artifact in alike}

    def __bool__(self) -> bool:
        return bool(self._artifacts)

    def all(self) -> list[str]:
        """The names of all."""
        return list(self._artifacts)

    def besides(self, serving: str) -> tuple[str, ...]:
        """The names of all but one.

        Args:
            serving: That one.
        """
        return tuple(name for name in self._artifacts if name != serving)

    def preferred_to(self, serving: str) -> list[str]:
        """The names of those that come before one.

        Args:
            serving: That one.
        """
        names = list(self._artifacts)
        return names[: names.index(serving)]

    def open(self, name: str) -> TaskModel:
        """Loads an artifact, which computes its stored samples.

        Args:
            name: Its name.

        Raises:
            Exception: Whatever its backend and its task raise.
        """
        return self._artifacts[name]()

    def try_to_open(self, name: str) -> TaskModel | None:
        """Loads an artifact, and notes whether it is out of order; see ``open``.

        Args:
            name: Its name.
        """
        try:
            found = self.open(name)
        except Exception as error:  # noqa: BLE001 - a third party's backend or task may raise anything
            self.outages.begin(name, str(error), is_final=isinstance(error, BackendUnavailableError))
            _logger.warning("%s: %s cannot be loaded: %s", self._name, name, error)
            return None
        self.outages.end(name)
        return found

    def explain_end(self, serving: str, cause: str) -> ExecutionError:
        """The error where none can take over.

        Args:
            serving: The artifact that fails.
            cause: How.
        """
        others = "; ".join(f"{name}: {reason}" for name, reason in self.outages.among(self.besides(serving)).items())
        there = f"none of the others of its embedding space can take over ({others})" if others else "there is no other"
        return ExecutionError(
            f"{serving} fails its own stored samples, and {there}: {cause}",
            hint="'inferox verify' measures the whole package again",
        )
