"""Loading a package: open, choose, load, and fall back to the next artifact where one fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferox.backends.registry import get_backend
from inferox.core import (
    BackendError,
    DeviceId,
    LoadOptions,
    Model,
    NoUsableBackendError,
    TrustTier,
    UntrustedCodeError,
)
from inferox.engine.selection import AUTO, Candidate, select
from inferox.engine.task_model import TaskModel
from inferox.package import Package, open_package
from inferox.tasks import choose_task, open_task

_logger = logging.getLogger(__name__)


def load(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    task: str | None = None,
    threads: int | None = None,
    compile: bool = False,  # noqa: A002 - PyTorch's own word for it
    trust_code: bool = False,
) -> TaskModel:
    """Loads a package on a runtime that can run it here.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: A registered backend, or ``auto`` for the first that works.
        device: Where to load it, such as ``cuda:0``; ``None`` for the backend's default device.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``; ``None`` for the best there is.
        task: What the numbers mean, where the package's own statement is to be overridden.
        threads: How many CPU threads the runtime may use; ``None`` for one a core that this
            process may use.
        compile: Whether to compile the model just in time, where the backend can.
        trust_code: Whether code that comes with the package may run. Only say so for a package whose origin you trust.

    Returns:
        The model, to be used as a context manager or closed.

    Raises:
        PackageError: If there is no package at the path, or it is damaged, unsafe or too new.
        UntrustedCodeError: If it can only be run by code that comes with it, and that is not allowed.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact can be loaded here; it lists the reason for each.
        ConfigError: If the device, the precision or the task is none.
    """
    package = open_package(path)
    wanted_device = DeviceId.parse(device) if isinstance(device, str) else device
    candidates = select(package.artifacts, backend=backend, precision=precision, trust_code=trust_code)
    options = LoadOptions(package.metadata.name, threads=threads, compile=compile, trust_code=trust_code)
    loaded = _load_first(package, candidates, wanted_device, options)
    try:
        return _with_task(package, loaded, task)
    except BaseException:
        loaded.model.close()
        raise


@dataclass(frozen=True)
class _Loaded:
    model: Model
    passed_over: dict[str, str]


def _load_first(
    package: Package, candidates: Sequence[Candidate], device: DeviceId | None, options: LoadOptions
) -> _Loaded:
    reasons: dict[str, str] = {}
    failures: dict[str, BackendError] = {}
    for candidate in candidates:
        artifact = candidate.artifact
        if candidate.passed_over is not None:
            reasons[artifact.name] = candidate.passed_over
            continue
        try:
            model = get_backend(artifact.backend).load(artifact, device, options)
        except BackendError as error:
            failures[artifact.name] = error
            reasons[artifact.name] = str(error)
            continue
        for name, failure in failures.items():
            _logger.warning("%s runs on %s: %s failed to load: %s", options.package, artifact.name, name, failure)
        return _Loaded(model, reasons)
    _refuse_untrusted(package, candidates, options)
    raise NoUsableBackendError(
        options.package, reasons, hint="'inferox doctor' says what each backend lacks"
    ) from next(reversed(failures.values()), None)


def _refuse_untrusted(package: Package, candidates: Sequence[Candidate], options: LoadOptions) -> None:
    """Says so where trust is all that is missing, rather than one reason among several."""
    data = any(artifact.trust_tier is TrustTier.DATA for artifact in package.artifacts)
    if not data and any(candidate.needs_trust for candidate in candidates):
        raise UntrustedCodeError(
            f"{options.package!r} can only be run by code that comes with it",
            hint="if you trust where it comes from, pass trust_code=True, or --trust-code on the command line",
        )


def _with_task(package: Package, loaded: _Loaded, task: str | None) -> TaskModel:
    name, options = package.info.task, package.info.task_options
    if not name or task not in {None, name}:
        choice = choose_task(package.files_root, package.config, loaded.model.signature, task=task)
        name, options = choice.name, choice.options
    opened = open_task(name, options, package.files_root, loaded.model.signature)
    return TaskModel(loaded.model, opened, passed_over=loaded.passed_over)
