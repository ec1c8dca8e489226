"""``inferox sign``: signs a package with the key of its maker."""

from __future__ import annotations

from pathlib import Path

import click

from inferox.cli.options import debug_option
from inferox.cli.terminal import say


@click.command(
    short_help="Sign a package with a key.",
    epilog="""\b
Example:
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out key.pub
  inferox sign minilm.mlpkg --key key.pem
  inferox run minilm.mlpkg --require-signature key.pub "a sentence"
""",
)
@click.argument("package")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    help="The PEM file with the private key: ECDSA on P-256, P-384 or P-521.",
)
@click.option(
    "--key-password",
    envvar="INFEROX_KEY_PASSWORD",
    show_envvar=True,
    help="The password of the key, best not typed here.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The signature file. By default PACKAGE.sig.")
@click.option("--force", is_flag=True, help="Replace the signature if it exists.")
@debug_option
def sign(package: str, *, key: Path, key_password: str | None, output: Path | None, force: bool) -> None:
    """Sign a package, after verifying its files: a file beside it holds the signed digests of all of them.

    The package itself is not changed. With --require-signature, run, verify and serve take only packages signed with a
    given key. The signature is in the format of OpenSSF Model Signing, whose own tools accept it for folders.
    """
    from inferox.cli.output_file import open_output
    from inferox.package.signed_package import SIGNATURE_SUFFIX, check_outside, signature_of
    from inferox.package.signing import sign_package
    from inferox.package.signing_keys import PrivateKey

    private = PrivateKey.load(key, key_password)
    target = output or signature_of(Path(package))
    check_outside(target, Path(package))
    with open_output(target, suffixes=(SIGNATURE_SUFFIX,), force=force) as file:
        file.write_bytes(sign_package(package, private))
    say(f"signed {package}: {target}, key {private.public().fingerprint[:16]}")
