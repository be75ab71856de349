"""A Docker engine of a test's own, in a container: its daemon is stopped, killed and started as a test wants."""

import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.e2e.stack import LIMIT, ROOT, Project
from tests.waiting import until

_COMPOSE = Path(__file__).with_name("compose.engine.yaml")
_IMAGES = tuple(f"haproxy-acme-companion/{name}" for name in ("haproxy", "letsencrypt", "demo"))
_DAEMON = (
    "exec dockerd --containerd /run/containerd/containerd.sock -H unix:///run/docker.sock -H unix:///run/outside/s"
)


class Unavailable(Exception):
    """This machine lets no engine start in a container."""


class Dockerd:
    """The daemon, and the container that it lives in, with containerd and all containers it has started."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.host = f"unix://{folder}/s"
        """Where it is asked, for ``DOCKER_HOST``."""
        self._project = project

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Its socket belongs to whoever runs the tests.
        self._run(f"{_DAEMON} --group {os.getgid()} >/proc/1/fd/1 2>&1", "--detach")
        until(self.answers, "the daemon to answer", within=60)

    def stop(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait until it has ended."""
        self._run(
            f"pid=$(cat /run/docker.pid); kill -{number} $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done"
        )

    def answers(self) -> bool:
        """Whether it is there and has read what containers there are."""
        return self._asked("version").returncode == 0

    def live_restore(self, on: bool) -> None:
        """Say whether containers go on without it, from its next end on."""
        settings = json.dumps({"live-restore": on})
        self._run(f"mkdir -p /etc/docker; echo '{settings}' >/etc/docker/daemon.json")
        if self.answers():
            self._run("kill -HUP $(cat /run/docker.pid)")
            said = f"{str(on).lower()}\n"
            until(lambda: self._asked("info", "--format", "{{.LiveRestoreEnabled}}").stdout == said, "its new settings")

    def port(self, port: int) -> int:
        """Where on the machine's loopback interface a port arrives that a container publishes here."""
        return int(self._project.compose("port", "engine", str(port)).strip().rpartition(":")[2])

    def log(self) -> str:
        """What daemon and containerd have said."""
        return self._project.compose("logs", "--no-color", "--no-log-prefix", "engine")

    def load(self, *images: str) -> None:
        """Copy images from the machine's engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            loaded = self._asked("load", "--quiet", stdin=saved.stdout)
        assert (saved.returncode, loaded.returncode) == (0, 0), f"images could not be copied: {loaded.stderr}"

    def _asked(self, *arguments: str, stdin: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
        command = ["docker", "--host", self.host, *arguments]
        return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=LIMIT, check=False)

    def _run(self, script: str, *options: str) -> None:
        self._project.compose("exec", "-T", *options, "engine", "sh", "-c", script)


@contextmanager
def own_engine(live_restore: bool) -> Iterator[Dockerd]:
    """An engine that has the stack's images; removed with everything on it.

    Raises Unavailable where the machine does not allow it.
    """
    # A socket's path has 108 characters at most, and lies below the repository, as the machine's engine sees it.
    folder = ROOT / ".cache" / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    project = Project(_COMPOSE, SOCKET_FOLDER=str(folder))
    daemon = Dockerd(project, folder)
    try:
        try:
            project.up()
            daemon.live_restore(live_restore)
            daemon.start()
        except AssertionError as error:
            said = _last_words(project) or str(error).strip().splitlines()[-1]
            raise Unavailable(f"This machine lets no Docker engine start in a container: {said}") from error
        daemon.load(*_IMAGES)
        yield daemon
    finally:
        project.compose("down", "--timeout", "2", "--volumes")
        shutil.rmtree(folder)


def _last_words(project: Project) -> str:
    """The last line of the engine's log, where there is one; what is indented explains another line."""
    log = project.compose("logs", "--no-color", "--no-log-prefix", check=False)
    # Compose clears the line that its progress might be on.
    lines = [line.removeprefix("\x1b[2K").rstrip() for line in log.splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
