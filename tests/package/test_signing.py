"""Signatures of packages: signed packages open, and no others."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferox.core import ConfigError, IntegrityError, SignatureError
from inferox.package import open_package
from inferox.package.signature import read_signature, write_signature
from inferox.package.signing import sign_package
from inferox.package.signing_keys import PrivateKey, PublicKey
from tests.package.packages import write_package

PASSWORD = "of the key"  # noqa: S105 - of a key that is made here


def write_keys(folder: Path, name: str = "key", curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """Makes a pair of keys: the files of the private and of the public one."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path)


def sign(package: Path, private: Path) -> Path:
    file = package.with_name(f"{package.name}.sig")
    file.write_bytes(sign_package(package, PrivateKey.load(private)))
    return file


@pytest.fixture(params=["package", "package.mlpkg"])
def signed(request: pytest.FixtureRequest, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A signed package, as a folder and as one file."""
    package = write_package(tmp_path / request.param)
    sign(package, keys[0])
    return package


def test_what_is_signed_opens(signed: Path, keys: tuple[Path, Path]) -> None:
    for _ in range(2):  # the second time, its files are known to be verified
        assert open_package(signed, require_signature=keys[1]).metadata.name == "small"
    assert open_package(signed).metadata.name == "small"


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package")
    private, public = write_keys(tmp_path, curve=curve)
    sign(package, private)
    assert open_package(package, require_signature=public)


def test_what_is_not_signed_is_refused(signed: Path, keys: tuple[Path, Path]) -> None:
    signed.with_name(f"{signed.name}.sig").unlink()
    with pytest.raises(SignatureError, match=rf"{signed.name} is not signed: there is no .*{signed.name}\.sig"):
        open_package(signed, require_signature=keys[1])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_not_a_file_is_not_a_signature(signed: Path, keys: tuple[Path, Path]) -> None:
    signature = signed.with_name(f"{signed.name}.sig")
    signature.unlink()
    os.mkfifo(signature)
    with pytest.raises(SignatureError, match="not a regular file"):
        open_package(signed, require_signature=keys[1])
    signature.unlink()
    signature.symlink_to("/dev/zero")
    with pytest.raises(SignatureError, match="not a regular file"):
        open_package(signed, require_signature=keys[1])


def test_what_another_has_signed_is_refused(signed: Path, tmp_path: Path) -> None:
    _, other = write_keys(tmp_path, "other")
    with pytest.raises(SignatureError, match=r"was not signed with the key in .*other\.pub, or was changed since"):
        open_package(signed, require_signature=other)


def test_another_package_is_refused(signed: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """A valid package beside the signature of another."""
    other = write_package(tmp_path / f"other{signed.suffix}", weights=b"other weights")
    shutil.copy(signed.with_name(f"{signed.name}.sig"), other.with_name(f"{other.name}.sig"))
    with pytest.raises(
        SignatureError, match=r"is not the package that was signed: metadata\.json and \d others? differ"
    ):
        open_package(other, require_signature=keys[1])


def test_a_file_that_was_changed_since_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    package = write_package(tmp_path / "package")
    sign(package, keys[0])
    (package / "weights" / "model.safetensors").write_bytes(b"x" * 8000)
    with pytest.raises(IntegrityError, match="differs from what the manifest says"):
        open_package(package, require_signature=keys[1])


def test_the_manifest_alone_cannot_be_changed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    package = write_package(tmp_path / "package")
    sign(package, keys[0])
    manifest = package / "metadata.json"
    manifest.write_text(manifest.read_text().replace('"mit"', '"gpl"'))
    with pytest.raises(SignatureError, match=r"the package that was signed: metadata\.json differs"):
        open_package(package, require_signature=keys[1])


def test_a_relative_place_has_its_signature_beside_it(
    tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(tmp_path / "package")
    sign(package, keys[0])
    monkeypatch.chdir(package)
    assert open_package(".", require_signature=keys[1])


Change = Callable[[dict[str, Any]], None]


def change_payload(change: Change) -> Change:
    """A change to the signed content of a bundle."""

    def apply(bundle: dict[str, Any]) -> None:
        envelope = bundle["dsseEnvelope"]
        payload = json.loads(base64.b64decode(envelope["payload"]))
        change(payload)
        envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bundle: bundle.pop("dsseEnvelope"), "is not a signature of a package: .* lacks 'dsseEnvelope'"),
        (lambda bundle: bundle.update(mediaType="text/plain"), "its mediaType is not"),
        (lambda bundle: bundle["dsseEnvelope"].update(payload="?"), "is not a signature of a package"),
        (lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"), "one signed in-toto statement"),
        (lambda bundle: bundle["dsseEnvelope"].update(signatures=[]), "one signed in-toto statement"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"), "was not signed with the key"),
        (change_payload(lambda payload: payload["predicate"]["resources"].pop()), "was not signed with the key"),
        (change_payload(lambda payload: payload.update(predicateType="x")), "was not signed with the key"),
    ],
)
def test_a_changed_signature_is_refused(signed: Path, keys: tuple[Path, Path], change: Change, message: str) -> None:
    file = signed.with_name(f"{signed.name}.sig")
    bundle = json.loads(file.read_text())
    change(bundle)
    file.write_text(json.dumps(bundle))
    with pytest.raises(SignatureError, match=message):
        open_package(signed, require_signature=keys[1])


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_not_a_signature(keys: tuple[Path, Path], noise: bytes) -> None:
    with pytest.raises(SignatureError):
        read_signature(noise, "noise.sig", PublicKey.load(keys[1]))


@given(st.dictionaries(st.text(min_size=1), st.binary(min_size=32, max_size=32).map(bytes.hex)), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_signed_is_read_back_and_no_byte_of_it_may_change(
    keys: tuple[Path, Path], digests: dict[str, str], data: st.DataObject
) -> None:
    public = PublicKey.load(keys[1])
    content = write_signature("small", digests, PrivateKey.load(keys[0]))
    assert read_signature(content, "a.sig", public) == digests
    payload = json.loads(content)["dsseEnvelope"]["payload"].encode()
    place = content.index(payload) + data.draw(st.integers(0, len(payload) - 1))
    other = bytes([data.draw(st.integers(0, 127))])
    changed = content[:place] + other + content[place + 1 :]
    if base64.b64decode(payload) == _payload_of(changed):
        return
    with pytest.raises(SignatureError):
        read_signature(changed, "a.sig", public)


def _payload_of(content: bytes) -> bytes | None:
    try:
        return base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"])
    except ValueError:
        return None


def test_keys_that_cannot_be_used(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    other = tmp_path / "ed25519.pem"
    other.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(pem, form, serialization.NoEncryption()))
    with pytest.raises(ConfigError, match="must be one of ECDSA on P-256, P-384 or P-521"):
        PrivateKey.load(other)
    write_keys(tmp_path, "koblitz", ec.SECP256K1())
    with pytest.raises(ConfigError, match="must be one of ECDSA"):
        PublicKey.load(tmp_path / "koblitz.pub")
    with pytest.raises(ConfigError, match=r"cannot be used: .* \(openssl ec"):
        PublicKey.load(keys[0])  # a private key instead of the public one
    with pytest.raises(ConfigError, match=r"there is no key file .* \(openssl ec"):
        PublicKey.load(tmp_path / "missing.pub")


def test_without_cryptography_it_says_what_to_install(keys: tuple[Path, Path]) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        f"import inferox\ninferox.open_package('a', require_signature={str(keys[1])!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert "ConfigError: signatures need the package cryptography (pip install 'inferox[sign]')" in done.stderr


def encrypt_key(folder: Path, form: serialization.PrivateFormat, password: bytes = PASSWORD.encode()) -> Path:
    """Makes an encrypted private key."""
    file = folder / "encrypted.pem"
    encrypted = serialization.BestAvailableEncryption(password)
    file.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, form, encrypted))
    return file


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_error_about_a_password_says_what_to_do_about_it(
    tmp_path: Path, keys: tuple[Path, Path], form: serialization.PrivateFormat
) -> None:
    secret = encrypt_key(tmp_path, form)
    where = r"--key-password or INFEROX_KEY_PASSWORD\)$"
    for file, password, what in (
        (secret, None, rf"encrypted\.pem is encrypted \(give its password with {where}"),
        (secret, "wrong", rf"cannot be read with this password: .* \(check {where}"),
        (secret, "", r"must be a text that is not empty"),
        (secret, 5, r"must be a text that is not empty"),
        (secret, "\ud800", "cannot be encoded"),
        (keys[0], PASSWORD, r"key\.pem is not encrypted, but there is a password \(leave it out\)$"),
        (tmp_path / "missing.pem", None, r"^there is no key file .*missing\.pem \(make one: "),
        (tmp_path, None, r"must be a regular file"),
    ):
        with pytest.raises(ConfigError, match=what):
            PrivateKey.load(file, password)  # type: ignore[arg-type]
    assert PrivateKey.load(secret, PASSWORD).public().fingerprint


def test_a_password_may_be_of_any_bytes(tmp_path: Path) -> None:
    password = b"caf\xe9"
    secret = encrypt_key(tmp_path, serialization.PrivateFormat.PKCS8, password)
    assert PrivateKey.load(secret, os.fsdecode(password)).public().fingerprint


def test_a_link_to_a_package_needs_no_signature_of_its_own(signed: Path, keys: tuple[Path, Path]) -> None:
    link = signed.parent / "links" / "latest"
    link.parent.mkdir()
    link.symlink_to(signed)
    assert open_package(link, require_signature=keys[1]).metadata.name == "small"
    signed.with_name(f"{signed.name}.sig").unlink()
    with pytest.raises(SignatureError, match=r"is not signed: there is no .*latest\.sig"):
        open_package(link, require_signature=keys[1])


@pytest.mark.parametrize("key", [5, True, b"key.pub", ["key.pub"]])
def test_what_is_not_a_path_is_not_a_key(signed: Path, key: Any) -> None:
    with pytest.raises(ConfigError, match="require_signature must be the path of a key"):
        open_package(signed, require_signature=key)
