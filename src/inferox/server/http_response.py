"""An answer of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.server.http_request import Send

JSON = "application/json"


@dataclass(frozen=True)
class HttpResponse:
    """An answer of HTTP.

    Attributes:
        body: What it holds.
        status: The status.
        content_type: What that is.
        headers: Further headers.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode_headers(self) -> list[tuple[bytes, bytes]]:
        """All of its headers, as ASGI has them."""
        headers = {"content-type": self.content_type, "content-length": str(len(self.body)), **self.headers}
        return [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()]

    async def write(self, send: Send) -> None:
        """Sends it.

        Args:
            send: Takes messages of ASGI.
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.encode_headers()})
        await send({"type": "http.response.body", "body": self.body})
