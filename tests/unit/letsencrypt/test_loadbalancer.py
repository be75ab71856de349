"""The wait for the load balancer: what proves it, what does not, and what is said about it."""

import http.server
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from letsencrypt.loadbalancer import LoadBalancer, NotThrough
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from tests.ports import free_port


class Sleep:
    """A sleep that takes no time and counts; *at_sleep* is what happens meanwhile."""

    def __init__(self, at_sleep: Callable[[int], None] = lambda _count: None) -> None:
        self.count = 0
        self.stopping = False
        self.rung: list[str] = []
        self._at_sleep = at_sleep

    def ring(self, reason: str) -> None:
        """For the next sleep."""
        self.rung.append(reason)

    def wait(self, timeout: float) -> frozenset[str]:
        """Return at once."""
        assert 0 < timeout <= 5
        self.count += 1
        self._at_sleep(self.count)
        rung, self.rung = self.rung, []
        return frozenset(rung)


@pytest.fixture
def folder(tmp_path: Path) -> ChallengeFolder:
    """An empty challenge folder."""
    made = ChallengeFolder(tmp_path)
    made.prepare()
    return made


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[int]:
    """A web server that gives everybody the same answer; its port."""

    class Same(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def challenge_server(folder: ChallengeFolder) -> Iterator[int]:
    """A load balancer that passes on what it should: the challenge server itself."""
    server = ChallengeServer(folder, 0)
    server.start()
    yield server.port
    server.stop()


def reason(folder: ChallengeFolder, service: str) -> str:
    """Why *service* does not let the token through."""
    with pytest.raises(NotThrough) as caught:
        LoadBalancer(service, folder, Sleep()).probe("probe-1", b"nonce")
    return str(caught.value)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we said: on a busy machine waitress has something to say too, which the container does not log."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("letsencrypt.")]


def test_a_token_that_comes_back_is_the_proof(folder: ChallengeFolder, caplog: pytest.LogCaptureFixture) -> None:
    """Where the token comes back the wait is over at once, one line says so, and nothing is left behind."""
    caplog.set_level(logging.INFO)
    with challenge_server(folder) as port:
        balancer = LoadBalancer(f"127.0.0.1:{port}", folder, Sleep())
        assert balancer.wait()
        assert balancer.wait()

    assert said(caplog) == [f"The load balancer 127.0.0.1:{port} passes challenges on."]
    assert list(folder.path.iterdir()) == []


def test_a_redirect_is_no_proof(folder: ChallengeFolder) -> None:
    """A load balancer that redirects the challenge path is told apart from one that is down."""
    with answering(301, Location="https://elsewhere.example/x") as port:
        assert "redirects /.well-known/acme-challenge/ to 'https://elsewhere.example/x'" in reason(
            folder, f"127.0.0.1:{port}"
        )


def test_an_open_port_is_no_proof(folder: ChallengeFolder) -> None:
    """Neither an error page nor a friendly one from somewhere else will do."""
    with answering(503) as port:
        assert "with the status 503" in reason(folder, f"127.0.0.1:{port}")
    with answering(200, b"Welcome to nginx!") as port:
        assert "another server answers" in reason(folder, f"127.0.0.1:{port}")
    with answering(200, b"nonce and more") as port:
        assert "another server answers" in reason(folder, f"127.0.0.1:{port}")
    with answering(404, X_Served_By="letsencrypt") as port:
        assert "another letsencrypt container" in reason(folder, f"127.0.0.1:{port}")


def test_a_port_that_speaks_no_http_is_no_proof(folder: ChallengeFolder) -> None:
    """Nor does a server that hangs up, or nobody at all; each has its own reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        closing = threading.Thread(target=hang_up)
        closing.start()
        assert f"its port {port} cannot be reached" in reason(folder, f"127.0.0.1:{port}")
        closing.join()
    assert "Connection refused" in reason(folder, f"127.0.0.1:{port}")
    assert reason(folder, "no-such-host.invalid") == "no container has the name no-such-host.invalid"


def test_what_is_waited_for_is_said_once(folder: ChallengeFolder, caplog: pytest.LogCaptureFixture) -> None:
    """However long it takes, there is one line for each reason, and one when the way is open."""
    caplog.set_level(logging.INFO)
    with answering(503) as port:
        balancer = LoadBalancer(f"127.0.0.1:{port}", folder, Sleep())
        assert not balancer.wait()
        assert not balancer.wait()
    assert not balancer.wait()

    name = f"127.0.0.1:{port}"
    assert said(caplog) == [
        f"Waiting for the load balancer {name} to pass challenges on: "
        "it answers /.well-known/acme-challenge/ with the status 503.",
        f"Waiting for the load balancer {name} to pass challenges on: "
        f"its port {port} cannot be reached: Connection refused.",
    ]


def test_the_wait_goes_on_until_the_way_opens(folder: ChallengeFolder, caplog: pytest.LogCaptureFixture) -> None:
    """A load balancer that comes up later is noticed within the same wait."""
    caplog.set_level(logging.INFO)
    port = free_port()
    servers: list[ChallengeServer] = []

    def come_up(count: int) -> None:
        if count == 3:
            servers.append(ChallengeServer(folder, port))
            servers[0].start()

    assert LoadBalancer(f"127.0.0.1:{port}", folder, Sleep(come_up)).wait()
    servers[0].stop()
    assert said(caplog)[-1] == f"The load balancer 127.0.0.1:{port} passes challenges on."
    assert len(said(caplog)) == 2


def test_a_stop_ends_the_wait(folder: ChallengeFolder) -> None:
    """Nobody is probed, and nothing slept, once the container has to stop."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    sleep = Sleep()

    def stop(_count: int) -> None:
        sleep.stopping = True

    sleep = Sleep(stop)
    assert not LoadBalancer(f"127.0.0.1:{port}", folder, sleep).wait()
    assert sleep.count == 1


def test_what_rings_meanwhile_is_heard_afterwards(folder: ChallengeFolder) -> None:
    """An operator's SIGHUP ends one pause and is not lost by that: whoever sleeps next learns of it."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]

    def ring(count: int) -> None:
        if count == 2:
            sleep.ring("SIGHUP")

    sleep = Sleep(ring)
    assert not LoadBalancer(f"127.0.0.1:{port}", folder, sleep).wait()
    assert sleep.count > 2
    assert sleep.rung == ["SIGHUP"]


def test_a_load_balancer_may_expect_the_proxy_protocol(folder: ChallengeFolder) -> None:
    """It hangs up on the first try; the next begin with the line that it waits for."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def expect_the_protocol() -> None:
            for _ in range(3):
                with listener.accept()[0] as connection, connection.makefile("rb") as lines:
                    seen.append(lines.readline())
                    for _ in iter(lines.readline, b"\r\n"):
                        pass
                    if seen[-1].startswith(b"PROXY "):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnonce")

        serving = threading.Thread(target=expect_the_protocol)
        serving.start()
        balancer = LoadBalancer(f"127.0.0.1:{port}", folder, Sleep())
        balancer.probe("probe-1", b"nonce")
        balancer.probe("probe-2", b"nonce")
        serving.join()
    assert [line.partition(b" ")[0] for line in seen] == [b"GET", b"PROXY", b"PROXY"]
