"""The packages that a server may load, by the names that requests call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.core import ConfigError
from inferox.server.config import MODEL_NAME, ModelSource

_SUFFIX = ".mlpkg"


@dataclass(frozen=True)
class ModelRepository:
    """The packages that a server may load.

    Attributes:
        named: The packages that were named when the server was started.
        folder: A folder whose packages are served, too; ``None`` for none.
        options: How packages of the folder are loaded; see ``ModelSource``.
    """

    named: Sequence[ModelSource]
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def list_folder(self) -> list[ModelSource]:
        """The packages that lie in the folder now: files that end in ``.mlpkg``, and folders with metadata.

        Raises:
            ConfigError: If it cannot be read, or has a package that cannot be called what it is called.
        """
        if self.folder is None:
            return []
        try:
            entries = sorted(self.folder.iterdir())
        except OSError as error:
            raise ConfigError(f"the repository {self.folder} cannot be read: {error.strerror or error}") from error
        return [
            ModelSource(str(path), path.name.removesuffix(_SUFFIX), self.options)
            for path in entries
            if _is_package(path)
        ]

    def find_new(self, name: str) -> ModelSource | None:
        """A package that has come into the folder; ``None`` where there is none of that name.

        Args:
            name: What a request calls it. It is never taken for a path.
        """
        if self.folder is None or MODEL_NAME.fullmatch(name) is None or "/" in name:
            return None
        for path in (self.folder / f"{name}{_SUFFIX}", self.folder / name):
            if _is_package(path):
                return ModelSource(str(path), name, self.options)
        return None


def _is_package(path: Path) -> bool:
    # A server without a folder starts without what reads packages, which is its workers' matter.
    from inferox.package.manifest import METADATA_FILE

    return (path / METADATA_FILE).is_file() if path.is_dir() else path.suffix == _SUFFIX and path.is_file()
