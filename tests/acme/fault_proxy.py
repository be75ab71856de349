"""Between certbot and Pebble: a TLS reverse proxy that passes everything on, but for the faults that a test plans.

It keeps the Host header, of which Pebble makes its URLs, so that what certbot signs is what Pebble expects.
"""

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.acme.pebble import LOOPBACK, Authority
from tests.ports import free_port

LONGEST_HANG = 60.0
"""Seconds; whoever waits longer than that has no limit of its own."""
_GARBAGE = b"<html><body>Welcome to the hotel. Please log in.</body></html>"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Endpoint(StrEnum):
    """The resources of an ACME server (RFC 8555 section 7.1), by where Pebble has them."""

    DIRECTORY = "/dir"
    NONCE = "/nonce-plz"
    ACCOUNT = "/sign-me-up"
    ORDER = "/order-plz"
    AUTHORIZATION = "/authZ/"
    CHALLENGE = "/chalZ/"
    FINALIZE = "/finalize-order/"
    ORDER_POLL = "/my-order/"
    CERTIFICATE = "/certZ/"
    RENEWAL_INFO = "/draft-ietf-acme-ari-03/renewalInfo/"
    OTHER = ""


def endpoint_of(path: str) -> Endpoint:
    """Which of them *path* belongs to."""
    return next(each for each in Endpoint if path.startswith(each.value))


@dataclass(frozen=True)
class Seen:
    """One request that came, and whether it was answered by Pebble itself."""

    method: str
    endpoint: Endpoint
    passed_on: bool = True


class Mode(StrEnum):
    """What a fault does with a request."""

    REPLY = "reply"
    """Answers itself."""
    RESET = "reset"
    """Ends the connection with RST."""
    HANG = "hang"
    """Says nothing, until the fault is over."""
    DELAY = "delay"
    """Passes it on late."""
    LOSE = "lose"
    """Passes it on, and ends the connection in place of the answer."""
    GARBAGE = "garbage"
    """Answers with what is no ACME."""


@dataclass
class Fault:
    """What happens to requests at *endpoint*, all of them or so many as *times*."""

    endpoint: Endpoint
    mode: Mode
    times: int | None = None
    method: str = ""
    """Where only such requests are meant."""
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Of a delay."""
    over: threading.Event = field(default_factory=threading.Event)

    def takes(self, method: str, endpoint: Endpoint) -> bool:
        """Whether this request is one of its own; it has one fewer then."""
        if self.over.is_set() or endpoint is not self.endpoint or self.method not in ("", method):
            return False
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0


class FaultProxy:
    """Listens in threads of its own, until closed."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.port = free_port()
        self.seen: list[Seen] = []
        self.watch: Callable[[Seen], None] = lambda _seen: None
        """Called for each request after Pebble has done what it says, and before whoever asked learns of it."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, self.port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fault proxy", daemon=True).start()

    @property
    def directory(self) -> str:
        """The directory URL at this proxy."""
        return f"https://{self.host}/dir"

    @property
    def host(self) -> str:
        """Its name in log lines."""
        return f"{LOOPBACK}:{self.port}"

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Faults that last as long as the block, or until each is over."""
        with self._lock:
            self._faults.extend(faults)
        try:
            yield
        finally:
            with self._lock:
                self._faults = [fault for fault in self._faults if fault not in faults]
            for fault in faults:
                fault.over.set()

    def fault_of(self, method: str, endpoint: Endpoint) -> Fault | None:
        """The one that meets this request, which is noted."""
        with self._lock:
            fault = next((each for each in self._faults if each.takes(method, endpoint)), None)
            self.seen.append(Seen(method, endpoint, fault is None or fault.mode is Mode.DELAY))
            return fault

    def count(self, endpoint: Endpoint, method: str = "") -> int:
        """How many requests came to *endpoint*, of that *method* if one is given."""
        return sum(seen.endpoint is endpoint and method in ("", seen.method) for seen in tuple(self.seen))

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """One thread for each connection, which none of the tests waits for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy
        trust = proxy.authority.trust
        self.inwards = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.inwards.load_cert_chain(trust.certificate, trust.key)
        self.outwards = ssl.create_default_context(cafile=str(trust.root))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake belongs to the connection's own thread: whoever is slow at it keeps nobody."""
        with suppress(OSError):
            request.settimeout(LONGEST_HANG)
            with self.inwards.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up was killed by a test."""


class _Handler(BaseHTTPRequestHandler):
    """Passes on what comes by one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One request."""
        proxy, endpoint = self.server.proxy, endpoint_of(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = proxy.fault_of(self.command, endpoint)
        match fault.mode if fault else None:
            case Mode.RESET:
                self._reset()
            case Mode.HANG if fault:
                fault.over.wait(LONGEST_HANG)
                self._reset()
            case Mode.LOSE:
                self._ask(self.command, self.path, body)
                self._reset()
            case Mode.GARBAGE:
                self._reply(200, {"Content-Type": "text/html"}, _GARBAGE)
            case Mode.REPLY if fault:
                self._reply(fault.status, {**fault.headers, **self._nonce()}, fault.body)
            case _:
                if fault:
                    fault.over.wait(fault.seconds)
                self._pass_on(body, Seen(self.command, endpoint))

    do_POST = do_HEAD = do_GET  # noqa: N815 - names of the standard library

    def _pass_on(self, body: bytes, seen: Seen) -> None:
        status, headers, content = self._ask(self.command, self.path, body)
        self.server.proxy.watch(seen)
        self._reply(status, headers, content)

    def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """What Pebble says."""
        authority = self.server.proxy.authority
        upstream = http.client.HTTPSConnection(LOOPBACK, authority.port, timeout=30, context=self.server.outwards)
        try:
            upstream.request(method, path, body or None, {**dict(self.headers), "Connection": "close"})
            with upstream.getresponse() as response:
                headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
                return response.status, headers, response.read()
        finally:
            upstream.close()

    def _nonce(self) -> dict[str, str]:
        """A fresh one of Pebble's, as an error brings along, too (RFC 8555 section 6.5)."""
        _, headers, _ = self._ask("HEAD", Endpoint.NONCE.value)
        return {name: value for name, value in headers.items() if name.lower() == "replay-nonce"}

    def _reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for each in (self.rfile, self.wfile, self.connection):
            each.close()
        self.close_connection = True

    def log_message(self, *_words: object) -> None:
        """Say nothing: the list of what was seen tells it."""
