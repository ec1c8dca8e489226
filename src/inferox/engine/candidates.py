"""The artifacts that can compute a model, and those that are out of service."""

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
        planned: The package; ``None`` if there is none, so that no other artifact can be opened.
        retry_s: The seconds after which a failed artifact is tried again; doubled after each failure.

    Attributes:
        outages: The artifacts that are out of service.
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
        """Returns the names of all artifacts."""
        return list(self._artifacts)

    def besides(self, serving: str) -> tuple[str, ...]:
        """Returns the names of all artifacts but one.

        Args:
            serving: The name to leave out.
        """
        return tuple(name for name in self._artifacts if name != serving)

    def preferred_to(self, serving: str) -> list[str]:
        """Returns the names of the artifacts that are preferred to one.

        Args:
            serving: The name of that one.
        """
        names = list(self._artifacts)
        return names[: names.index(serving)]

    def open(self, name: str) -> TaskModel:
        """Loads an artifact and checks it on its stored samples.

        Args:
            name: Its name.

        Raises:
            Exception: Whatever its backend and its task raise.
        """
        return self._artifacts[name]()

    def try_to_open(self, name: str) -> TaskModel | None:
        """Loads an artifact, and records whether it is out of service; see ``open``.

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
        """Makes the error for a failure after which no other artifact can take over.

        Args:
            serving: The artifact that fails.
            cause: The failure.
        """
        others = "; ".join(f"{name}: {reason}" for name, reason in self.outages.among(self.besides(serving)).items())
        there = f"none of the others of its embedding space can take over ({others})" if others else "there is no other"
        return ExecutionError(
            f"{serving} fails its own stored samples, and {there}: {cause}",
            hint="'inferox verify' measures the whole package again",
        )
