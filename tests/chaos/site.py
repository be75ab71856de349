"""A whole installation as in its containers, under s6 and in one folder; only Docker is made up."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.listener import Listener
from proxy_agent.status import Status, read_status
from tests.certificate_authority import CertificateAuthority
from tests.chaos.engine import Engine
from tests.haproxy.proxy import Proxy, reserved_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SHARED_MEMORY = Path("/dev/shm")
"""A disk of some hundred megabytes, in a container."""
_GATE = "docker-gate"
# Root without its capabilities meets the modes of files as the container's user does.
_UNPRIVILEGED = "setpriv --bounding-set=-all --inh-caps=-all " if os.geteuid() == 0 else ""
_SERVICES = ("haproxy", "agent", _GATE)
_SPOILED = """
{% for backend in backends if "spoils" in backend.title %}
    nonsense
{% endfor %}
"""
"""What is appended to the templates: a service of this name makes a configuration that HAProxy rejects."""


class Site(Proxy):
    """What ``docker compose up`` starts, each process supervised by s6 and by the project's own service definitions."""

    def __init__(
        self, folder: Path, authority: CertificateAuthority, gate_port: int, environment: dict[str, str]
    ) -> None:
        super().__init__(folder, authority, {"DOCKER_HOST": f"tcp://127.0.0.1:{gate_port}", **environment})
        self.engine = Engine(folder / "docker.sock")
        self._gate_port = gate_port
        self._clock: dict[str, str] = {}
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._lay_out()

    def raise_all(self) -> None:
        """Prepare, then HAProxy, agent and gate, as the containers start; returns once Docker was asked in full."""
        assert self._supervisor is None
        environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            **self.environment,
            **self._clock,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "app"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with (self.folder / "site.log").open("ab") as log:
            subprocess.run(["companion", "prepare"], env=environment, stdout=log, stderr=log, timeout=300, check=True)
            self._supervisor = subprocess.Popen(
                ["s6-svscan", "-t0", self.folder / "services"], env=environment, stdout=log, stderr=log
            )
        until(self._is_up, "an installation that has started", within=300)

    def raze_all(self) -> None:
        """End everything that raise_all() started."""
        if self._supervisor is None:
            return
        pids = [self.pid(service) for service in _SERVICES]
        pids += [self.worker_or_none()]
        self._supervisor.terminate()
        try:
            self._supervisor.wait(5)
        except subprocess.TimeoutExpired:
            # A worker waits for connections that nobody needs any more.
            for pid in filter(None, pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            self._supervisor.wait(30)
        self._supervisor = None
        (self.settings.status_file).unlink(missing_ok=True)

    def start_cold(self) -> None:
        """Start on the world alone: nothing is remembered but the self-signed certificate, made by chance."""
        self.raze_all()
        kept = self.settings.state_folder / "self-signed.pem"
        pem = kept.read_bytes()
        for path in self.settings.state_folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.touch(0o600)
        kept.write_bytes(pem)
        self.raise_all()

    def have_other_clock(self) -> None:
        """Let the agent live by a wall clock that move_clock() moves; HAProxy does not start with such a library."""
        self._script(self.folder / "bin/haproxy", f'exec env -u LD_PRELOAD {shutil.which("haproxy")} "$@"')
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self._clock = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.move_clock(timedelta(0))

    def move_clock(self, by: timedelta) -> None:
        """Set it that far before or after the real time."""
        new = self.folder / "clock.new"
        new.write_text(f"{by.total_seconds():+.0f}\n")
        new.replace(self.folder / "clock")

    def pid(self, service: str) -> int | None:
        """The process that s6 runs for a service, None while there is none."""
        said = subprocess.run(
            ["s6-svstat", "-o", "pid", self.folder / "services" / service],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout.strip()
        return int(said) if said.isdigit() else None

    def kill_service(self, service: str) -> None:
        """``kill -9``."""
        pid = until(lambda: self.pid(service), f"the process of {service}")
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid(service) not in (None, pid), f"the next process of {service}", pause=0.005)

    def look_again(self) -> None:
        """Have the agent look, and wait until it did."""
        before, pid = self.status(), self.pid("agent")
        assert before
        assert pid
        os.kill(pid, signal.SIGHUP)
        until(lambda: (after := self.status()) and after.cycle_at > before.cycle_at, "another look of the agent")

    def worker_or_none(self) -> int | None:
        """The worker's process id, None while there is no worker."""
        with contextlib.suppress(OSError, StopIteration):
            return self.worker
        return None

    def status(self) -> Status | None:
        """What the agent said last."""
        with contextlib.suppress(OperationalError):
            return read_status(self.settings.status_file)
        return None

    def close(self) -> None:
        """End and close everything."""
        self.raze_all()
        self.engine.close()
        super().close()

    @property
    def said(self) -> str:
        """What all processes wrote so far."""
        return (self.folder / "site.log").read_text(errors="replace")

    def _is_up(self) -> bool:
        status = self.status()
        with contextlib.suppress(OperationalError):
            Listener(self.settings.https_port).check()
            return bool(status and status.haproxy_running and status.containers_as_of)
        return False

    def _lay_out(self) -> None:
        """The images' content: code, templates and service definitions, with this folder in place of fixed paths."""
        for package in ("proxy_agent", "haproxy"):
            shutil.copytree(ROOT / package, self.folder / "app" / package, ignore=shutil.ignore_patterns("__pycache__"))
        places = {
            "/run/companion": str(self.settings.run_folder),
            "/var/lib/companion": str(self.settings.state_folder),
            "/var/run/docker.sock": str(self.engine.path),
            "0.0.0.0:2375": f"127.0.0.1:{self._gate_port}",
        }
        with (self.folder / "app/haproxy/haproxy.cfg.j2").open("a") as template:
            template.write(_SPOILED)
        shutil.copytree(self.folder / "app/haproxy/services", self.folder / "services")
        for path in (*(self.folder / "services").rglob("*"), self.folder / "app/haproxy/docker-gate.cfg"):
            if path.is_file():
                text = path.read_text()
                for there, here in places.items():
                    text = text.replace(there, here)
                path.write_text(text)
        gate = f"haproxy -W -db -q -f {self.folder}/app/haproxy/docker-gate.cfg"
        self._script(self.folder / "services" / _GATE / "run", f"exec {gate}")
        self._script(self.folder / "bin/companion", f'exec {_UNPRIVILEGED}{sys.executable} -m proxy_agent "$@"')

    @staticmethod
    def _script(path: Path, line: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@contextlib.contextmanager
def site(authority: CertificateAuthority, small_disk: bool = False, other_clock: bool = False) -> Iterator[Site]:
    """An installation that does not run yet, and that is gone with its folder when the block ends."""
    with contextlib.ExitStack() as stack:
        # Short, because a path of a Unix socket has at most 107 characters.
        folders = [Path(mkdtemp(prefix="chaos-")), Path(mkdtemp(prefix="chaos-", dir=SHARED_MEMORY))]
        for folder in folders:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        http_port, https_port, gate_port = (stack.enter_context(reserved_port()) for _ in range(3))
        environment = {"HTTP_PORT": str(http_port), "HTTPS_PORT": str(https_port)}
        if small_disk:
            environment["STATE_FOLDER"] = str(folders[1] / "state")
        made = Site(folders[0], authority, gate_port, environment)
        stack.callback(made.close)
        if other_clock:
            made.have_other_clock()
        yield made
