"""Packages for the models that sentence-transformers takes: packed once, and kept in the store."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from inferox import __version__
from inferox.core import ConfigError, PackageError, Precision
from inferox.package import ARCHIVE_SUFFIX, FORMAT_VERSION, Store
from inferox.package.file_lock import FileLock
from inferox.package.manifest import METADATA_FILE
from inferox.sources.hub_access import HubAccess
from inferox.sources.model_directory import read_config
from inferox.tasks import detect_task

_RUNTIMES = {"openvino": ("openvino", "onnx", "onnxscript"), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}
"""The libraries needed to write artifacts for each backend; the faster backend comes first."""

Check = Callable[[str, str], None]
"""Refuses a model, given by its name, for its task."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelChoice:
    """A model, as scripts name it, with the options for packing it.

    Attributes:
        name: A package, a model's folder, or a name on the hub.
        organization: The owner of models that are named without one.
        task: The task to pack the model for; ``None`` for the one that its own files state.
        backend: The backend to compute it with; ``None`` for any.
        precision: The precision to compute it in.
        hub: The settings for access to the hub.
    """

    name: str
    organization: str
    task: str | None
    backend: str | None
    precision: Precision
    hub: HubAccess

    def find_package(self, check: Check) -> Path:
        """Returns the package of the model, packing it first if that has not been done before.

        Args:
            check: Called before a model is packed, which may take minutes.

        Raises:
            ConfigError: If no model is named.
            PackageError: If there is no such model, or it cannot be packed.
            InferoxError: See ``inferox.pack``.
        """
        if not self.name:
            raise ConfigError("no model is named", hint="give a package, a model's folder, or a name on the hub")
        path = Path(self.name)
        if path.suffix == ARCHIVE_SUFFIX or (path / METADATA_FILE).is_file():
            return path
        if path.is_dir():
            return self._find_packed(path, path.resolve().name, check)
        if path.is_file() or path.is_absolute() or self.name.startswith(".") or self.name.count("/") > 1:
            raise PackageError(
                f"{self.name} is neither a package nor the folder of a model",
                hint="give a package, a folder that save_pretrained wrote, or a name on the hub such as org/name",
            )
        return self._fetch(check)

    def _fetch(self, check: Check) -> Path:
        from inferox.sources.hub import fetch_model

        names = [self.name] if "/" in self.name else [f"{self.organization}/{self.name}", self.name]
        failed: PackageError | None = None
        for name in names:
            try:
                found = fetch_model(f"hf://{name}", _logger.info, access=self.hub)
            except PackageError as error:
                failed = failed or error
            else:
                return self._find_packed(found.directory, found.name, check)
        raise failed or PackageError("no model is named")

    def _find_packed(self, directory: Path, label: str, check: Check) -> Path:
        store = Store()
        folder = store.make_packed()
        package = folder / self._key(directory)
        lock = FileLock.exclude(package.with_suffix(".lock"), wait=True)
        try:
            if not (package / METADATA_FILE).is_file():
                if self.task is None:
                    check(label, _detect_task(directory))
                self._pack(directory, package, label)
        finally:
            if lock is not None:
                lock.close()
        return package

    def _pack(self, directory: Path, package: Path, label: str) -> None:
        from inferox.packing import pack

        # The fastest installed one; and PyTorch, which takes no space, and computes whatever cannot be exported.
        fast = [name for name, needs in _RUNTIMES.items() if all(map(find_spec, needs))]
        backends = [self.backend] if self.backend else [*fast[:1], "torch"]
        _logger.warning(
            "Inferox packs %s for %s; this is done only once, and takes about a minute for a small model",
            label,
            " and ".join(backends),
        )
        pack(
            directory,
            package,
            task=self.task,
            name=label,
            backends=backends,
            precisions=self._precisions(),
            progress=_logger.info,
        )

    def _precisions(self) -> list[str]:
        # Always in fp32 too: the other precision is measured against it, and shares its weights.
        return list(dict.fromkeys((Precision.FP32.value, self.precision.value)))

    def _key(self, directory: Path) -> str:
        """Returns the key of the package: it changes with the model's files, and with the options of packing."""
        files = []
        for parent, _, names in os.walk(directory):
            for name in names:
                path = Path(parent, name)
                status = path.stat()
                files.append((path.relative_to(directory).as_posix(), status.st_size, status.st_mtime_ns))
        packed_for = [self.task, self.backend, self._precisions()]
        content = [str(directory.resolve()), sorted(files), packed_for, __version__, FORMAT_VERSION]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _detect_task(directory: Path) -> str:
    from inferox.sources.sentence_layout import lay_out  # which imports PyTorch

    laid_out = lay_out(directory, task=None)
    folder = directory if laid_out is None else Path(laid_out.name)
    return detect_task(folder, read_config(folder), None)
