"""The whole stack under Docker Compose, as a test drives it: commands, logs, and clients that verify."""

import json
import os
import socket
import ssl
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Self

from cryptography import x509

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "e2e"
"""Below the repository: what is mounted into a container must have the same path for the engine."""
LIMIT = 180.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    """0 where there was none: nobody listens yet, or the connection ended early."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: str


class Project:
    """One project of Docker Compose, under a name that nobody else has."""

    def __init__(self, *files: Path, **environment: str) -> None:
        self.project = f"companion-e2e-{uuid.uuid4().hex[:8]}"
        self.environment = environment
        self._files = files

    @classmethod
    @contextmanager
    def running(cls, *files: Path, **environment: str) -> Iterator[Self]:
        """All its services, removed with everything they made, whatever happens in between."""
        project = cls(*files, **environment)
        try:
            project.up()
            yield project
        finally:
            project.down(volumes=True)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run ``docker compose`` on this project; its standard output. Fails with all it said."""
        files = [word for file in self._files for word in ("-f", str(file))]
        command = ["docker", "compose", "--progress", "quiet", "-p", self.project, *files, *arguments]
        return self._run(command, check)

    def docker(self, *arguments: str) -> str:
        """Run ``docker`` past Compose; its standard output."""
        return self._run(["docker", *arguments], check=True)

    def _run(self, command: list[str], check: bool) -> str:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
        outcome = subprocess.run(
            command, env=inherited | self.environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert not check or outcome.returncode == 0, f"{' '.join(command)}\n{outcome.stdout}{outcome.stderr}"
        return outcome.stdout

    def scale(self, service: str, number: int) -> list[str]:
        """Have so many containers of a service, those that are there left as they are; their ids, oldest first."""
        self.compose("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"{service}={number}", service)
        return self.replicas(service)

    def replicas(self, service: str) -> list[str]:
        """The ids of a service's running containers, oldest first."""
        ids = self.compose("ps", "--quiet", service).split()
        made = self.docker("inspect", "--format", "{{.Created}} {{.Id}}", *ids) if ids else ""
        return [line.split()[1] for line in sorted(made.splitlines())]

    def kill(self, service: str) -> None:
        """``kill -9`` of its only container's first process, from outside: to Docker it died, and nobody stopped it."""
        (identifier,) = self.replicas(service)
        process, image = self.docker("inspect", "--format", "{{.State.Pid}} {{.Image}}", identifier).split()
        outside = ("--rm", "--pid", "host", "--network", "none", "--user", "0:0", "--entrypoint", "sh")
        self.docker("run", *outside, image, "-c", f"kill -9 {process}")

    def up(self, *services: str, **environment: str) -> None:
        """Start *services* (all, if none is named) with further variables, as an operator would."""
        self.environment |= environment
        self.compose("up", "--detach", *services)

    def down(self, volumes: bool = False) -> None:
        """Remove the containers and networks, and the volumes if asked."""
        self.compose("down", "--timeout", "20", "--remove-orphans", *(["--volumes"] if volumes else []))


class Stack(Project):
    """The stack itself, with a network of its own, so that tests run side by side."""

    def __init__(self, *files: Path) -> None:
        super().__init__(ROOT / "compose.yaml", *files)
        self.environment["PROXY_NETWORK"] = self.project

    def run_in(self, service: str, *command: str, check: bool = True) -> str:
        """The output of a command inside a running container."""
        return self.compose("exec", "-T", service, *command, check=check)

    def log(self, *services: str) -> str:
        """Everything that *services* have said so far."""
        return self.compose("logs", "--no-color", "--no-log-prefix", *services)

    def story(self) -> str:
        """For whoever has to find out why a test failed: what there is, and the last lines of each."""
        logs = self.compose("logs", "--no-color", "--timestamps", "--tail", "60", check=False)
        return f"{self.compose('ps', '--all', check=False)}\n{logs}"

    def port(self, port: int) -> int:
        """Where HAProxy's *port* is published on the loopback interface."""
        return int(self.compose("port", "haproxy", str(port)).strip().rpartition(":")[2])

    def status(self) -> dict[str, object]:
        """What ``companion status --json`` says."""
        status: dict[str, object] = json.loads(self.run_in("haproxy", "companion", "status", "--json"))
        return status

    def until_docker_answers(self) -> None:
        """Wait until the agent has seen all containers."""
        until(lambda: "Docker last answered" in self.run_in("haproxy", "companion", "status", check=False), "Docker")

    def problems(self) -> list[str]:
        """What the agent says is wrong; containers of other stacks on this machine may be among it."""
        problems = self.status()["problems"]
        assert isinstance(problems, list)
        return problems

    def worker(self) -> int:
        """The process id of HAProxy's worker, by its runtime API: a reload changes it."""
        script = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/companion/admin.sock'); "
            "s.sendall(b'show info\\n'); print(s.makefile().read())"
        )
        info = self.run_in("haproxy", "/opt/venv/bin/python", "-c", script)
        return int(next(line for line in info.splitlines() if line.startswith("Pid:")).split()[1])

    def orders(self, ca: str) -> int:
        """How many orders an authority has received."""
        return self.log(ca).count("POST /order-plz -> calling handler()")

    def root(self, ca: str) -> str:
        """The root certificate of an authority's chains, as PEM."""
        return self.run_in(ca, "curl", "-sf", "--capath", "/acme-ca", "https://localhost:15000/roots/0")

    def certificate(self, name: str | None) -> x509.Certificate:
        """The certificate that a client gets who asks for *name*, whoever signed it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port(443)), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=name) as tls,
        ):
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")

    def trusts(self, name: str, root: str) -> bool:
        """Whether a client that knows only *root* completes a handshake for *name*."""
        context = ssl.create_default_context(cadata=root)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port(443)), timeout=10) as connection,
                context.wrap_socket(connection, server_hostname=name),
            ):
                return True
        except (ssl.SSLError, OSError):
            return False

    def until_trusted(self, names: list[str], ca: str, within: float = 60.0) -> str:
        """Wait until all *names* verify against the root of *ca*; that root."""
        root = self.root(ca)
        until(
            lambda: all(self.trusts(name, root) for name in names),
            f"a chain to the root of {ca} for {', '.join(names)}\n{self.log('letsencrypt', 'haproxy')}",
            within,
            pause=0.2,
        )
        return root

    def http(self, host: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Ask the plain listener; redirects are answers, not followed."""
        return _ask(HTTPConnection("127.0.0.1", self.port(80), timeout=10), method, path, {"Host": host} | headers)

    def https(self, host: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Ask the TLS listener, whatever certificate it shows."""
        context = ssl._create_unverified_context()
        connection = HTTPSConnection("127.0.0.1", self.port(443), timeout=10, context=context)
        return _ask(connection, method, path, {"Host": host} | headers)


def _ask(connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response: HTTPResponse = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read().decode())
    except (OSError, HTTPException) as error:
        return Answer(0, {}, repr(error))
    finally:
        connection.close()


@contextmanager
def running(*files: Path) -> Iterator[Stack]:
    """A stack that is removed with everything it made, whatever happens in between."""
    stack = Stack(*files)
    try:
        yield stack
    except BaseException as failure:
        failure.add_note(stack.story())
        raise
    finally:
        stack.down(volumes=True)
