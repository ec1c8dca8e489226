"""``inferox sign``, and commands that only take signed packages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inferox import Engine, load
from inferox.core import ConfigError, SignatureError
from inferox.package import open_package
from tests.cli.conftest import Run
from tests.conftest import Command
from tests.package.packages import write_package
from tests.package.test_signing import write_keys
from tests.server.running import running


@pytest.fixture
def signed(run: Run, bert_package: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A package, and the public key with which its signature is checked."""
    package = shutil.copy(bert_package, tmp_path / "embed.mlpkg")
    private, public = write_keys(tmp_path)
    done = run("sign", package, "--key", private)
    assert done.code == 0, done.err
    assert done.out.startswith(f"signed {package}: {package}.sig, key ")
    again = run("sign", package, "--key", private)
    assert (again.code, "already exists" in again.err) == (2, True)
    assert run("sign", package, "--key", private, "--force").code == 0
    return Path(package), public


def test_commands_take_what_is_signed_and_nothing_else(run: Run, signed: tuple[Path, Path], tmp_path: Path) -> None:
    package, public = signed
    _, other = write_keys(tmp_path, "other")
    for command in (("run", package, "a text"), ("verify", package, "--backend", "torch")):
        assert run(*command, "--require-signature", public).code == 0
        done = run(*command, "--require-signature", other)
        assert (done.code, "was not signed with the key in" in done.err) == (3, True), done.err
        assert done.out == ""


def test_a_server_takes_what_is_signed_and_nothing_else(
    inferox: Command, signed: tuple[Path, Path], tmp_path: Path
) -> None:
    package, public = signed
    _, other = write_keys(tmp_path, "other")
    done = inferox("serve", package, "--require-signature", other, "--port", "0")
    assert done.returncode == 3
    assert b"was not signed with the key in" in done.stderr
    with running(package, "--require-signature", public, "--threads", "1") as server:
        server.wait_until_ready()


def test_python_takes_what_is_signed_and_nothing_else(signed: tuple[Path, Path], tmp_path: Path) -> None:
    package, public = signed
    _, other = write_keys(tmp_path, "other")
    with load(package, require_signature=public) as model:
        assert model.embed("a text").ndim == 1
    with pytest.raises(SignatureError):
        load(package, require_signature=other)
    with Engine() as engine:
        engine.load(package, name="good", require_signature=public)
        with pytest.raises(SignatureError):
            engine.load(package, name="bad", require_signature=other)
        with pytest.raises(ConfigError, match="require_signature is given for"):
            engine.load("python:a:b", trust_code=True, require_signature=public)


def test_a_signature_is_not_put_into_what_it_signs(run: Run, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package")
    private, public = write_keys(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(package)
    for inside in (package / "a.sig", package / "weights" / "a.sig", link / "a.sig"):
        done = run("sign", package, "--key", private, "-o", inside)
        assert (done.code, "is in the package" in done.err) == (2, True), done.err
        assert not inside.exists()
    assert run("sign", package, "--key", private).code == 0
    assert open_package(package, require_signature=public)
