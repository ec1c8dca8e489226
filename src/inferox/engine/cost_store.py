"""The saved cost of a package's batches on this machine, which the store keeps beside the profiles."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inferox.core import Fields, InferoxError, ManifestError, shown
from inferox.engine.learned_cost import CostParts
from inferox.loading import PlannedLoad
from inferox.loading.conditions import machine_name, runtime_version
from inferox.loading.profile_store import device_text
from inferox.machine import resolve_threads
from inferox.package import Store, read_json, write_json

_logger = logging.getLogger(__name__)

_VERSION = 1

_MOST = 1e9
"""The largest part of a cost that is accepted, in seconds."""

_LEAST_SCALE = 1e-3
"""The smallest accepted factor on the estimated memory; the largest is its inverse."""

_PARTS = 4


@dataclass(frozen=True)
class KeptCost:
    """The learned cost of an artifact's batches.

    Attributes:
        seconds: The time that they take; ``None`` if that is not known.
        memory_scale: The memory that they take beside the weights, as a multiple of the initial estimate; ``None`` if
            that is not known.
    """

    seconds: CostParts | None = None
    memory_scale: float | None = None


class CostStore:
    """Saves the learned cost of a package's batches. Anything unreadable is learned anew.

    A saved cost applies only if nothing has changed: the package, the artifact, the task, the machine, the threads, the
    device, and the versions of the runtime and of Inferox.

    Args:
        planned: The package.
        task: The name of the task, which determines what counts as a token.
    """

    def __init__(self, planned: PlannedLoad, task: str) -> None:
        loader = planned.loader
        self._digest = planned.digest
        self._conditions = {
            "digest": planned.digest,
            "task": task,
            "machine": machine_name(),
            "threads": str(resolve_threads(loader.options.threads)),
            "device": device_text(loader.device),
            "compile": str(loader.options.compile),
            "inferox": version("inferox"),
        }

    def read(self, artifact: str) -> KeptCost:
        """Reads the learned cost of an artifact.

        Args:
            artifact: Its name.
        """
        try:
            path = self._path(Store(), artifact)
            return _read(path, self._conditions_of(artifact)) if path.exists() else KeptCost()
        except (InferoxError, OSError) as error:
            reason = error.message if isinstance(error, InferoxError) else error  # its hints are about packages
            _logger.warning("the saved batch cost of %s is learned anew: it cannot be read: %s", artifact, reason)
            return KeptCost()

    def write(self, artifact: str, cost: KeptCost) -> None:
        """Saves the learned cost of an artifact, replacing the previous one. A failure is logged.

        Args:
            artifact: Its name.
            cost: The learned cost.
        """
        data = {
            "version": _VERSION,
            "conditions": self._conditions_of(artifact),
            "seconds": cost.seconds and astuple(cost.seconds),
            "memory_scale": cost.memory_scale,
        }
        try:
            store = Store()
            store.make_profiles(self._path(store, artifact).parent.name)
            write_json(self._path(store, artifact), data)
        except (InferoxError, OSError) as error:
            _logger.warning("the learned batch cost of %s cannot be saved: %s", artifact, error)

    def _conditions_of(self, artifact: str) -> dict[str, str]:
        runtime = artifact.partition("/")[0]
        return {**self._conditions, "artifact": artifact, "runtime": runtime_version(runtime)}

    def _path(self, store: Store, artifact: str) -> Path:
        """Returns the file, which is the same for all versions of the runtime, so that old ones do not pile up."""
        key = "\n".join((*(text for name, text in self._conditions.items() if name != "inferox"), artifact))
        return store.profiles / self._digest[:32] / f"{sha256(key.encode()).hexdigest()[:16]}.cost"


def _read(path: Path, conditions: Mapping[str, str]) -> KeptCost:
    fields = Fields(read_json(path), "a kept cost")
    if fields.required("version", int) != _VERSION or fields.text_by_name("conditions") != conditions:
        return KeptCost()
    scale = fields.optional_number("memory_scale", least=_LEAST_SCALE, most=1 / _LEAST_SCALE)
    return KeptCost(_read_parts(fields.optional("seconds", list)), scale)


def _read_parts(listed: Sequence[Any] | None) -> CostParts | None:
    if listed is None:
        return None
    if len(listed) != _PARTS:
        raise ManifestError(f"'seconds' of a kept cost must be {_PARTS} numbers, but is {shown(listed)}")
    fields = Fields({str(place): part for place, part in enumerate(listed)}, "'seconds' of a kept cost")
    parts = CostParts(*(fields.number(str(place), least=0, most=_MOST) for place in range(_PARTS)))
    if not any(astuple(parts)):
        raise ManifestError("'seconds' of a kept cost must not be all zeros")
    return parts
