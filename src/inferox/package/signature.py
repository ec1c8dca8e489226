"""Signatures of packages in the format of the OpenSSF Model Signing specification, made with a key.

A signature is a Sigstore bundle: an in-toto statement that lists every file by its SHA-256 digest, in a signed DSSE
envelope. The manifest already has the digests, so no file is read again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from inferox.core import ManifestError, SignatureError, parse_json
from inferox.core.fields import Fields
from inferox.package.signing_keys import PrivateKey, PublicKey

_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SHA256 = "sha256"

Digests = Mapping[str, str]
"""The SHA-256 digest of each file by its path, in hexadecimal digits."""


def write_signature(name: str, digests: Digests, key: PrivateKey) -> bytes:
    """Signs files.

    Args:
        name: The name of the package.
        digests: The digests of its files.
        key: The key to sign with.

    Returns:
        The content of the signature's file.
    """
    resources = [{"name": path, "algorithm": _SHA256, "digest": digests[path]} for path in sorted(digests)]
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {_SHA256: root}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": _SHA256,
                "allow_symlinks": False,
                "ignore_paths": [],
            },
            "resources": resources,
        },
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    signed = {"sig": _to_base64(key.sign(_to_signed_bytes(payload))), "keyid": ""}
    bundle = {
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.public().fingerprint}, "tlogEntries": []},
        "dsseEnvelope": {"payload": _to_base64(payload), "payloadType": _PAYLOAD_TYPE, "signatures": [signed]},
    }
    return json.dumps(bundle, indent=2).encode() + b"\n"


def read_signature(content: bytes, name: str, key: PublicKey) -> dict[str, str]:
    """Reads a signature. Nothing in it is used before it is verified with the key.

    Args:
        content: The content of its file.
        name: The name of the file in errors.
        key: The key that must have made it.

    Returns:
        The digests of the signed files.

    Raises:
        SignatureError: If it is not a signature, or was made with another key.
    """
    try:
        return _read(content, name, key)
    except (ManifestError, binascii.Error, ValueError) as error:
        raise SignatureError(f"{name} is not a signature of a package: {error}") from error


def _read(content: bytes, name: str, key: PublicKey) -> dict[str, str]:
    bundle = Fields(parse_json(content, name), name)
    if bundle.required("mediaType", str) != _BUNDLE_TYPE:
        raise ManifestError(f"its mediaType is not {_BUNDLE_TYPE}")
    envelope = Fields(bundle.required("dsseEnvelope", dict), "its envelope")
    signatures = envelope.map("signatures", lambda item: Fields(item, "its signature").required("sig", str))
    if envelope.required("payloadType", str) != _PAYLOAD_TYPE or len(signatures) != 1:
        raise ManifestError("its envelope must hold one signed in-toto statement")
    payload = base64.b64decode(envelope.required("payload", str), validate=True)
    if not key.is_of(base64.b64decode(signatures[0], validate=True), _to_signed_bytes(payload)):
        raise SignatureError(
            f"{name} was not signed with the key in {key.name}, or was changed since",
            hint="do not use the package, unless you know another key of its maker",
        )
    return _read_statement(payload)


def _read_statement(payload: bytes) -> dict[str, str]:
    statement = Fields(parse_json(payload, "its statement"), "its statement")
    told = statement.required("_type", str), statement.required("predicateType", str)
    if told != (_STATEMENT_TYPE, _PREDICATE_TYPE):
        raise ManifestError("its statement is not about a model")
    predicate = Fields(statement.required("predicate", dict), "its predicate")
    if predicate.required("serialization", dict).get("method") != "files":
        raise ManifestError("it must sign whole files")
    entries = predicate.map("resources", _read_resource)
    digests = dict(entries)
    if len(digests) != len(entries):
        raise ManifestError("it lists a file twice")
    return digests


def _read_resource(item: Any) -> tuple[str, str]:
    fields = Fields(item, "a file of it")
    if fields.required("algorithm", str) != _SHA256:
        raise ManifestError("it must sign SHA-256 digests")
    return fields.required("name", str), fields.required("digest", str)


def _to_signed_bytes(payload: bytes) -> bytes:
    """Encodes a payload as DSSE signs it: with its type, and the lengths of both."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
