"""The challenge server: hands the files that certbot writes to the CA, and nothing else to anybody (RFC 8555 8.3)."""

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waitress.server import BaseWSGIServer, create_server

from proxy_agent.daemon.errors import OperationalError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CHALLENGE_PATH = "/.well-known/acme-challenge/"
SERVED_BY = ("X-Served-By", "letsencrypt")
"""On every answer, so that whoever probes can tell a token we do not know from somebody else's server."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""The base64url alphabet (RFC 8555 section 8.3): no dot, no slash, hence no way out of the folder."""


class ChallengeFolder:
    """The folder below the webroot where certbot and the probe of the load balancer put their tokens."""

    def __init__(self, webroot: Path) -> None:
        self.path = webroot / CHALLENGE_PATH.strip("/")

    def prepare(self) -> None:
        """Make the folder and sweep what a killed run left; only while no certbot runs.

        certbot removes the folder when it is done if it had to make it, under the feet of whoever uses it then
        (certbot/_internal/plugins/webroot.py).
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for token in self.path.iterdir():
                token.unlink()
        except OSError as error:
            raise OperationalError(f"Cannot prepare the webroot {self.path}: {error.strerror}.") from error

    def read(self, token: str) -> bytes | None:
        """The content of *token*; None if there is none."""
        path = self.path / token
        if not _TOKEN.fullmatch(token) or path.is_symlink():
            return None
        try:
            return path.read_bytes()
        except OSError:
            return None

    @contextmanager
    def offering(self, token: str, content: bytes) -> Iterator[None]:
        """Serve *content* under *token* for a while."""
        path = self.path / token
        try:
            path.write_bytes(content)
        except OSError as error:
            raise OperationalError(f"Cannot write {path}: {error.strerror}.") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


class ChallengeApp:
    """The WSGI application (PEP 3333) in front of the folder."""

    def __init__(self, folder: ChallengeFolder) -> None:
        self._folder = folder

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request; the body of a HEAD request is left out by the server."""
        status, body = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), SERVED_BY]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, method: str, path: str) -> tuple[HTTPStatus, bytes]:
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET and HEAD are answered.\n"
        content = self._folder.read(path.removeprefix(CHALLENGE_PATH)) if path.startswith(CHALLENGE_PATH) else None
        if content is None:
            return HTTPStatus.NOT_FOUND, b"There is no such challenge.\n"
        return HTTPStatus.OK, content


class ChallengeServer:
    """waitress in a thread of its own; the socket listens once this exists, so the kernel queues early requests."""

    def __init__(self, folder: ChallengeFolder, port: int) -> None:
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        server = create_server(ChallengeApp(folder), sockets=[self._socket], ident="", threads=4)
        assert isinstance(server, BaseWSGIServer), "several sockets would make another kind of server"
        self._server = server
        self._thread = threading.Thread(target=server.run, name="challenge-server", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; those that are open end with the process."""
        # First the answers under way: a worker that ends later would wake a server whose sockets are closed.
        self._server.task_dispatcher.shutdown()
        # In the server's own thread, because closing a socket that another thread selects on is a race; and under the
        # lock, because that thread may be awake already, and would close the trigger before it is pulled.
        trigger: Any = self._server.trigger  # the stubs take it for a number
        with trigger.lock:
            trigger.thunks.append(self._server.close)
            trigger.pull_trigger()
        self._thread.join(timeout=2)


def _listen(port: int) -> socket.socket:
    """On every address of the container, by IPv6 too where the kernel has it."""
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("0.0.0.0", port))
    except OSError as error:
        raise OperationalError(f"The challenge server cannot listen on port {port}: {error.strerror}.") from error
