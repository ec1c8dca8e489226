"""The signature beside a package, and its check."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferox.core import ConfigError, SignatureError, counted, read_regular_file
from inferox.package.manifest import METADATA_FILE, Metadata
from inferox.package.signature import read_signature
from inferox.package.signing_keys import PublicKey

SIGNATURE_SUFFIX = ".sig"
"""The suffix that a signature's file name adds to the package's name."""

_MOST_BYTES = 16 << 20


def signature_of(package: Path) -> Path:
    """Returns the path of a package's signature: beside the package, which stays unchanged.

    Args:
        package: The package.
    """
    absolute = package.absolute()  # also where it is only called "."
    return absolute.with_name(absolute.name + SIGNATURE_SUFFIX)


def check_outside(signature: Path, package: Path) -> None:
    """Refuses to place a signature inside the package that it signs, which would change the package.

    Args:
        signature: The intended path of the signature.
        package: The package.

    Raises:
        ConfigError: If it is in the package.
    """
    if signature.resolve().is_relative_to(package.resolve()):
        raise ConfigError(
            f"{signature} is in the package {package}, which must stay as it is signed",
            hint=f"by default the signature lies beside it: {signature_of(package)}",
        )


def signed_digests(metadata: Metadata, manifest_sha256: str) -> dict[str, str]:
    """Returns what a package's signature covers: the SHA-256 digest of every file, by path.

    Args:
        metadata: The package's metadata, which lists its files.
        manifest_sha256: The digest of ``metadata.json``, which does not list itself.
    """
    return {METADATA_FILE: manifest_sha256, **{entry.path: entry.sha256 for entry in metadata.files}}


@dataclass(frozen=True)
class RequiredSignature:
    """A signature that a package must have.

    Attributes:
        file: The path of the signature.
        key: The key that must have made it.
        package: The name of the package in errors.
    """

    file: Path
    key: PublicKey
    package: str

    @classmethod
    def beside(cls, package: Path, key: str | Path) -> RequiredSignature:
        """Returns the required signature beside a package.

        Args:
            package: The package.
            key: A PEM file with the public key.

        Raises:
            ConfigError: If the key is not a path, or cannot be used.
        """
        if not isinstance(key, str | Path):
            raise ConfigError(f"require_signature must be the path of a key, but is {key!r}")
        # A link to a package may have no signature beside it: then the one beside the package itself counts.
        places = [signature_of(package), signature_of(package.resolve())]
        file = next((place for place in places if os.path.lexists(place)), places[0])
        return cls(file, PublicKey.load(Path(key)), str(package))

    def check(self, metadata: Metadata | None, manifest_sha256: str) -> None:
        """Checks that the package is the signed one, before anything but its manifest is read.

        Args:
            metadata: The metadata with the list of files, whose contents are checked elsewhere. ``None`` if the package
                lists no digests.
            manifest_sha256: The digest of ``metadata.json``.

        Raises:
            SignatureError: If there is no signature, or it is of another key or another package.
        """
        if metadata is None:
            raise SignatureError(
                f"{self.package} is in format 1, which lists no digests, and cannot be signed",
                hint="pack the model again, and sign that",
            )
        signed = read_signature(self._read(), str(self.file), self.key)
        found = signed_digests(metadata, manifest_sha256)
        if differing := sorted(path for path in signed.keys() | found.keys() if signed.get(path) != found.get(path)):
            more = f" and {counted(len(differing) - 1, 'other')} differ" if len(differing) > 1 else " differs"
            raise SignatureError(
                f"{self.package} is not the package that was signed: {differing[0]}{more}",
                hint="fetch the package and its signature again, or sign it anew if it is yours",
            )

    def _read(self) -> bytes:
        try:
            read = read_regular_file(self.file, _MOST_BYTES)
        except FileNotFoundError as error:
            raise SignatureError(
                f"{self.package} is not signed: there is no {self.file}",
                hint="fetch it too; whoever makes the package makes it with: inferox sign PACKAGE --key KEY",
            ) from error
        except OSError as error:
            raise SignatureError(f"{self.file} cannot be read: {error.strerror or error}") from error
        if read is None:
            raise SignatureError(f"{self.file} is not a regular file, and so not a signature")
        if len(read) > _MOST_BYTES:
            raise SignatureError(f"{self.file} is too large to be a signature")
        return read
