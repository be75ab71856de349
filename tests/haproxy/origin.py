"""A web server behind the proxy, which answers with what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Origin:
    """A running web server, which can be made to take its time."""

    name: str
    port: int
    held: threading.Semaphore
    """Taken by each request for /hold..., which is not answered before..."""
    release: threading.Event
    """...this is set."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        """Answer with everything that arrived."""
        origin = self.server.origin
        if self.path.startswith("/hold"):
            origin.held.release()
            origin.release.wait()
        length = int(self.headers.get("Content-Length") or 0)
        read = 0
        while read < length and (piece := self.rfile.read(min(1 << 16, length - read))):
            read += len(piece)
        received = {
            "origin": origin.name,
            "method": self.command,
            "path": self.path,
            "headers": [(name.lower(), value) for name, value in self.headers.items()],
        }
        body = json.dumps(received).encode()
        self.send_response(500 if self.path == "/sick" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Body-Length", str(read))
        if self.path == "/insists":
            self.send_header("Strict-Transport-Security", "max-age=7")
        self.end_headers()
        self.wfile.write(body)

    do_TRACE = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Tests look at answers, not at this."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    origin: Origin

    def handle_error(self, *_: Any) -> None:
        """A proxy that ends with a test hangs up on us; nobody needs to read about it."""


@contextmanager
def serving(name: str) -> Iterator[Origin]:
    """An origin on an ephemeral loopback port, until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.origin = Origin(name, server.server_address[1], threading.Semaphore(0), threading.Event())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.origin
        finally:
            server.origin.release.set()
            server.shutdown()
            thread.join()
