"""The models of an engine, by name, version and label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from inferox.core import ConfigError, ModelNotFoundError, RequestError, ShuttingDownError, shown
from inferox.engine.own_process import OwnProcess
from inferox.engine.served_model import ServedModel

LATEST = "latest"
"""The label of the version that was loaded last."""

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")


def check_new_name(what: str, value: object) -> None:
    """Checks the name of a model or a version that is about to be loaded.

    Args:
        what: What it names, for the error.
        value: The caller's value.

    Raises:
        ConfigError: If it is not a text that every process can read and tell from others.
    """
    if not isinstance(value, str) or not value or "\0" in value or not _is_unicode(value):
        raise ConfigError(f"{what} must be a non-empty string of valid Unicode without NUL, but is {shown(value)}")


class ModelRegistry:
    """The models of an engine, by name, version and label. Thread-safe.

    A label, such as ``stable`` or ``canary``, stands for a version of a model. Versions and labels of a model never
    have the same name, so that a request is unambiguous.

    Attributes:
        process: The process of the models; in a fork of it nothing is found, added or removed.
    """

    def __init__(self) -> None:
        self.process = OwnProcess()
        self._lock = Lock()
        self._versions: dict[str, dict[str, ServedModel]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._claims: set[tuple[str, str]] = set()
        self._is_closed = False

    def add(self, runner: ServedModel) -> None:
        """Adds a model whose version was claimed; requests that name no version go to it from now on.

        Args:
            runner: The model.

        Raises:
            ShuttingDownError: If the registry is closed.
        """
        with self._lock:
            self._refuse_if_closed()
            self._versions.setdefault(runner.name, {})[runner.version] = runner

    def replace(self, runner: ServedModel, other: ServedModel) -> None:
        """Replaces a model with another one of the same name and version.

        Args:
            runner: The model.
            other: The model that takes its requests.

        Raises:
            ShuttingDownError: If the model was removed in the meantime.
        """
        with self._lock:
            if self._versions.get(runner.name, {}).get(runner.version) is not runner:
                raise ShuttingDownError(f"{runner.name!r} was unloaded while it was being loaded", hint="load it again")
            self._versions[runner.name][runner.version] = other

    @contextmanager
    def claim(self, name: str, version: str) -> Iterator[None]:
        """Reserves a version for the block, in which it is loaded and added: nobody else can claim it meanwhile.

        Args:
            name: The name of the model.
            version: The version.

        Raises:
            ConfigError: If the model already has this version or a label of this name, or if it is being loaded.
            ShuttingDownError: If the registry is closed.
        """
        self.process.check()
        with self._lock:
            self._refuse_if_closed()
            if version in self._versions.get(name, {}):
                raise ConfigError(f"{name!r} already has the version {version!r}", hint="unload it, or name another")
            if version == LATEST or version in self._labels.get(name, {}):
                raise ConfigError(f"{version!r} is a label of {name!r}, and cannot be a version", hint="choose another")
            if (name, version) in self._claims:
                raise ConfigError(f"the version {version!r} of {name!r} is already being loaded", hint="wait for it")
            self._claims.add((name, version))
        try:
            yield
        finally:
            with self._lock:
                self._claims.discard((name, version))

    def find(self, name: str, version: str | None) -> ServedModel:
        """Finds a model by its name.

        Args:
            name: The name.
            version: The version, or a label; ``None`` for the one that was loaded last.

        Raises:
            ModelNotFoundError: If there is none.
            ShuttingDownError: If the registry is closed.
        """
        self.process.check()
        _check_words(name, version)
        with self._lock:
            self._refuse_if_closed()
            labels = self._labels.get(name, {})
            wanted = None if version == LATEST else labels.get(version or "", version)
            return self._find_all(name, wanted, asked=version)[-1]

    def all(self) -> list[ServedModel]:
        """Returns every model, by name and in the order in which its versions were loaded."""
        self.process.check()
        with self._lock:
            return [runner for _, versions in sorted(self._versions.items()) for runner in versions.values()]

    def label(self, name: str, label: str, version: str | None) -> None:
        """Assigns a label to a version.

        Args:
            name: The name of the model.
            label: The label.
            version: The version; ``None`` to remove the label.

        Raises:
            ConfigError: If it cannot be a label.
            ModelNotFoundError: If there is no such version, or no such label to remove.
        """
        self.process.check()
        _check_words(name, version)
        with self._lock:
            versions, labels = self._versions.get(name, {}), self._labels.get(name, {})
            if label == LATEST:
                raise ConfigError(f"the label {LATEST} always stands for the version that was loaded last")
            if isinstance(label, str) and (label in versions or (name, label) in self._claims):
                raise ConfigError(f"{label!r} is a version of {name!r}, and cannot be a label", hint="choose another")
            if not isinstance(label, str) or not _LABEL.fullmatch(label):
                raise ConfigError(
                    f"a label must begin with a letter and have up to 63 letters, digits, '.', '-' and '_', "
                    f"but is {label!r}"
                )
            if version is None:
                self._find_all(name, None)
                if label not in labels:
                    known = f"its labels are {', '.join(sorted(labels))}" if labels else "it has none"
                    raise ModelNotFoundError(f"{name!r} has no label {label!r}", hint=known)
                del labels[label]
            else:
                self._find_all(name, version)
                self._labels.setdefault(name, {})[label] = version

    def labels_of(self, runner: ServedModel) -> tuple[str, ...]:
        """Returns the labels of a model.

        Args:
            runner: The model.
        """
        with self._lock:
            latest = list(self._versions.get(runner.name, ()))[-1:] == [runner.version]
            return (*((LATEST,) if latest else ()), *self._labels_of(runner.name, runner.version))

    def remove(self, name: str, version: str | None, *, drop_labels: bool = False) -> list[ServedModel]:
        """Removes models.

        Args:
            name: Their name.
            version: The version; ``None`` for all, and all labels with them.
            drop_labels: Whether to remove the labels of the version, too.

        Returns:
            The removed models, which the caller must close.

        Raises:
            ConfigError: If the version has a label, and ``drop_labels`` is not set.
            ModelNotFoundError: If there is none.
        """
        self.process.check()
        _check_words(name, version)
        with self._lock:
            found, labels = self._find_all(name, version), self._labels.get(name, {})
            held = [] if version is None else self._labels_of(name, version)
            if held and not drop_labels:
                raise ConfigError(
                    f"version {version!r} of {name!r} has the label {held[0]!r}, and requests may ask for it",
                    hint="give the label to another version first, or pass drop_labels=True",
                )
            for runner in found:
                del self._versions[name][runner.version]
            for label in held:
                del labels[label]
            if not self._versions[name]:
                del self._versions[name]
                self._labels.pop(name, None)
            return found

    def close(self) -> list[ServedModel]:
        """Removes everything, and accepts nothing from now on.

        Returns:
            The removed models, which the caller must close.
        """
        with self._lock:
            self._is_closed = True
            found = [runner for versions in self._versions.values() for runner in versions.values()]
            self._versions, self._labels = {}, {}
            return found

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ShuttingDownError("the engine is closed", hint="make a new one")

    def _labels_of(self, name: str, version: str) -> list[str]:
        return sorted(label for label, meant in self._labels.get(name, {}).items() if meant == version)

    def _find_all(self, name: str, version: str | None, *, asked: str | None = None) -> list[ServedModel]:
        versions = self._versions.get(name, {})
        found = [runner for runner in versions.values() if version in {None, runner.version}]
        if not found:
            if versions:
                labels = self._labels.get(name, {})
                hint = f"it has {', '.join([*sorted(versions), *sorted(labels)])}"
                if version in labels:
                    hint = f"{version!r} is a label of the version {labels[version]!r}"
                raise ModelNotFoundError(f"no version {asked or version!r} of {name!r} is loaded", hint=hint)
            there = (
                f"the loaded models are {', '.join(sorted(self._versions))}" if self._versions else "nothing is loaded"
            )
            raise ModelNotFoundError(f"no model {name!r} is loaded", hint=there)
        return found


def _check_words(name: object, version: object) -> None:
    if not isinstance(name, str):
        raise RequestError(f"the name of a model must be a string, but is {shown(name)}")
    if version is not None and not isinstance(version, str):
        raise RequestError(f"a version must be a string, but is {shown(version)}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
