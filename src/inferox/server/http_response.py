"""An HTTP response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.server.http_request import Send

JSON = "application/json"


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response.

    Attributes:
        body: The body.
        status: The status.
        content_type: The content type of the body.
        headers: Further headers.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode_headers(self) -> list[tuple[bytes, bytes]]:
        """Returns all headers, encoded for ASGI."""
        headers = {"content-type": self.content_type, "content-length": str(len(self.body)), **self.headers}
        return [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()]

    async def write(self, send: Send) -> None:
        """Sends the response.

        Args:
            send: Sends ASGI messages.
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.encode_headers()})
        await send({"type": "http.response.body", "body": self.body})
