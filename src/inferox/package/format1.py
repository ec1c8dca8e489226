"""Format 1, written by the first Inferox (in Rust): a folder of weights per backend, and no list of digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inferox.core import (
    BATCH,
    SEQUENCE,
    Artifact,
    DataType,
    Layout,
    ManifestError,
    Precision,
    Signature,
    TensorSpec,
    UnsafePathError,
)
from inferox.core.fields import Fields
from inferox.package.manifest import (
    METADATA_FILE,
    MODEL_INFO_FILE,
    FileEntry,
    Metadata,
    ModelInfo,
    read_json,
    read_object,
)
from inferox.package.paths import check_member_path

FORMAT1_VERSION = "1.0"

_FOLDERS = ("candle", "tch", "torch")
"""The folders of backends whose weights match PyTorch's in name and shape."""

_BARE_ARCHITECTURES = {
    "albert": "AlbertModel",
    "bert": "BertModel",
    "distilbert": "DistilBertModel",
    "electra": "ElectraModel",
    "mpnet": "MPNetModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
}


def is_format1(manifest: Any) -> bool:
    """Returns whether a ``metadata.json`` is in format 1, which states its version under another name.

    Args:
        manifest: The JSON value.
    """
    return (
        isinstance(manifest, dict) and "format_version" not in manifest and manifest.get("version") == FORMAT1_VERSION
    )


def read_format1(root: Path, manifest: Any) -> tuple[Metadata, ModelInfo]:
    """Reads the description of a package in format 1.

    Compiled libraries in it are native code: they are never loaded, and the architecture comes from ``config.json``.

    Args:
        root: The folder of the package.
        manifest: Its ``metadata.json``.

    Raises:
        ManifestError: If a field is missing or malformed, or a listed file is missing.
        UnsafePathError: If something in it is a link or a special file, or a path leaves it.
    """
    _refuse_special_files(root)
    fields = Fields(manifest, METADATA_FILE)
    info = Fields(read_json(root / MODEL_INFO_FILE), MODEL_INFO_FILE)
    metadata = Metadata(
        format_version=FORMAT1_VERSION,
        name=fields.required("name", str),
        version=FORMAT1_VERSION,
        repo_id=fields.optional("repo_id", str),
        revision=fields.optional("revision", str),
        created_at=fields.optional("created_at", str) or "",
        license=None,
        files=tuple(_listed_files(root, fields.optional("files", list) or [])),
    )
    artifacts = tuple(_artifacts(root))
    return metadata, ModelInfo(
        model_type=info.required("model_type", str),
        repo_id=info.optional("repo_id", str),
        architecture_family=info.optional("architecture_family", str),
        supported_backends=info.texts("supported_backends"),
        task="",
        task_options={},
        signature=artifacts[0].signature if artifacts else Signature((), ()),
        hidden_size=info.optional_count("hidden_size"),
        num_layers=info.optional_count("num_layers"),
        vocab_size=info.optional_count("vocab_size"),
        num_parameters=None,
        artifacts=artifacts,
    )


def _refuse_special_files(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            relative = path.relative_to(root).as_posix()
            raise UnsafePathError(f"{relative!r} is a link or a special file, which packages do not contain")


def _listed_files(root: Path, listed: list[Any]) -> Iterator[FileEntry]:
    """Yields the listed files whose digest is stated. Files listed by name alone need only exist."""
    for item in listed:
        entry = FileEntry.from_json(item) if isinstance(item, dict) and "sha256" in item else None
        path = item if isinstance(item, str) else Fields(item, f"a file of {METADATA_FILE}").required("path", str)
        check_member_path(path)
        if not (root / path).is_file():
            raise ManifestError(f"{METADATA_FILE} lists {path!r}, which is missing", hint="fetch the package again")
        if entry is not None:
            yield entry


def _artifacts(root: Path) -> Iterator[Artifact]:
    """Yields an artifact of the first folder that PyTorch can run: each folder holds the same model for one runtime."""
    for name in _FOLDERS:
        folder = root / "backends" / name
        files = _files_of(folder)
        if files is None:
            continue
        config = (
            read_object(folder / "config.json", allow_non_finite=True) if (folder / "config.json").is_file() else {}
        )
        architecture = _architecture(config)
        # For other models, such as those of images, format 1 does not state a signature.
        if "factory" not in files and (architecture is None or config.get("model_type") not in _BARE_ARCHITECTURES):
            continue
        yield Artifact(
            backend="torch",
            format="state-dict" if "factory" in files else "safetensors",
            precision=Precision.FP32,
            layout=Layout.PADDED,
            files={role: f"backends/{name}/{file}" for role, file in files.items()},
            signature=_signature(config),
            root=root,
            options={} if architecture is None else {"architecture": architecture},
        )
        return


def _files_of(folder: Path) -> dict[str, str] | None:
    """Finds the files of an artifact, by role; ``None`` if the folder holds none that can be run."""
    if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
        return {"config": "config.json", "weights": "model.safetensors"}
    if (folder / "model.pt").is_file() and (folder / "model.py").is_file():
        return {"weights": "model.pt", "factory": "model.py"}
    return None


def _architecture(config: Mapping[str, Any]) -> str | None:
    stated = config.get("architectures")
    bare = _BARE_ARCHITECTURES.get(str(config.get("model_type")))
    # A checkpoint with a pretraining head is used for the hidden states below it.
    if isinstance(stated, list) and stated and isinstance(stated[0], str) and "For" not in stated[0]:
        return stated[0]
    return bare


def _signature(config: Mapping[str, Any]) -> Signature:
    names = ["input_ids", "attention_mask"]
    types = config.get("type_vocab_size")
    if isinstance(types, int) and types > 1:
        names.append("token_type_ids")
    hidden = config.get("hidden_size", config.get("dim"))
    return Signature(
        inputs=tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in names),
        outputs=(
            TensorSpec(
                "last_hidden_state", DataType.F32, (BATCH, SEQUENCE, hidden if isinstance(hidden, int) else "hidden")
            ),
        ),
    )
