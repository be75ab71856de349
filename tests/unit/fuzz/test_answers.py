"""Whatever comes back over HTTP from those whom we ask: a verdict, or a reason, and nothing else."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from threading import Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from letsencrypt.directory import read_directory
from letsencrypt.health import Heartbeat, check_health
from letsencrypt.loadbalancer import LoadBalancer, NotThrough
from letsencrypt.receivers import NotTaken, Webhook
from letsencrypt.recovery import Outside
from letsencrypt.resolver import Resolver
from letsencrypt.webroot import ChallengeFolder
from tests.unit.fuzz.mangled import FEW, contents, is_survived
from tests.unit.letsencrypt.certificates import NOW

LONGEST_REASON = 300
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Served-By: letsencrypt\r\n\r\nnonce",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n",
    b"HTTP/1.0 429 \r\nRetry-After: 120\r\nReplay-Nonce: abc\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
)


class Server(ThreadingMixIn, TCPServer):
    """Gives every connection *content*, after it heard something."""

    daemon_threads = True
    content = b""


class Answering(BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        assert isinstance(self.server, Server)
        self.request.recv(65536)
        self.request.sendall(self.server.content)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all examples."""
    with Server(("127.0.0.1", 0), Answering) as made:
        thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield made
        made.shutdown()
        thread.join()
    gc.collect()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all that has to lie somewhere."""
    return tmp_path_factory.mktemp("answers")


class NoSleep:
    """Nobody waits."""

    stopping = False

    def wait(self, _timeout: float, /) -> frozenset[str]:
        """Return at once."""
        return frozenset()

    def ring(self, _reason: str, /) -> None:
        """Nobody hears it."""


def reason_of(send: Callable[[], None]) -> str:
    """Why that did not go through; empty if it did."""
    try:
        send()
    except (NotThrough, NotTaken) as refused:
        return str(refused)
    return ""


FOUND = b"HTTP/1.1 301 Moved\r\nLocation: \x80\r\n\r\n"
"""Broke the look whether a CA answers again, and with that the loop."""


# requests leaves the connection of a redirect to no URL to the garbage collector, which comes at the end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=FEW)
@given(content=st.sampled_from(ANSWERS) | contents(*ANSWERS))
@example(content=FOUND)
def test_who_is_asked_may_answer_anything(server: Server, folder: Path, content: bytes) -> None:
    """The load balancer, a webhook, the CA, and whoever has our health check's port."""
    server.content = content
    port = server.server_address[1]
    url = f"http://127.0.0.1:{port}/"
    heartbeat = Heartbeat(folder / "heartbeat")
    heartbeat.promise(None)
    balancer = LoadBalancer(f"127.0.0.1:{port}", ChallengeFolder(folder), NoSleep())
    outside = Outside(f"{url}directory", Resolver(()), lambda: NOW)

    is_survived(check_health, port, heartbeat)
    is_survived(read_directory, url, lambda: NOW)
    assert isinstance(outside.answers(url), bool)
    assert isinstance(outside.answers(outside.directory_url), bool)
    not_through = reason_of(lambda: balancer.probe("token", b"what nobody else can know"))
    webhook = Webhook(url, 1, 1, sleep=lambda _seconds: None)
    not_taken = reason_of(lambda: webhook.send({"text": "x"}))
    assert 0 < len(not_through) < LONGEST_REASON
    assert len(not_taken) < LONGEST_REASON
    assert str(port) not in not_taken, "nothing of the URL is ever said"
