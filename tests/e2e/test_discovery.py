"""Containers come, go, stop, pause and fall ill under load, and no visitor notices."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running
from tests.e2e.visitors import visitors
from tests.ports import free_port
from tests.visits import Visits
from tests.waiting import until

HERE = Path(__file__).parent
HOST = "web.test"


@pytest.fixture
def discovery() -> Iterator[Stack]:
    """A stack in front of two containers of a service."""
    with running(HERE / "compose.e2e.yaml", HERE / "compose.discovery.yaml") as stack:
        stack.up("haproxy", "docker-gate")
        stack.scale("web", 2)
        until(lambda: stack.http(HOST).status == 200, "the service")
        until(lambda: len(servers(stack)) == 2, "both containers")
        yield stack


def servers(stack: Stack, host: str = HOST) -> list[str]:
    """What the status shows behind a host."""
    routes = stack.status()["routes"]
    assert isinstance(routes, list)
    return next((route["servers"] for route in routes if route["host"] == host), [])


def ready(stack: Stack, host: str = HOST) -> list[str]:
    """Those that take requests."""
    return [server for server in servers(stack, host) if "draining" not in server and "out of" not in server]


def said_at(line: str) -> datetime:
    """When the agent wrote a line of its log."""
    time = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", line)
    assert time
    return datetime.fromisoformat(time[0].replace(",", "."))


def under_load(stack: Stack) -> AbstractContextManager[Visits]:
    """Visitors of the service on both ports."""
    return visitors(HOST, stack.port(80), stack.port(443))


@pytest.mark.timeout(300)
def test_scaling_up_and_down_costs_no_request_and_no_reload(discovery: Stack) -> None:
    """From two to twenty and to one, in the worker that was there before."""
    worker = discovery.worker()
    with under_load(discovery) as visits:
        discovery.scale("web", 20)
        until(lambda: len(ready(discovery)) == 20, "twenty containers in rotation", 120)
        visits.by_container.clear()
        visits.go_on(400)
        assert len(visits.by_container) == 20
        discovery.scale("web", 1)
        until(lambda: len(servers(discovery)) == 1, "the end of nineteen", 60)
    assert visits.failures == []
    assert discovery.worker() == worker


def test_a_container_that_is_stopped_is_drained(discovery: Stack) -> None:
    """It serves for six seconds after the signal, and nobody new is sent there."""
    stopped, _ = discovery.replicas("web")
    worker = discovery.worker()
    with under_load(discovery) as visits:
        discovery.docker("stop", stopped)
        until(lambda: len(servers(discovery)) == 1, "the end of the server")
    assert visits.failures == []
    assert discovery.worker() == worker
    said = [line for line in discovery.log("haproxy").splitlines() if f"{HOST}: " in line]
    drained = next(number for number, line in enumerate(said) if "(draining)" in line)
    assert "(draining)" not in said[drained + 1]
    begin, end = map(said_at, said[drained : drained + 2])
    assert end - begin > timedelta(seconds=2), "drained as soon as it was told to stop, gone when it ended"


def test_a_rolling_deployment_costs_no_request_and_no_reload(discovery: Stack) -> None:
    """Each container is stopped, removed and replaced by a new one at another address, one after the other."""
    worker = discovery.worker()
    old = discovery.replicas("web")
    with under_load(discovery) as visits:
        for container in old:
            discovery.docker("stop", container)
            discovery.docker("rm", container)
            discovery.scale("web", 2)
            until(lambda: len(ready(discovery)) == 2, "the new container")
            visits.go_on()
    assert visits.failures == []
    assert set(discovery.replicas("web")).isdisjoint(old)
    assert discovery.worker() == worker


def test_a_burst_of_containers_that_end_at_once_disturbs_nobody(discovery: Stack) -> None:
    """Some are gone between the list and the question what they are."""
    network = discovery.environment["PROXY_NETWORK"]
    with under_load(discovery) as visits:
        for number in range(8):
            settings = ("--network", network, "--env", f"VIRTUAL_HOST=short-{number}.test")
            discovery.docker("run", "--rm", "--detach", *settings, "haproxy-acme-companion/demo", "true")
        visits.go_on(200)
    assert visits.failures == []
    assert len(ready(discovery)) == 2


def test_health_decides_who_gets_requests(discovery: Stack) -> None:
    """In both directions and without a reload; where nobody is well, somebody serves all the same."""
    one, two = discovery.scale("moody", 2)
    until(lambda: len(ready(discovery, "moody.test")) == 2, "two healthy containers")
    worker = discovery.worker()
    for sick, well in ((one, two), (two, one)):
        discovery.docker("exec", sick, "touch", "/tmp/sick")
        until(lambda: len(ready(discovery, "moody.test")) == 1, "the unhealthy one to be out")
        assert {discovery.http("moody.test").body.split()[2].rstrip(":") for _ in range(8)} == {well[:12]}
        discovery.docker("exec", sick, "rm", "/tmp/sick")
        until(lambda: len(ready(discovery, "moody.test")) == 2, "its recovery")
    for container in (one, two):
        discovery.docker("exec", container, "touch", "/tmp/sick")
    form = "{{.State.Health.Status}}"
    until(
        lambda: discovery.docker("inspect", "-f", form, one, two).split() == ["unhealthy", "unhealthy"],
        "both to be unhealthy",
    )
    assert discovery.http("moody.test").status == 200
    assert discovery.worker() == worker


def test_a_paused_container_gets_nothing_until_it_goes_on(discovery: Stack) -> None:
    """Nobody waits for it."""
    paused, other = discovery.replicas("web")
    discovery.docker("pause", paused)
    until(lambda: len(ready(discovery)) == 1, "the pause")
    assert {discovery.http(HOST).body.split()[2].rstrip(":") for _ in range(8)} == {other[:12]}
    discovery.docker("unpause", paused)
    until(lambda: len(ready(discovery)) == 2, "the end of the pause")


def test_the_restart_of_a_lone_container_is_no_reload(discovery: Stack) -> None:
    """Its host is answered with 503 meanwhile, by its own backend."""
    (lone,) = discovery.scale("web", 1)
    until(lambda: len(servers(discovery)) == 1, "one container")
    worker = discovery.worker()
    discovery.docker("stop", lone)
    until(lambda: servers(discovery) == [], "the end of the server")
    gone = discovery.http(HOST)
    assert (gone.status, "No service" in gone.body) == (503, False)
    discovery.docker("start", lone)
    until(lambda: discovery.http(HOST).status == 200, "its return")
    assert discovery.worker() == worker


def test_what_happens_while_docker_is_out_of_reach_is_seen_afterwards(discovery: Stack) -> None:
    """The gate is gone as it is while the daemon restarts: nothing shrinks, and then all that is new is there."""
    with under_load(discovery) as visits:
        discovery.compose("stop", "--timeout", "1", "docker-gate")
        discovery.scale("web", 3)
        visits.go_on(200)
        assert len(servers(discovery)) == 2
        discovery.compose("start", "docker-gate")
        until(lambda: len(ready(discovery)) == 3, "the third container")
    assert visits.failures == []


def test_a_container_in_the_hosts_network_is_served(discovery: Stack) -> None:
    """Through the gateway of HAProxy's network; who it is, it says itself."""
    discovery.up("on-host", ON_HOST_PORT=str(free_port()))
    until(lambda: discovery.http("host.test").status == 200, "the container on the host")
    assert discovery.http("host.test").body.startswith("Hello from on-host")
