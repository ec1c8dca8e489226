"""Signing a package."""

from __future__ import annotations

from pathlib import Path

from inferox.core import SignatureError
from inferox.package.format1 import is_format1
from inferox.package.manifest import METADATA_FILE, read_json
from inferox.package.reader import open_package
from inferox.package.signature import write_signature
from inferox.package.signed_package import signed_digests
from inferox.package.signing_keys import PrivateKey


def sign_package(path: str | Path, key: PrivateKey) -> bytes:
    """Signs a package, after verifying all of its files against its manifest.

    Args:
        path: The package: a folder, or an ``.mlpkg`` file.
        key: The key to sign with.

    Returns:
        The content of the signature's file.

    Raises:
        SignatureError: If it is in format 1, which lists no digests.
        PackageError: See ``open_package``.
    """
    package = open_package(path)
    if is_format1(read_json(package.root / METADATA_FILE)):
        raise SignatureError(
            f"{path} is in format 1, which lists no digests, and cannot be signed", hint="pack it again"
        )
    return write_signature(package.metadata.name, signed_digests(package.metadata, package.digest), key)
