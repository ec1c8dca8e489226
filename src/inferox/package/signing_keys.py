"""Keys that sign packages: ECDSA on the curves P-256, P-384 and P-521, in PEM files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferox.core import ConfigError, first_line, read_regular_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
"""The hash for each curve, as in Sigstore."""

_MAKE_HINT = "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
_WHERE_TO_GIVE_IT = "--key-password or INFEROX_KEY_PASSWORD"
_ENCRYPTED = re.compile(rb"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: *4, *ENCRYPTED")
_MOST_BYTES = 1 << 20
_PUBLIC_HINT = "openssl ec -in key.pem -pubout -out key.pub makes it from the private key"


class PublicKey:
    """A key that verifies signatures.

    Args:
        key: The key.
        name: The name of the key in errors.

    Attributes:
        name: The name of the key in errors.
    """

    def __init__(self, key: ec.EllipticCurvePublicKey, name: str) -> None:
        self._key = key
        self.name = name

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Reads a key.

        Args:
            path: A PEM file with the public key.

        Raises:
            ConfigError: If it cannot be read, or is not a key that can sign packages.
        """
        from_pem = _import_serialization().load_pem_public_key
        key = _load(path, from_pem, "EllipticCurvePublicKey", _PUBLIC_HINT)
        return cls(key, str(path))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 digest of the key in its PEM form, in hexadecimal digits."""
        serialization = _import_serialization()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self._key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()

    def is_of(self, signature: bytes, data: bytes) -> bool:
        """Returns whether a signature of data was made with the private part of this key.

        Args:
            signature: The signature.
            data: The signed data.
        """
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, data, _algorithm(self._key.curve))
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A key that signs.

    Args:
        key: The key.
        name: The name of the key in errors.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, name: str) -> None:
        self._key = key
        self._name = name

    @classmethod
    def load(cls, path: Path, password: str | None = None) -> PrivateKey:
        """Reads a key.

        Args:
            path: A PEM file with the private key.
            password: The password of the key; ``None`` if it is not encrypted.

        Raises:
            ConfigError: If it cannot be read, the password is wrong, or it is not a key that can sign packages.
        """
        secret, from_pem = _to_secret(password), _import_serialization().load_pem_private_key

        def read(content: bytes) -> Any:
            is_encrypted = _ENCRYPTED.search(content) is not None
            if is_encrypted and secret is None:
                raise ConfigError(f"the key in {path} is encrypted", hint=f"give its password with {_WHERE_TO_GIVE_IT}")
            if secret is not None and not is_encrypted:
                raise ConfigError(f"the key in {path} is not encrypted, but there is a password", hint="leave it out")
            try:
                return from_pem(content, secret)
            except ValueError as error:
                if not is_encrypted:
                    raise
                raise ConfigError(
                    f"the key in {path} cannot be read with this password: {first_line(error)}",
                    hint=f"check {_WHERE_TO_GIVE_IT}",
                ) from error

        key = _load(path, read, "EllipticCurvePrivateKey", _MAKE_HINT)
        return cls(key, str(path))

    def public(self) -> PublicKey:
        """The public key."""
        return PublicKey(self._key.public_key(), self._name)

    def sign(self, data: bytes) -> bytes:
        """Signs data.

        Args:
            data: The data.
        """
        return self._key.sign(data, _algorithm(self._key.curve))


def _to_secret(password: str | None) -> bytes | None:
    if password is None:
        return None
    if not isinstance(password, str) or not password:
        raise ConfigError(
            "the password of a key must be a text that is not empty", hint="leave it out where it has none"
        )
    try:
        # Bytes of an environment variable that are not UTF-8 are surrogates in the text: this restores the variable's
        # bytes.
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ConfigError(f"the password of the key cannot be encoded: {error.reason}") from error


def _import_serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise ConfigError("signatures need the package cryptography", hint="pip install 'inferox[sign]'") from error
    return serialization


def _load(path: Path, read: Callable[[bytes], Any], kind: str, hint: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        content = read_regular_file(path, _MOST_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no key file {path}", hint=hint) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key in {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if content is None or len(content) > _MOST_BYTES:
        raise ConfigError(f"the key in {path} must be a regular file of at most {_MOST_BYTES:,} bytes", hint=hint)
    try:
        key = read(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"the key in {path} cannot be used: {first_line(error)}", hint=hint) from error
    if not isinstance(key, getattr(ec, kind)) or key.curve.name not in _HASHES:
        raise ConfigError(f"the key in {path} must be one of ECDSA on P-256, P-384 or P-521", hint=hint)
    return key


def _algorithm(curve: ec.EllipticCurve) -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(getattr(hashes, _HASHES[curve.name])())
