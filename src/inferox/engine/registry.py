"""The models of an engine, by name and version."""

from __future__ import annotations

from threading import Lock

from inferox.core import ConfigError, ModelNotFoundError, ShuttingDownError
from inferox.engine.runner import ModelRunner


class ModelRegistry:
    """The models of an engine, by name and version. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._versions: dict[str, dict[str, ModelRunner]] = {}
        self._is_closed = False

    def add(self, runner: ModelRunner) -> None:
        """Takes a model in; requests that name no version go to it from now on.

        Args:
            runner: The model.

        Raises:
            ConfigError: If its name has this version already.
            ShuttingDownError: If the registry is closed.
        """
        with self._lock:
            self._refuse_if_closed()
            versions = self._versions.setdefault(runner.name, {})
            if runner.version in versions:
                raise ConfigError(
                    f"{runner.name!r} has the version {runner.version!r} already", hint="unload it, or name another"
                )
            versions[runner.version] = runner

    def find(self, name: str, version: str | None) -> ModelRunner:
        """The model of a name.

        Args:
            name: The name.
            version: The version; ``None`` for the one that came last.

        Raises:
            ModelNotFoundError: If there is none.
            ShuttingDownError: If the registry is closed.
        """
        with self._lock:
            self._refuse_if_closed()
            return self._find_all(name, version)[-1]

    def all(self) -> list[ModelRunner]:
        """Every model, by name and in the order in which its versions came."""
        with self._lock:
            return [runner for _, versions in sorted(self._versions.items()) for runner in versions.values()]

    def remove(self, name: str, version: str | None) -> list[ModelRunner]:
        """Takes models out.

        Args:
            name: Their name.
            version: The version; ``None`` for all.

        Returns:
            What was taken out, which the caller closes.

        Raises:
            ModelNotFoundError: If there is none.
        """
        with self._lock:
            found = self._find_all(name, version)
            for runner in found:
                del self._versions[name][runner.version]
            if not self._versions[name]:
                del self._versions[name]
            return found

    def close(self) -> list[ModelRunner]:
        """Takes everything out, and nothing in from now on.

        Returns:
            What was taken out, which the caller closes.
        """
        with self._lock:
            self._is_closed = True
            found = [runner for versions in self._versions.values() for runner in versions.values()]
            self._versions = {}
            return found

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ShuttingDownError("the engine is closed", hint="make a new one")

    def _find_all(self, name: str, version: str | None) -> list[ModelRunner]:
        versions = self._versions.get(name, {})
        found = [runner for runner in versions.values() if version in {None, runner.version}]
        if not found:
            wanted, known = f"{name} {version}" if versions else name, list(versions or self._versions)
            there = f"there are {', '.join(sorted(known))}" if known else "nothing is loaded"
            raise ModelNotFoundError(f"no model {wanted!r} is loaded", hint=there)
        return found
