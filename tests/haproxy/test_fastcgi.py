"""A FastCGI application behind a real HAProxy (https://fastcgi-archives.github.io/FastCGI_Specification.html)."""

import socketserver
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.haproxy.proxy import Proxy
from tests.haproxy.worlds import service_with

_HEADER = struct.Struct("!BBHHBx")
_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6


class _Responder(socketserver.StreamRequestHandler):
    """Answers each request with the parameters that it got."""

    def handle(self) -> None:
        """Requests of one connection, until it is closed."""
        params = b""
        while header := self.rfile.read(_HEADER.size):
            _, kind, request, length, padding = _HEADER.unpack(header)
            content = self.rfile.read(length)
            self.rfile.read(padding)
            if kind == _BEGIN:
                params = b""
            elif kind == _PARAMS:
                params += content
            elif kind == _STDIN and not content:
                body = "\n".join(f"{name}={value}" for name, value in sorted(_pairs(params)))
                self._send(request, _STDOUT, f"Content-Type: text/plain\r\n\r\n{body}".encode())
                self._send(request, _STDOUT, b"")
                self._send(request, _END, bytes(8))

    def _send(self, request: int, kind: int, content: bytes) -> None:
        self.wfile.write(_HEADER.pack(1, kind, request, len(content), 0) + content)


def _pairs(params: bytes) -> Iterator[tuple[str, str]]:
    while params:
        lengths = []
        for _ in range(2):
            wide = params[0] >> 7
            lengths.append(struct.unpack("!I", params[:4])[0] & 0x7FFFFFFF if wide else params[0])
            params = params[4 if wide else 1 :]
        name, value, params = params[: lengths[0]], params[lengths[0] : sum(lengths)], params[sum(lengths) :]
        yield name.decode(), value.decode()


@pytest.fixture
def responder() -> Iterator[int]:
    """The port of a FastCGI application."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), _Responder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_scripts_are_named_as_fastcgi_wants(proxy: Proxy, responder: int) -> None:
    """The folder of VIRTUAL_ROOT before the path; what follows the script is its path information."""
    told = {"VIRTUAL_HOST": "a.test", "VIRTUAL_PROTO": "fastcgi", "VIRTUAL_ROOT": "/srv/app"}
    proxy.serve(service_with("php", responder, **told))
    assert proxy.look_until_calm().problems == ()
    answer = proxy.plain("a.test", "/x.php/more?y=1")
    seen = dict(line.partition("=")[::2] for line in answer.body.decode().splitlines())
    assert answer.status == 200
    assert seen["SCRIPT_FILENAME"] == "/srv/app/x.php"
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/more", "y=1")
    answer = proxy.plain("a.test", "/")
    assert "SCRIPT_FILENAME=/srv/app/index.php" in answer.body.decode()
