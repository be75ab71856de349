"""A Docker engine that is made up: its API on a Unix socket, with the faults that a real one may have."""

import contextlib
import json
import queue
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from proxy_agent.containers import own_container_id

Fault = Literal["", "slow", "hanging", "garbage", "half", "error"]
NETWORK = "f" * 64
_SLOW = 2.0
_GARBAGE = (
    b"<html>502 Bad Gateway</html>",
    b"\xff\xfe\x00",
    b"",
    b"null",
    b"{}",
    b'"yes"',
    b"[1, 2]",
    b"[null]",
    b"[{}]",
    b'[{"Id": null}]',
    b'[{"Id": "0", "Labels": 3, "NetworkSettings": []}]',
    b'[{"Id": "%s", "Names": 1, "NetworkSettings": {"Networks": [1]}}]' % own_container_id().encode(),
)


@dataclass(frozen=True)
class Box:
    """One container."""

    name: str
    address: str
    port: int
    environment: Mapping[str, str]
    service: str = ""
    identifier: str = ""
    created: int = 0

    def listed(self) -> dict[str, Any]:
        """As ``GET /containers/json`` has it."""
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": self.service}
        return {
            "Id": self.identifier,
            "Names": [f"/{self.name}"],
            "Created": self.created,
            "State": "running",
            "Status": "Up 2 hours",
            "Labels": {**labels, "com.docker.compose.container-number": "1"} if self.service else {},
            "HostConfig": {"NetworkMode": "proxy"},
            "NetworkSettings": {"Networks": {"proxy": {"NetworkID": NETWORK, "IPAddress": self.address}}},
        }

    def inspected(self) -> dict[str, Any]:
        """As ``GET /containers/ID/json`` has it."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        config = {"Env": variables, "Labels": self.listed()["Labels"], "ExposedPorts": {f"{self.port}/tcp": {}}}
        return {"Id": self.identifier, "Config": config}


@dataclass
class Engine:
    """The containers of the host, HAProxy's own among them, and who listens to events."""

    path: Path
    fault: Fault = ""
    boxes: dict[str, Box] = field(default_factory=dict)
    """By id."""
    history: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    """Requests so far."""
    listed: int = 0
    """Of those, the ones for all containers: each look of the agent has one."""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.followers: set[queue.SimpleQueue[bytes | None]] = set()
        self.relieved = threading.Event()
        """Set when a fault is over: whoever hangs in it goes on."""
        self._server: _Server | None = None

    def open(self) -> None:
        """Answer on the socket, as a daemon that was started."""
        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Be gone, and take the streams of events along."""
        server, self._server = self._server, None
        self.relieved.set()
        self.end_streams()
        if server:
            server.shutdown()
            server.server_close()
            server.cut()

    def end_streams(self) -> None:
        """End all streams of events."""
        with self.lock:
            for follower in self.followers:
                follower.put(None)

    @contextlib.contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Have a fault until the block ends."""
        self.relieved.clear()
        self.fault = fault
        self.end_streams()
        try:
            yield
        finally:
            self.fault = ""
            self.relieved.set()
            self.end_streams()

    def add(self, box: Box) -> None:
        """Start a container."""
        with self.lock:
            self.boxes = {**self.boxes, box.identifier: box}
        self.tell("start", box.identifier)

    def remove(self, identifier: str) -> None:
        """A container ended and is listed no more."""
        with self.lock:
            self.boxes = {key: value for key, value in self.boxes.items() if key != identifier}
        self.tell("die", identifier)

    def tell(self, action: str, identifier: str, **attributes: str) -> None:
        """Have all who listen hear of an event."""
        event = {
            "Type": "container",
            "Action": action,
            "Actor": {"ID": identifier, "Attributes": attributes},
            "time": int(time.time()),
        }
        with self.lock:
            self.history = [*self.history[-200:], event]
            for follower in self.followers:
                follower.put(json.dumps(event).encode() + b"\n")

    def listing(self) -> list[dict[str, Any]]:
        """All containers, HAProxy's own first."""
        own = Box("haproxy", "127.0.0.2", 80, {}, identifier=own_container_id().ljust(64, "0"))
        return [box.listed() for box in (own, *self.boxes.values())]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: str, engine: Engine) -> None:
        super().__init__(path, _Handler)
        self.engine = engine
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember who is connected."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """And forget it."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End all connections, as the end of a process does."""
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Whoever asks may hang up: the gate is killed in some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        """Nobody has one on a Unix socket."""
        return ""

    def log_message(self, *_: Any) -> None:
        """Tests look at the agent, not at this."""

    def do_GET(self) -> None:
        """Answer, or fail as told."""
        engine, url = self.server.engine, urlsplit(self.path)
        engine.asked += 1
        words = url.path.strip("/").split("/")
        words = words[1:] if words[0].startswith("v1.") else words
        match engine.fault:
            case "hanging":
                engine.relieved.wait()
                self.close_connection = True
            case "error":
                self._send(b'{"message": "layer does not exist"}', 500)
            # Who asks for the version first is let in, to hear the rest.
            case "garbage" if words != ["version"] or engine.asked % 4 == 0:
                self._send(_GARBAGE[engine.asked % len(_GARBAGE)])
            case _:
                engine.relieved.wait(_SLOW if engine.fault == "slow" else 0)
                self._answer(words, url.query, half=engine.fault == "half")

    def _answer(self, words: list[str], query: str, half: bool) -> None:
        engine = self.server.engine
        match words:
            case ["version"]:
                self._send(b'{"ApiVersion": "1.47", "MinAPIVersion": "1.24"}')
            case ["containers", "json"]:
                engine.listed += 1
                self._send(json.dumps(engine.listing()).encode(), half=half)
            case ["containers", identifier, "json"] if identifier in engine.boxes:
                inspected = json.dumps(engine.boxes[identifier].inspected()).encode()
                self._send(inspected, half=half)
            case ["events"]:
                self._stream(float(parse_qs(query).get("since", ["inf"])[0]))
            case _:
                self._send(b'{"message": "No such container"}', 404)

    def _send(self, body: bytes, status: int = 200, half: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.close_connection = self.close_connection or half

    def _stream(self, since: float) -> None:
        """Events as they come, and those from *since* on before them; until somebody ends it."""
        engine = self.server.engine
        follower: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with engine.lock:
            for event in engine.history:
                if event["time"] >= since:
                    follower.put(json.dumps(event).encode() + b"\n")
            engine.followers.add(follower)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            while (line := follower.get()) is not None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            with engine.lock:
                engine.followers.discard(follower)
