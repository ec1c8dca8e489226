"""The packages that a server may load, by the names of their models in requests."""

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
        named: The packages named when the server was started.
        folder: A folder whose packages are served, too; ``None`` for none.
        options: The options with which packages of the folder are loaded; see ``ModelSource``.
    """

    named: Sequence[ModelSource]
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def list_folder(self) -> list[ModelSource]:
        """Returns the packages in the folder now: files that end in ``.mlpkg``, and folders with metadata.

        Hidden ones are left out.

        Raises:
            ConfigError: If the folder cannot be read, or the name of a package is not valid in requests.
        """
        return [ModelSource(str(path), _name_of(path), self.options) for path in self._list_paths()]

    def list_names(self) -> list[str]:
        """Returns the names of these packages, whether they are valid in requests or not.

        Raises:
            ConfigError: If the folder cannot be read.
        """
        return [_name_of(path) for path in self._list_paths()]

    def find_new(self, name: str) -> ModelSource | None:
        """Returns a package that has been added to the folder; ``None`` if there is none of that name.

        Args:
            name: The name in the request. It is never taken for a path.
        """
        if self.folder is None or MODEL_NAME.fullmatch(name) is None or "/" in name:
            return None
        for path in (self.folder / f"{name}{_SUFFIX}", self.folder / name):
            if _name_of(path) == name and _is_package(path):
                return ModelSource(str(path), name, self.options)
        return None

    def _list_paths(self) -> list[Path]:
        if self.folder is None:
            return []
        try:
            entries = sorted(self.folder.iterdir())
        except OSError as error:
            raise ConfigError(f"the repository {self.folder} cannot be read: {error.strerror or error}") from error
        return [path for path in entries if not path.name.startswith(".") and _is_package(path)]


def _name_of(path: Path) -> str:
    return path.name.removesuffix(_SUFFIX)


def _is_package(path: Path) -> bool:
    # A server without a folder does not import the reading of packages: that is up to its workers.
    from inferox.package.manifest import METADATA_FILE

    return (path / METADATA_FILE).is_file() if path.is_dir() else path.suffix == _SUFFIX and path.is_file()
