"""The two files that describe a package: ``metadata.json`` and ``model_info.json``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferox.core import Artifact, FormatVersionError, ManifestError, Signature, UnknownArtifact, read_json_file, shown
from inferox.core.artifact import read_artifact
from inferox.core.fields import Fields

FORMAT_VERSION = "2.0"
"""The format that packages are written in."""

READABLE_VERSIONS = ("1.0", "2.x")
"""The formats that are read: the first, and every one that adds to the second."""

METADATA_FILE = "metadata.json"
MODEL_INFO_FILE = "model_info.json"

_HINT = "pack the model again, or fetch it again"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file of a package, as the manifest lists it.

    Attributes:
        path: The path relative to the package, with forward slashes.
        size_bytes: The size of the file.
        sha256: The SHA-256 digest of its bytes, in lower-case hexadecimal digits.
    """

    path: str
    size_bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Returns the entry as the manifest stores it."""
        return {"path": self.path, "size": self.size_bytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, data: Any) -> FileEntry:
        """Reads an entry.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, f"a file of {METADATA_FILE}")
        size = fields.count("size")
        sha256 = fields.required("sha256", str)
        if not _SHA256.fullmatch(sha256):
            raise ManifestError(f"'sha256' of a file of {METADATA_FILE} must be 64 hexadecimal digits: {shown(data)}")
        return cls(fields.required("path", str), size, sha256)


@dataclass(frozen=True)
class Metadata:
    """The origin of a package and the list of its files.

    Attributes:
        format_version: The version of the package format.
        name: Its name.
        version: Its version, as its maker numbers it.
        repo_id: The repository on the hub that the model came from.
        revision: The commit of that repository.
        created_at: When it was made, in ISO 8601.
        license: The model's license.
        files: Every file but ``metadata.json`` itself, in order of their paths.
    """

    format_version: str
    name: str
    version: str
    repo_id: str | None
    revision: str | None
    created_at: str
    license: str | None
    files: tuple[FileEntry, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the metadata as ``metadata.json`` stores it."""
        return {
            "format_version": self.format_version,
            "name": self.name,
            "version": self.version,
            "repo_id": self.repo_id,
            "revision": self.revision,
            "created_at": self.created_at,
            "license": self.license,
            "files": [entry.to_json() for entry in self.files],
        }

    @classmethod
    def from_json(cls, data: Any) -> Metadata:
        """Reads the metadata of format 2. Unknown fields are ignored.

        Raises:
            FormatVersionError: If the format is not one that is read.
            ManifestError: If a field is missing or malformed, or a file appears twice.
        """
        fields = Fields(data, METADATA_FILE)
        format_version = fields.required("format_version", str)
        if format_version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
            raise FormatVersionError(format_version, READABLE_VERSIONS)
        files = fields.map("files", FileEntry.from_json)
        paths = [entry.path for entry in files]
        if len(set(paths)) != len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise ManifestError(f"{METADATA_FILE} lists {twice!r} twice")
        return cls(
            format_version=format_version,
            name=fields.required("name", str),
            version=fields.required("version", str),
            repo_id=fields.optional("repo_id", str),
            revision=fields.optional("revision", str),
            created_at=fields.required("created_at", str),
            license=fields.optional("license", str),
            files=files,
        )


@dataclass(frozen=True)
class ModelInfo:
    """The description of a package's model.

    Attributes:
        model_type: The model's type, such as ``bert``.
        repo_id: The repository on the hub that it came from.
        architecture_family: ``EncoderOnly``, ``DecoderOnly``, ``EncoderDecoder``, ``Vision`` or ``Multimodal``.
        supported_backends: The backends that have an artifact.
        task: The name of the task; empty if the model's files tell it.
        task_options: The settings of the task.
        signature: The named tensors that the reference takes and returns.
        hidden_size: The width of its hidden states.
        num_layers: The number of its layers.
        vocab_size: The number of its tokens.
        num_parameters: The number of its parameters.
        artifacts: The ways to run it.
        unknown: The ways to run it that this version of Inferox does not understand.
    """

    model_type: str
    repo_id: str | None
    architecture_family: str | None
    supported_backends: tuple[str, ...]
    task: str
    task_options: Mapping[str, Any]
    signature: Signature
    hidden_size: int | None
    num_layers: int | None
    vocab_size: int | None
    num_parameters: int | None
    artifacts: tuple[Artifact, ...]
    unknown: tuple[UnknownArtifact, ...] = ()

    @property
    def listed(self) -> tuple[Artifact | UnknownArtifact, ...]:
        """All ways to run it, whether this version understands them or not."""
        return (*self.artifacts, *self.unknown)

    def to_json(self) -> dict[str, Any]:
        """Returns the description as ``model_info.json`` stores it."""
        return {
            "model_type": self.model_type,
            "repo_id": self.repo_id,
            "architecture_family": self.architecture_family,
            "supported_backends": list(self.supported_backends),
            "task": self.task,
            "task_options": dict(self.task_options),
            "signature": self.signature.to_json(),
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "vocab_size": self.vocab_size,
            "num_parameters": self.num_parameters,
            "artifacts": [artifact.to_json() for artifact in self.listed],
        }

    @classmethod
    def from_json(cls, data: Any, root: Path) -> ModelInfo:
        """Reads the description of format 2. Unknown fields are ignored.

        Args:
            data: The JSON value.
            root: The folder of the package.

        Raises:
            ManifestError: If a field is missing or malformed, or two artifacts have the same name.
        """
        fields = Fields(data, MODEL_INFO_FILE)
        artifacts = fields.map("artifacts", lambda item: read_artifact(item, root))
        names = [artifact.name for artifact in artifacts]
        if len(set(names)) != len(names):
            raise ManifestError(f"{MODEL_INFO_FILE} lists two artifacts with the same name: {', '.join(names)}")
        return cls(
            model_type=fields.required("model_type", str),
            repo_id=fields.optional("repo_id", str),
            architecture_family=fields.optional("architecture_family", str),
            supported_backends=fields.texts("supported_backends"),
            task=fields.required("task", str),
            task_options=fields.required("task_options", dict),
            signature=Signature.from_json(fields.required("signature", dict)),
            hidden_size=fields.optional_count("hidden_size"),
            num_layers=fields.optional_count("num_layers"),
            vocab_size=fields.optional_count("vocab_size"),
            num_parameters=fields.optional_count("num_parameters"),
            artifacts=tuple(item for item in artifacts if isinstance(item, Artifact)),
            unknown=tuple(item for item in artifacts if isinstance(item, UnknownArtifact)),
        )


def read_json(path: Path, *, allow_non_finite: bool = False, digest: hashlib._Hash | None = None) -> Any:
    """Reads a JSON file of a package.

    Args:
        path: The file.
        allow_non_finite: Whether ``NaN`` and ``Infinity`` are numbers, as in the configs of transformers.
        digest: A hash to update with the bytes that were read.

    Raises:
        ManifestError: If it is missing, or ``read_json_file`` refuses it.
    """
    try:
        return read_json_file(path, hint=_HINT, allow_non_finite=allow_non_finite, digest=digest)
    except FileNotFoundError as error:
        raise ManifestError(f"{path.name} is missing", hint=_HINT) from error


def read_object(path: Path, *, allow_non_finite: bool = False) -> dict[str, Any]:
    """Reads a JSON file of a package whose top-level value must be an object.

    Args:
        path: The file.
        allow_non_finite: Whether ``NaN`` and ``Infinity`` are numbers, as in the configs of transformers.

    Raises:
        ManifestError: If it cannot be read, or is anything else.
    """
    value = read_json(path, allow_non_finite=allow_non_finite)
    if not isinstance(value, dict):
        raise ManifestError(f"{path.name} must be a JSON object, but is of the type {type(value).__name__}")
    return value
