"""How long a container waits for its first visitor: from ``docker run`` to the first answer, and to its neighbour's.

Run with ``make bench``. Real containers and the real engine; images are built before.
"""

import http.client
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import click

from tests.e2e.stack import Stack, running
from tests.waiting import until

E2E = Path(__file__).resolve().parents[1] / "e2e"
IMAGE = "haproxy-acme-companion/demo"
SERVER = ("python3", "/opt/demo/web/server.py")
OK = 200


@click.command()
@click.option("--rounds", default=10, show_default=True, help="Containers to start.")
def main(rounds: int) -> None:
    """Print milliseconds: median and worst of all rounds."""
    rows: dict[str, list[float]] = {}
    with running(E2E / "compose.ports.yaml") as stack:
        stack.up("haproxy", "docker-gate")
        stack.until_docker_answers()
        for number in range(rounds):
            for step, milliseconds in _round(stack, f"host-{number}.test").items():
                rows.setdefault(step, []).append(milliseconds)
    click.echo(f"{'milliseconds':64} {'median':>7} {'worst':>7}")
    for step, values in rows.items():
        click.echo(f"{step:64} {statistics.median(values):7.0f} {max(values):7.0f}")


def _round(stack: Stack, host: str) -> dict[str, float]:
    """One container and its twin; the engine's own time to start them is not counted."""
    first, twin = f"{stack.project}-{uuid.uuid4().hex[:6]}", f"{stack.project}-{uuid.uuid4().hex[:6]}"
    port = stack.port(80)
    try:
        row = {
            "a container of a new host, until its first answer (a reload)": _timed(
                lambda: _run(stack, first, host), lambda: _asked(port, host)[0] == 200, host
            ),
            "one more container of the host, until its first answer": _timed(
                lambda: _run(stack, twin, host),
                lambda: twin in {_asked(port, host)[1] for _ in range(2)},
                twin,
            ),
        }
    finally:
        stack.docker("rm", "--force", first, twin)
    until(lambda: _asked(port, host)[0] == 503, f"the end of {host}")
    return row


def _run(stack: Stack, name: str, host: str) -> None:
    """A container whose application listens before ``docker run`` is done with it, as far as that can be."""
    # As Compose labels the replicas of a service.
    labels = {"project": stack.project, "service": host, "container-number": "1"}
    labelled = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
    settings = ("--env", f"NAME={name}", "--env", f"VIRTUAL_HOST={host}", "--env", "VIRTUAL_PORT=8000")
    stack.docker("create", "--name", name, "--network", stack.project, *labelled, *settings, IMAGE, *SERVER)
    stack.docker("start", name)


def _asked(port: int, host: str) -> tuple[int, str]:
    """The status of one answer, and the container that gave it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        words = response.read().decode().split()
        return response.status, words[2].rstrip(":") if response.status == OK else ""
    finally:
        connection.close()


def _timed(begin: Callable[[], None], is_done: Callable[[], bool], what: str) -> float:
    begin()
    begun = time.monotonic()
    until(is_done, what, within=60, pause=0.005)
    return (time.monotonic() - begun) * 1000


if __name__ == "__main__":
    main()
