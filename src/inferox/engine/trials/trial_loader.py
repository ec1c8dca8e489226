"""The loading of artifacts that are offered or tried beside the serving ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from inferox.core import Closing, ConfigError, ShuttingDownError
from inferox.engine.config import HANG_LIMIT_S, EngineConfig
from inferox.engine.host import ModelHost
from inferox.engine.isolation import open_host
from inferox.engine.registry import ModelRegistry
from inferox.engine.served_model import ServedModel
from inferox.engine.trials.canary_trial import CanaryTrial
from inferox.engine.trials.drift import default_limit
from inferox.engine.trials.offer import OfferedArtifact, OfferingModel
from inferox.engine.trials.options import Canary, Offer, Shadow, Trial
from inferox.engine.trials.shadow_trial import ShadowTrial
from inferox.engine.trials.stats import TrialInfo, TrialKind
from inferox.engine.trials.trialed_model import TrialedModel
from inferox.engine.trials.verdict import Verdict
from inferox.engine.worker_info import WorkerInfo

_PATIENCE_TIMES = 10.0
"""The factor by which the worker of shadows may take longer before it counts as hung, as other processes go first."""

_SCORING_TASKS = frozenset({"classify", "token-classify", "image-classify", "rerank"})
"""The tasks whose answers are scores."""


@dataclass(frozen=True)
class Tried(Closing):
    """Loaded artifacts that are to be tried beside a serving one.

    Attributes:
        shadow: The shadow with its options; ``None`` for none.
        canary: The canary with its options; ``None`` for none.
    """

    shadow: tuple[Shadow, ServedModel] | None
    canary: tuple[Canary, ServedModel] | None

    def begin(self, serving: ServedModel, trialed: TrialedModel) -> None:
        """Begins the trials.

        Args:
            serving: The serving model.
            trialed: The model around it, which closes the artifacts from now on.

        Raises:
            ConfigError: If one of them is the serving artifact, or a canary has another embedding space.
            ShuttingDownError: If the model was closed in the meantime.
        """
        with ExitStack() as undo:
            shadow = canary = None
            if self.shadow is not None:
                _, model = self.shadow
                shadow = ShadowTrial(serving.name, model, _describe("shadow", self.shadow, serving))
                undo.callback(shadow.close)
            if self.canary is not None:
                asked, model = self.canary
                info = _describe("canary", self.canary, serving)
                _refuse_other_space(asked, info, serving)
                drift_limit = _find_limit(asked, model)
                info = replace(info, drift_limit=drift_limit, error_limit=asked.error_limit)
                canary = CanaryTrial(serving.name, model, serving, info, Verdict(drift_limit, asked.error_limit))
                undo.callback(canary.close)
            trialed.begin(shadow, canary)
            undo.pop_all()

    def close(self) -> None:
        """Closes them."""
        with ExitStack() as stack:
            for loaded in (self.shadow, self.canary):
                if loaded is not None:
                    stack.callback(loaded[1].close)


@dataclass(frozen=True)
class Offered(Closing):
    """Loaded artifacts that requests may select.

    Attributes:
        offered: The artifacts with their options.
    """

    offered: Sequence[tuple[Offer, ServedModel]]

    def beside(self, serving: ServedModel) -> ServedModel:
        """Combines them with a serving artifact; none is in memory twice.

        Args:
            serving: The serving artifact.
        """
        if not self.offered:
            return serving
        by_artifact = {serving.info().artifact: serving}
        found = []
        for asked, model in self.offered:
            artifact = model.info().artifact
            known = by_artifact.setdefault(artifact, model)
            if known is not model:
                model.close()
            found.append(OfferedArtifact(asked.target, artifact, known, is_shared=known is not model))
        if not any(item.model is serving for item in found):
            artifact = serving.info().artifact
            found.append(OfferedArtifact(artifact, artifact, serving, is_shared=True))
        return OfferingModel(serving, found)

    def close(self) -> None:
        """Closes them."""
        with ExitStack() as stack:
            for _, model in self.offered:
                stack.callback(model.close)


class TrialLoader(Closing):
    """Loads artifacts that are offered or tried beside the serving ones. Thread-safe.

    If an engine has worker processes, shadows have one of their own with low CPU priority.

    Args:
        config: The settings of the engine.
        host: The host that computes its models, and canaries.
    """

    def __init__(self, config: EngineConfig, host: ModelHost) -> None:
        self._config = config
        self._host = host
        self._lock = Lock()
        self._background: ModelHost | None = None
        self._is_closed = False
        self._numbers = count(1)

    def load(
        self,
        source: str,
        name: str | None,
        options: Mapping[str, Any],
        *,
        shadow: Shadow | None,
        canary: Canary | None,
    ) -> Tried:
        """Loads the artifacts to try.

        Args:
            source: The package.
            name: The model's name in requests; ``None`` for the name of the package.
            options: The options of the serving artifact: the other arguments of ``Engine.load``.
            shadow: The options of the shadow; ``None`` for none.
            canary: The options of the canary; ``None`` for none.

        Raises:
            InferoxError: If one cannot be loaded.
        """
        called = name or Path(source).stem
        with ExitStack() as undo:
            shadowing = None
            if shadow is not None:
                shadowing = shadow, self._load(self._find_background(), source, f"{called}~shadow", options, shadow)
                undo.callback(shadowing[1].close)
            answering = None
            if canary is not None:
                answering = canary, self._load(self._host, source, f"{called}~canary", options, canary)
            undo.pop_all()
        return Tried(shadowing, answering)

    def load_offers(
        self, source: str, name: str | None, options: Mapping[str, Any], offers: Sequence[Offer]
    ) -> Offered:
        """Loads the artifacts that requests may select.

        Args:
            source: The package.
            name: The model's name in requests; ``None`` for the name of the package.
            options: The options of the serving artifact: the other arguments of ``Engine.load``.
            offers: The artifacts that they may select.

        Raises:
            InferoxError: If one cannot be loaded.
        """
        called = name or Path(source).stem
        offered: list[tuple[Offer, ServedModel]] = []
        with ExitStack() as undo:
            for offer in dict.fromkeys(offers):
                model = self._load(self._host, source, f"{called}~{offer.target}", options, offer)
                undo.callback(model.close)
                offered.append((offer, model))
            undo.pop_all()
        return Offered(offered)

    def workers(self) -> list[WorkerInfo]:
        """Lists the live worker processes of shadows."""
        background = self._background
        if background is None or background is self._host:
            return []
        return [replace(worker, is_shadow=True) for worker in background.workers()]

    def count_restarts(self) -> int:
        """Counts the worker processes of shadows that replaced another."""
        background = self._background
        return 0 if background is None or background is self._host else background.restarts().total()

    def announce_close(self) -> None:
        """Announces that the models of shadows will be closed, and then their worker processes; see ``ModelHost``."""
        if (background := self._background) is not None:
            background.announce_close()

    def close(self) -> None:
        """Ends the worker processes of shadows, whose models must be closed already."""
        with self._lock:
            self._is_closed = True
            background = self._background
        if background is not None and background is not self._host:
            background.close()

    def _load(self, host: ModelHost, source: str, name: str, options: Mapping[str, Any], asked: Offer) -> ServedModel:
        own = {"backend": asked.backend, "precision": asked.precision, "start": "best"}
        if asked.precision is not None:
            own["quality"] = None  # an artifact requested by name is tried whatever its parity
        return host.load(source, name, str(next(self._numbers)), {**options, **own}, ModelRegistry())

    def _find_background(self) -> ModelHost:
        if self._config.isolation == "thread":
            return self._host
        with self._lock:
            if self._is_closed:
                raise ShuttingDownError("the engine is closed", hint="make a new one")
            if self._background is None:
                self._background = open_host(_make_gentle(self._config))
            return self._background


def check_forms(shadow: Shadow | None, canary: Canary | None, offers: Sequence[Offer]) -> None:
    """Checks the types of the options, before anything is loaded.

    Args:
        shadow: The options of the shadow.
        canary: The options of the canary.
        offers: The artifacts that requests may select.

    Raises:
        ConfigError: If one is of another type.
    """
    _check_form("shadow", shadow, Shadow)
    _check_form("canary", canary, Canary)
    if not isinstance(offers, Sequence) or not all(type(offer) is Offer for offer in offers):
        raise ConfigError(f"offers must be a list of Offer, but is {offers!r}", hint="Offer(backend='onnxruntime')")


def _check_form(kind: TrialKind, asked: Trial | None, form: type[Trial]) -> None:
    if asked is not None and type(asked) is not form:
        raise ConfigError(
            f"{kind} must be a {form.__name__}, but is {asked!r}",
            hint=f"{kind}={form.__name__}(backend='onnxruntime', share=0.1)",
        )


def _make_gentle(config: EngineConfig) -> EngineConfig:
    """Returns the settings for the shadows' worker process, which runs at low priority."""
    limit = config.memory_limit_bytes
    return replace(
        config,
        workers=1,
        threads=1,
        memory_limit_bytes=None if limit is None else max(1, limit // config.workers),
        hang_limit_s=_PATIENCE_TIMES * (config.hang_limit_s or HANG_LIMIT_S),
        cache_bytes=0,
        profiling=False,
        low_priority=True,
    )


def _describe(kind: TrialKind, loaded: tuple[Trial, ServedModel], serving: ServedModel) -> TrialInfo:
    asked, info = loaded[0], loaded[1].info()
    if info.artifact == serving.info().artifact:
        raise ConfigError(
            f"{info.artifact} would be the {kind} of {serving.name!r}, but already serves it",
            hint=f"choose another one than {asked.target} for the {kind}, or another backend for what serves",
        )
    return TrialInfo(kind, info.artifact, asked.share, info.embedding_space)


def _refuse_other_space(asked: Canary, canary: TrialInfo, serving: ServedModel) -> None:
    space = serving.info().embedding_space
    if canary.embedding_space != space and not asked.any_space:
        raise ConfigError(
            f"{canary.artifact} would be the canary of {serving.name!r}, and answers in the embedding space "
            f"{canary.embedding_space}, not in {space}: both kinds of vectors would end up in one index",
            hint="try it as a shadow, or allow it with any_space=True (--canary-any-space)",
        )


def _find_limit(asked: Canary, model: ServedModel) -> float:
    info = model.info()
    if asked.drift_limit is not None:
        return asked.drift_limit
    return default_limit(info.parity_class, has_vectors=info.task not in _SCORING_TASKS)
