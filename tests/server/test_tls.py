"""HTTPS: with a certificate that clients can verify; unusable ones are refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2
import pytest
import trustme

from inferox.core import ConfigError
from inferox.server import ServerConfig
from inferox.server.http_server import check_certificate
from tests.server.test_connection import Server, run


def test_https_is_spoken_with_the_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    config = ServerConfig(tls_cert=cert, tls_key=key)
    check_certificate(config)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def test(server: Server) -> None:
        url = f"//127.0.0.1:{server.port}/"
        async with httpx2.AsyncClient(verify=trusting) as http:
            assert (await http.get(f"https:{url}")).text == "little"
            with pytest.raises(httpx2.TransportError):
                await http.get(f"http:{url}")
        async with httpx2.AsyncClient() as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get(f"https:{url}")

    run(test, config)


def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    other = trustme.CA().issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    other.private_key_pem.write_to_path(key)
    with pytest.raises(ConfigError, match=r"cert\.pem .* cannot be used: .*[Mm][Ii][Ss][Mm]"):
        check_certificate(ServerConfig(tls_cert=cert, tls_key=key))
    with pytest.raises(ConfigError, match="No such file"):
        check_certificate(ServerConfig(tls_cert=cert, tls_key=tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match="both a certificate and its key"):
        ServerConfig(tls_key=key)
