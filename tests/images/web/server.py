"""A web application that says who it is and what it was asked, for people (/) and for tests (/json)."""

import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Application(BaseHTTPRequestHandler):
    """Answers every path and method alike."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Describe the request."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path.startswith("/json"):
            content_type = "application/json"
            asked = {"container": NAME, "method": self.command, "path": self.path, "headers": headers}
            body = json.dumps(asked)
        else:
            content_type = "text/plain"
            scheme = headers.get("x-forwarded-proto", "http")
            body = f"Hello from {NAME}: you asked for {scheme}://{headers.get('host')}{self.path}\n"
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815 - the name that the base class calls

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the proxy logs what matters."""


def stop(*_: Any) -> None:
    """End at once, or serve for LINGER seconds more, as an application does that finishes what it has begun."""
    threading.Timer(float(os.environ.get("LINGER") or 0), os._exit, [0]).start()


NAME = os.environ.get("NAME") or socket.gethostname()

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    ThreadingHTTPServer(("", int(os.environ.get("PORT") or "8000")), Application).serve_forever()
