"""A receiver of OTLP over HTTP, which decodes what it receives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class OtlpReceiver:
    """A receiver of traces on this machine.

    Attributes:
        url: Its address.
        spans: The spans that it has received.
        resources: The attributes of the senders.
        status: The status that it answers.
    """

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                if receiver.status == 200:
                    receiver.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, message: Any) -> None:
        for resource in message.resource_spans:
            self.resources.append(read_attributes(resource.resource))
            for scope in resource.scope_spans:
                assert scope.scope.name == "inferox"
                self.spans.extend(scope.spans)

    def named(self, name: str) -> list[Any]:
        """Returns the spans of a name."""
        return [span for span in self.spans if span.name == name]


def read_attributes(holder: Any) -> dict[str, Any]:
    """Reads the attributes of a span, or of a resource."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in holder.attributes}


@contextmanager
def receiving() -> Iterator[OtlpReceiver]:
    """Runs a receiver until the block ends."""
    receiver = OtlpReceiver()
    thread = Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
