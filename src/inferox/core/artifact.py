"""One way to run a package's model: a backend, a format, a precision and an input layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from inferox.core.dtype_name import dtype_name
from inferox.core.error_root import first_line
from inferox.core.errors import ConfigError, ManifestError, UnknownKindError
from inferox.core.kinds import find_kind
from inferox.core.packed import padded_signature
from inferox.core.shown_text import shown
from inferox.core.spec import Signature

DATA_FORMATS = frozenset({"safetensors", "onnx", "openvino-ir"})
"""The formats whose loading runs nothing that came with the model. Every other format counts as code."""


_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

_NAMED = ("backend", "format", "precision", "layout")
"""The fields that an artifact's name is made of."""


class TrustTier(StrEnum):
    """The trust tier of an artifact: whether loading it runs code that came with it."""

    DATA = "data"
    CODE = "code"


class Layout(StrEnum):
    """The way in which an artifact takes rows of different lengths."""

    PADDED = "padded"
    PACKED = "packed"


class Precision(StrEnum):
    """The number format in which an artifact computes."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"

    @classmethod
    def parse(cls, name: Any) -> Precision:
        """Finds a precision by its name.

        Args:
            name: One of ``fp32``, ``fp16``, ``bf16`` and ``int8``; or such a data type of NumPy or PyTorch.

        Raises:
            ConfigError: If there is no such precision.
        """
        try:
            return cls(name if isinstance(name, str) else _PRECISIONS.get(dtype_name(name) or "", name))
        except ValueError:
            known = ", ".join(item.value for item in cls)
            raise ConfigError(f"there is no precision {name!r}", hint=f"use one of {known}") from None


_PRECISIONS = {
    "float32": Precision.FP32,
    "float16": Precision.FP16,
    "bfloat16": Precision.BF16,
    "int8": Precision.INT8,
}


def name_artifact(backend: str, format_: str, precision: Precision, layout: Layout) -> str:
    """Builds the name of an artifact, such as ``torch/safetensors/fp32/padded``."""
    return f"{backend}/{format_}/{precision.value}/{layout.value}"


@dataclass(frozen=True)
class Artifact:
    """One way to run a package's model.

    Attributes:
        backend: The backend that reads it.
        format: The format of the files, such as ``safetensors`` or ``torchscript``.
        precision: The number format in which it computes.
        layout: How it takes rows of different lengths.
        files: Paths relative to ``root`` by role; the roles are the format's own, such as ``weights`` and ``config``.
        signature: The named tensors that this artifact takes and returns.
        root: The folder of the package on this machine's disk.
        options: Further facts that the format needs, as JSON values.
    """

    backend: str
    format: str
    precision: Precision
    layout: Layout
    files: Mapping[str, str]
    signature: Signature
    root: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name that is unique within the package, such as ``torch/safetensors/fp32/padded``."""
        return name_artifact(self.backend, self.format, self.precision, self.layout)

    @property
    def padded_signature(self) -> Signature:
        """The padded signature, which callers see whatever the artifact's layout."""
        return padded_signature(self.signature) if self.layout is Layout.PACKED else self.signature

    @property
    def trust_tier(self) -> TrustTier:
        """The trust that loading it takes: ``code`` if code that came with it runs."""
        return TrustTier.DATA if self.format in DATA_FORMATS else TrustTier.CODE

    def path(self, role: str) -> Path:
        """Returns the file with a given role.

        Raises:
            ManifestError: If the artifact lists no such file.
        """
        if role not in self.files:
            listed = ", ".join(self.files) or "none"
            raise ManifestError(f"the artifact {self.name} lists no {role} file; it lists {listed}")
        return self.root / self.files[role]

    @property
    def size_bytes(self) -> int:
        """The size of all its files except the config: close to the memory that its weights take.

        Raises:
            OSError: If one is missing.
        """
        return sum((self.root / file).stat().st_size for role, file in self.files.items() if role != "config")

    def to_json(self) -> dict[str, Any]:
        """Returns the artifact as the manifest stores it."""
        return {
            "backend": self.backend,
            "format": self.format,
            "precision": self.precision.value,
            "layout": self.layout.value,
            "files": dict(self.files),
            "signature": self.signature.to_json(),
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, data: Any, root: Path) -> Artifact:
        """Reads an artifact from a manifest.

        Args:
            data: The JSON object.
            root: The folder of the package.

        Raises:
            UnknownKindError: If this version does not know its precision, its layout, or the data type of a tensor.
            ManifestError: If a field is missing or of the wrong type.
        """
        entry = _check_entry(data)
        return cls(
            backend=entry["backend"],
            format=entry["format"],
            precision=find_kind("precision", Precision, entry["precision"], "'precision' of an artifact"),
            layout=find_kind("layout", Layout, entry["layout"], "'layout' of an artifact"),
            files=entry["files"],
            signature=Signature.from_json(entry["signature"]),
            root=root,
            options=entry.get("options", {}),
        )


@dataclass(frozen=True)
class UnknownArtifact:
    """An artifact of a package that only a newer version of Inferox understands; it is never tried.

    Attributes:
        name: Its name, as ``Artifact.name`` is made.
        reason: What this version does not know.
        files: Paths relative to the package by role.
        data: The artifact as the manifest stores it.
    """

    name: str
    reason: str
    files: Mapping[str, str]
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Returns the artifact as the manifest stores it."""
        return dict(self.data)


def read_artifact(data: Any, root: Path) -> Artifact | UnknownArtifact:
    """Reads an artifact from a manifest, even if this version of Inferox does not understand it.

    Args:
        data: The JSON object.
        root: The folder of the package.

    Raises:
        ManifestError: If a field is missing or of the wrong type.
    """
    try:
        return Artifact.from_json(data, root)
    except UnknownKindError as error:
        name = "/".join(_check_word(field_name, data[field_name]) for field_name in _NAMED)
        return UnknownArtifact(name, first_line(error), data["files"], data)


def _check_entry(data: Any) -> dict[str, Any]:
    """Checks everything that does not depend on the kinds that a version knows."""
    if not isinstance(data, dict):
        raise ManifestError(f"an artifact must be a JSON object, but is of the type {type(data).__name__}")
    lacking = sorted({"backend", "format", "precision", "layout", "files", "signature"} - data.keys())
    if lacking:
        raise ManifestError(f"an artifact lacks {', '.join(lacking)}")
    files, options = data["files"], data.get("options", {})
    if not isinstance(files, dict) or not all(isinstance(path, str) for path in files.values()):
        raise ManifestError(f"'files' of an artifact must be an object of paths, but is {shown(files)}")
    if not isinstance(options, dict):
        raise ManifestError(f"'options' of an artifact must be an object, but is {shown(options)}")
    for role in files:
        _check_word("a role of files", role)
    for field_name in ("backend", "format"):
        _check_word(field_name, data[field_name])
    return data


def _check_word(field_name: str, value: Any) -> str:
    """Checks a word that becomes part of an artifact's name, and so of tables, logs and folder names."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ManifestError(
            f"{field_name!r} of an artifact must be a word of letters, digits, '.', '-' and '_', but is {shown(value)}"
        )
    return value
