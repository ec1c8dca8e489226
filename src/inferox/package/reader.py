"""Opening of packages: every file is checked against the manifest before anything is read from it."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inferox.core import (
    CONFIG_FILE,
    Artifact,
    IntegrityError,
    ManifestError,
    PackageError,
    TrustTier,
    UnsafePathError,
    counted,
)
from inferox.package.archive import is_archive
from inferox.package.file_lock import FileLock
from inferox.package.format1 import is_format1, read_format1
from inferox.package.manifest import (
    METADATA_FILE,
    MODEL_INFO_FILE,
    Metadata,
    ModelInfo,
    read_json,
    read_object,
)
from inferox.package.paths import check_distinct, check_member_path, list_files
from inferox.package.signed_package import RequiredSignature
from inferox.package.staging import find_replaced, wait_for_target
from inferox.package.store import Store, Unpacked
from inferox.package.writer import check_artifacts
from inferox.parity.evidence import PARITY_FILE
from inferox.parity.proof import ProofCase, ProofStatus, load_proof
from inferox.parity.report import ParityReport
from inferox.parity.samples import SAMPLES_FILE, Samples

_TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Package:
    """A verified package on this machine's disk.

    Attributes:
        root: The folder with its files.
        files_root: The folder with the files that describe the model's use, such as ``tokenizer.json``: the root, or in
            format 1 the folder of a backend.
        metadata: Its origin and the list of its files.
        info: The description of its model.
        parity: The agreement of its artifacts with the reference; ``None`` if that was not recorded.
        config: The model's ``config.json``; empty if there is none.
        digest: The SHA-256 digest of the manifest, which covers everything that it lists.
        lock: Keeps the package in the store as long as this object lives; ``None`` if it is not in the store.
    """

    root: Path
    files_root: Path
    metadata: Metadata
    info: ModelInfo
    parity: ParityReport | None
    config: Mapping[str, Any]
    digest: str
    lock: FileLock | None = field(default=None, repr=False, compare=False)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The ways to run it."""
        return self.info.artifacts

    @property
    def unknown(self) -> Mapping[str, str]:
        """The reason for each artifact that this version of Inferox does not understand, by name."""
        return {item.name: item.reason for item in self.info.unknown}

    @property
    def size_bytes(self) -> int:
        """The size of all files that the manifest lists."""
        return sum(entry.size_bytes for entry in self.metadata.files)

    @property
    def trust_tier(self) -> TrustTier:
        """The trust tier: code if any artifact is code."""
        tiers = {artifact.trust_tier for artifact in self.artifacts}
        return TrustTier.CODE if TrustTier.CODE in tiers else TrustTier.DATA

    def keep_for(self, reader: object) -> None:
        """Keeps the package in the store at least as long as another object lives that reads its files.

        Args:
            reader: The object, such as a loaded model.
        """
        if self.lock is not None:
            weakref.finalize(reader, _let_go, self.lock)

    def samples(self) -> Samples | None:
        """Reads the sample calls; ``None`` if the package has none.

        Raises:
            IntegrityError: If they cannot be read.
        """
        path = self.root / SAMPLES_FILE
        return Samples.load(path) if path.is_file() else None

    def proof_cases(self) -> tuple[ProofCase, ...] | None:
        """Reads the inputs of its proof with the answers of the defining library; ``None`` if the package has none.

        Raises:
            ManifestError: If a field is missing or malformed.
            IntegrityError: If the tensors cannot be read, or the package records another number of inputs
                than it carries.
        """
        cases = load_proof(self.root)
        proof = None if self.parity is None else self.parity.from_input
        proven = proof is not None and proof.status is ProofStatus.PROVEN
        recorded = (0, 0) if proof is None else (proof.inputs, proof.answered)
        carried = len(cases or ()), sum(case.input.answered for case in cases or ())
        if recorded != carried or (proven and not cases):
            raise IntegrityError(
                f"{PARITY_FILE} records {recorded[0]} inputs and {recorded[1]} answers as compared, but the package "
                f"carries {carried[0]} and {carried[1]}",
                hint="pack the model again",
            )
        return cases


def open_package(
    path: str | Path, *, store: Store | None = None, require_signature: str | Path | None = None
) -> Package:
    """Opens a package: a folder, or an ``.mlpkg`` file, which is unpacked once into the store.

    Every file is verified by size and SHA-256 digest. What was verified before and is unchanged is not read again.

    Args:
        path: The package.
        store: The store of unpacked packages and of what was verified before; ``None`` for the user's own.
        require_signature: A PEM file with the public key that the package must be signed with; ``None`` to accept any.

    Raises:
        SignatureError: If it is not signed with that key.
        PackageError: If there is nothing at the path, or something other than a package.
        ManifestError: If a metadata file is missing or malformed.
        FormatVersionError: If the package is in a newer format.
        IntegrityError: If a file is missing, was added or differs, or the archive is damaged.
        UnsafePathError: If a path leaves the package, something in it is a link, or the archive misstates its members.
        ConfigError: If the store cannot be written.
    """
    location = read_package_path(path)
    try:
        required = None if require_signature is None else RequiredSignature.beside(location, require_signature)
        return _open(location, store or Store(), required)
    except OSError as error:
        raise PackageError(f"{location} cannot be read: {error.strerror or error}") from error


def read_package_path(path: Any) -> Path:
    """Converts a caller's value to the path of a package, which need not exist.

    Args:
        path: A path, as a string or an ``os.PathLike``.

    Raises:
        PackageError: If it is neither, or a model's name on a hub.
    """
    if not isinstance(path, str | os.PathLike):
        raise PackageError(
            "expected a package, as the path of a folder or of an .mlpkg file, "
            f"but got a value of the type {type(path).__name__}"
        )
    if str(path).startswith("hf://"):
        raise PackageError(f"{path} is a model on a hub, not a package", hint=_pack_first(path))
    return Path(path)


def _pack_first(source: object) -> str:
    return f"pack it first: inferox pack {source} -o model.mlpkg"


def _open(location: Path, store: Store, required: RequiredSignature | None) -> Package:
    if not location.exists() and location.parent.is_dir():
        wait_for_target(location)
    if location.is_file():
        return _open_archive(location, store, required)
    if not location.is_dir():
        raise _nothing_there(location)
    if not (location / METADATA_FILE).is_file():
        raise _no_package(location)
    return _open_folder(location, store, required)


def _open_archive(archive: Path, store: Store, required: RequiredSignature | None) -> Package:
    if not is_archive(archive):
        raise IntegrityError(f"{archive} is not a package, or is damaged: it does not begin like an archive")
    try:
        return _open_unpacked(store.unpack(archive), store, required)
    except (IntegrityError, ManifestError, UnsafePathError):
        # The unpacked folder may have been changed since.
        if not store.discard(archive):
            raise
        return _open_unpacked(store.unpack(archive), store, required)


def _open_unpacked(unpacked: Unpacked, store: Store, required: RequiredSignature | None) -> Package:
    return replace(_open_folder(unpacked.root, store, required), lock=unpacked.lock)


def _let_go(_: FileLock) -> None:
    """Does nothing: as the finalizer of a reader, it holds a reference to the lock until the reader is gone."""


def _nothing_there(location: Path) -> PackageError:
    replaced = find_replaced(location)
    if replaced is None:
        return PackageError(
            f"there is no package at {location}",
            hint="'inferox pack' makes one of a model's folder, or of its name on a hub",
        )
    return PackageError(
        f"there is no package at {location}: replacing it did not finish, and the old one lies at {replaced}",
        hint="write it again, or move the old one back",
    )


def _no_package(folder: Path) -> PackageError:
    if (folder / CONFIG_FILE).is_file():
        return PackageError(f"{folder} is a model directory, not a package", hint=_pack_first(folder))
    return PackageError(f"{folder} is not a package: it has no {METADATA_FILE}")


def _open_folder(root: Path, store: Store, required: RequiredSignature | None) -> Package:
    # The digest is of the very bytes that are parsed: a manifest replaced in between must not pass for the signed one.
    found = hashlib.sha256()
    manifest = read_json(root / METADATA_FILE, digest=found)
    digest = found.hexdigest()
    if is_format1(manifest):
        if required is not None:
            required.check(None, digest)
        metadata, info = read_format1(root, manifest)
        _verify(root, metadata, store)
    else:
        metadata = Metadata.from_json(manifest)
        if required is not None:
            required.check(metadata, digest)
        _check_listing(root, metadata)
        _verify(root, metadata, store)
        info = ModelInfo.from_json(read_json(root / MODEL_INFO_FILE), root)
        check_artifacts(metadata, info)
    files_root = _files_root(root, info)
    parity = root / PARITY_FILE
    return Package(
        root=root,
        files_root=files_root,
        metadata=metadata,
        info=info,
        parity=ParityReport.from_json(read_json(parity)) if parity.is_file() else None,
        config=_read_config(files_root, info),
        digest=digest,
    )


def _files_root(root: Path, info: ModelInfo) -> Path:
    """Finds the folder of the model's config and tokenizer; in format 1, the tokenizer may lie above the config."""
    if (root / CONFIG_FILE).is_file() or (root / _TOKENIZER_FILE).is_file():
        return root
    return next((config.parent for config in _configs(info)), root)


def _configs(info: ModelInfo) -> Iterator[Path]:
    return (artifact.path("config") for artifact in info.artifacts if "config" in artifact.files)


def _read_config(files_root: Path, info: ModelInfo) -> dict[str, Any]:
    path = next((path for path in (files_root / CONFIG_FILE, *_configs(info)) if path.is_file()), None)
    return {} if path is None else read_object(path, allow_non_finite=True)


def _check_listing(root: Path, metadata: Metadata) -> None:
    """Checks that the folder holds exactly the files that the manifest lists, and no links."""
    listed = {entry.path for entry in metadata.files}
    for name in (*listed, METADATA_FILE):
        check_member_path(name)
    check_distinct((*listed, METADATA_FILE))
    present = set(list_files(root))
    added, missing = sorted(present - listed - {METADATA_FILE}), sorted(listed - present)
    if missing:
        raise IntegrityError(f"the package lacks files that it lists: {', '.join(missing)}", hint="fetch it again")
    if added:
        raise IntegrityError(
            f"the package has files that it does not list: {', '.join(added)}", hint="remove them, or fetch it again"
        )


def _verify(root: Path, metadata: Metadata, store: Store) -> None:
    for entry in metadata.files:
        path = root / entry.path
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise IntegrityError(
                f"{entry.path!r} has {counted(size, 'byte')}, but the manifest says {entry.size_bytes:,}",
                hint="fetch it again",
            )
        if not store.verify(path, entry):
            raise IntegrityError(f"{entry.path!r} differs from what the manifest says", hint="fetch it again")
