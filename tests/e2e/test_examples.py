"""The examples that the README links, each beside the stack as somebody else's project."""

import base64
import shutil
import socket
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.e2e.stack import WORK, Project, Stack, running
from tests.waiting import until
from tests.websocket import answer_to

EXAMPLES = Path(__file__).parent / "examples"
HOST = "app.example.test"


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder with certificates of the operator's own."""
    folder = WORK / f"certificates-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    issued = CertificateAuthority().issue("elsewhere.example.test")
    (folder / "mine.pem").write_bytes(issued.bundle_pem)
    (folder / "mine.pem").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack(certificates: Path) -> Iterator[Stack]:
    """The proxy alone, for all examples."""
    with running(Path(__file__).parent / "compose.examples.yaml") as stack:
        stack.up("haproxy", "docker-gate", CUSTOM_CERTS=str(certificates))
        stack.until_docker_answers()
        yield stack


@contextmanager
def example(stack: Stack, name: str, path: str = "/", host: str = HOST) -> Iterator[Project]:
    """An example that runs and answers, until the block ends; nothing about it is worth a complaint."""
    with Project.running(EXAMPLES / f"{name}.yaml", PROXY_NETWORK=stack.project) as project:
        until(lambda: stack.http(host, path).status not in (0, 503), f"the example {name}")
        assert [problem for problem in stack.problems() if project.project in problem] == []
        yield project
    until(lambda: stack.http(host, path).status == 503, f"the end of the example {name}", within=120)


def test_one_app(stack: Stack) -> None:
    """Over HTTP and HTTPS."""
    with example(stack, "one-app"):
        assert stack.http(HOST, "/x").body == f"Hello from app: you asked for http://{HOST}/x\n"
        assert stack.https(HOST, "/x").body == f"Hello from app: you asked for https://{HOST}/x\n"


def test_several_apps(stack: Stack) -> None:
    """One host parted by path, the prefix cut off; another host by labels."""
    host = "shop.example.test"
    with example(stack, "several-apps", host=host):
        until(lambda: stack.http(host, "/api/x").body == f"Hello from api: you asked for http://{host}/x\n", "the api")
        assert stack.http(host, "/apix").body.startswith("Hello from site")
        until(lambda: stack.http("www.blog.example.test").body.startswith("Hello from blog"), "the blog")


def test_replicas(stack: Stack) -> None:
    """Each client stays with its container; all of them serve."""
    with example(stack, "replicas") as project:
        until(lambda: len({stack.http(HOST).body for _ in range(9)}) == 3, "three containers that answer")
        cookie = stack.http(HOST).headers["set-cookie"].partition(";")[0]
        assert len({stack.http(HOST, Cookie=cookie).body for _ in range(9)}) == 1
        worker = stack.worker()
        project.compose("up", "--detach", "--scale", "app=5", "--no-recreate")
        until(lambda: len({stack.http(HOST).body for _ in range(15)}) == 5, "five containers that answer")
        assert stack.worker() == worker


def test_websocket(stack: Stack) -> None:
    """Below a path that the application does not know of, in clear text and through TLS."""
    insecure = ssl._create_unverified_context()
    with example(stack, "websocket", "/chat/"):
        assert stack.http(HOST, "/chat/page").body == "A page at /page\n"
        for scheme, port, context in (("ws", stack.port(80), None), ("wss", stack.port(443), insecure)):
            answer = answer_to("hello", f"{scheme}://{HOST}/chat/api/socket", port, context)
            assert answer == "/api/socket heard: hello"


def test_own_certificate(stack: Stack) -> None:
    """Chosen by the name of its file, though it carries another host's name."""
    with example(stack, "own-certificate"):
        shown = stack.certificate(HOST).subject.rfc4514_string() + str(stack.certificate(HOST).extensions)
        assert "elsewhere.example.test" in shown
        assert stack.http(HOST).status == 301


def test_basic_auth(stack: Stack) -> None:
    """Nobody without the password, and the application sees none of them."""
    with example(stack, "basic-auth"):
        assert stack.https(HOST).status == 401
        known = "Basic " + base64.b64encode(b"ann:secret").decode()
        assert stack.https(HOST, Authorization=known).body.startswith("Hello from app")


def test_tcp_service(stack: Stack) -> None:
    """In clear text, and with TLS that HAProxy takes off."""
    insecure = ssl._create_unverified_context()
    with Project.running(EXAMPLES / "tcp-service.yaml", PROXY_NETWORK=stack.project):
        until(lambda: _said(stack.port(7000), None) == b"you said hello\n", "an echo")
        until(lambda: _said(stack.port(7001), insecure) == b"you said hello\n", "an echo through TLS")


def _said(port: int, context: ssl.SSLContext | None) -> bytes:
    """What comes back for one line; nothing while nobody is there yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            if context is None:
                connection.sendall(b"hello\n")
                return connection.recv(100)
            with context.wrap_socket(connection, server_hostname=HOST) as tls:
                tls.sendall(b"hello\n")
                return tls.recv(100)
    except OSError:
        return b""
