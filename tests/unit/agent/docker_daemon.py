"""A stand-in for the Docker daemon on a Unix socket: lists, inspects and streams events as a test tells it."""

import json
import queue
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs

from tests import serving

_PAUSE = threading.Event()
VERSION = {"ApiVersion": "1.47", "MinAPIVersion": "1.24"}
_CONTAINER = re.compile(r"/containers/([^/]+)/json")
_NETWORK = re.compile(r"/networks/id-of-([^/]+)")


class Daemon:
    """What the daemon knows, and how it misbehaves."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.listed: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.internal: set[str] = set()
        """Networks that lead nowhere else."""
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        """Status and body in place of the right ones, by path."""
        self.hangs = threading.Event()
        """Set: whoever asks waits for an answer until it is cleared."""
        self.events: queue.SimpleQueue[dict[str, Any] | bytes | None] = queue.SimpleQueue()
        """What the stream of events delivers, as it is if it is bytes; None ends it."""

    def run(
        self,
        number: int,
        name: str,
        networks: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        environment: tuple[str, ...] = (),
        ports: tuple[str, ...] = (),
        mode: str = "default",
        state: str = "running",
        **config: Any,
    ) -> str:
        """Start a container; its id. *config* is what inspecting it adds."""
        identifier = f"{number:064x}"
        attached = {} if networks is None else dict(networks)
        self.listed[identifier] = {
            "Id": identifier,
            "Names": [f"/{name}"],
            "Labels": dict(labels or {}),
            "State": state,
            "Status": "Up 5 seconds",
            "HostConfig": {"NetworkMode": mode},
            "NetworkSettings": {
                "Networks": {
                    network: {
                        "NetworkID": f"id-of-{network}",
                        "IPAddress": address,
                        "GlobalIPv6Address": "",
                        "Gateway": f"{address.rpartition('.')[0]}.1" if address else "",
                    }
                    for network, address in attached.items()
                }
            },
        }
        self.configs[identifier] = {
            "Env": list(environment),
            "Labels": dict(labels or {}),
            "ExposedPorts": {port: {} for port in ports},
            **config,
        }
        return identifier

    def answer(self, path: str, filters: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body for a path without its version; of filters it knows the id and the name."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/version":
            return 200, json.dumps(VERSION).encode()
        if path == "/containers/json":
            entries = [entry for entry in self.listed.values() if _fits(entry, filters)]
            return 200, json.dumps(entries).encode()
        if network := _NETWORK.fullmatch(path):
            return 200, json.dumps({"Internal": network[1] in self.internal}).encode()
        inspected = _CONTAINER.fullmatch(path)
        if inspected and inspected[1] in self.configs:
            return 200, json.dumps({"Id": inspected[1], "Config": self.configs[inspected[1]]}).encode()
        return 404, b'{"message": "No such container"}'


def _fits(entry: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    ids, names = filters.get("id", []), filters.get("name", [])
    by_id = not ids or any(entry["Id"].startswith(one) for one in ids)
    return by_id and (not names or any(one in name for one in names for name in entry["Names"]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        """Answer, or stream."""
        path, _, query = self.path.partition("?")
        path = re.sub(r"^/v[0-9.]+", "", path)
        while self.server.daemon.hangs.is_set():
            _PAUSE.wait(0.01)
        if path == "/events":
            self._stream()
            return
        filters = json.loads(parse_qs(query).get("filters", ["{}"])[0])
        status, body = self.server.daemon.answer(path, filters)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.server.daemon.asked.append(self.path)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        while (event := self.server.daemon.events.get()) is not None:
            line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """A Unix socket's client has no address to write down."""


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 16

    def handle_error(self, *_: Any) -> None:
        """Whoever was kept waiting may have hung up."""

    def __init__(self, path: Path, daemon: Daemon) -> None:
        self.daemon = daemon
        super().__init__(str(path), _Handler)


def start(path: Path) -> tuple[Daemon, Callable[[], None]]:
    """A daemon that listens on *path*, and what stops it."""
    daemon = Daemon(f"unix://{path}")
    return daemon, serving.start(_Server(path, daemon))
