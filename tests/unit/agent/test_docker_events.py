"""proxy_agent.containers, as Docker tells it what happens."""

import itertools
import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy_agent.containers import Containers
from tests.unit.agent import docker_daemon
from tests.unit.agent.docker_daemon import Daemon

PROXY = 0xABC
"""The container that HAProxy runs in."""


def event(action: str, number: int, at: int = 1000, **attributes: str) -> dict[str, object]:
    """What Docker says about a container."""
    actor = {"ID": f"{number:064x}", "Attributes": attributes}
    return {"Type": "container", "Action": action, "Actor": actor, "time": at}


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Daemon, queue.SimpleQueue[str]]:
    """A daemon, and what is rung while it is watched.

    Both last as long as the process does: the watching thread has no end of its own, and would try for ever to reach
    a daemon that was stopped.
    """
    daemon, _ = docker_daemon.start(tmp_path / "docker.sock")
    rings: queue.SimpleQueue[str] = queue.SimpleQueue()
    Containers(daemon.host, lambda: "abc").watch(rings.put, lambda reason: rings.put(f"{reason}!"))
    return daemon, rings


def test_it_rings_when_it_is_connected_and_at_each_event(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """The first ring covers what happened before; events carry nothing but a reason."""
    daemon, rings = watched
    assert rings.get(timeout=10) == "connected to Docker"
    daemon.events.put({"Type": "container", "Action": "start", "Actor": {"ID": "abc"}})
    daemon.events.put({"Type": "network", "Action": "connect"})
    assert [rings.get(timeout=10), rings.get(timeout=10)] == ["container start", "network connect"]


def test_it_asks_for_the_events_that_matter(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """A container that executes a health check every second does not wake us every second."""
    daemon, rings = watched
    rings.get(timeout=10)
    (asked,) = (path for path in daemon.asked if "/events" in path)
    assert "health_status" in asked
    assert "exec" not in asked


def test_what_cannot_wait_rings_otherwise(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """From here on, a request that is sent to the container may be lost."""
    daemon, rings = watched
    rings.get(timeout=10)
    actions = ("kill", "die", "pause", "start", "unpause", "health_status: unhealthy")
    for action in actions:
        daemon.events.put(event(action, 1))
    assert [rings.get(timeout=10) for _ in actions] == [
        *("container kill!", "container die!", "container pause!"),
        *("container start", "container unpause", "container health_status: unhealthy"),
    ]


def test_a_stream_goes_on_where_the_last_one_ended(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """That a container was told to stop while nobody listened is in no listing."""
    daemon, rings = watched
    rings.get(timeout=10)
    daemon.events.put(event("start", 1, at=1700000000))
    daemon.events.put(None)
    assert [rings.get(timeout=10), rings.get(timeout=10)] == ["container start", "connected to Docker"]
    asked = [path for path in daemon.asked if "/events" in path]
    assert [("since=1700000000" in path) for path in asked] == [False, True]


def test_a_container_that_was_told_to_stop_is_leaving(tmp_path: Path) -> None:
    """As long as it is listed; the event is read before the ring, so the look that follows knows it."""
    daemon, _ = docker_daemon.start(tmp_path / "docker.sock")
    daemon.run(PROXY, "proxy", {"web": "10.0.0.2"})
    daemon.run(1, "shop", {"web": "10.0.0.5"}, StopSignal="SIGQUIT")
    daemon.run(2, "blog", {"web": "10.0.0.6"})
    rings: queue.SimpleQueue[str] = queue.SimpleQueue()
    containers = Containers(daemon.host, lambda: f"{PROXY:064x}")
    containers.watch(rings.put, rings.put)

    def leaving(*events: dict[str, object]) -> list[str]:
        for one in events:
            daemon.events.put(one)
            rings.get(timeout=10)
        return [c.name for service in containers.services() for c in service.containers if c.leaving]

    rings.get(timeout=10)
    assert leaving() == []
    assert leaving(event("kill", 1, signal="15"), event("kill", 2, signal="1")) == []
    assert leaving(event("kill", 1, signal="3"), event("kill", 2, signal="15")) == ["blog", "shop"]
    assert leaving() == ["blog", "shop"], "not only at the next look"
    assert leaving(event("die", 1)) == ["blog"]
    assert "shop" not in [service.name for service in containers.services()], "listed for a moment longer"
    assert leaving(event("start", 1)) == ["blog"]
    assert "shop" in [service.name for service in containers.services()]
    del daemon.listed[f"{2:064x}"]
    assert leaving() == []


def test_a_stream_that_ends_is_followed_by_another(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """Docker was restarted, or docker-gate cut it: it rings again, for what happened in between."""
    daemon, rings = watched
    rings.get(timeout=10)
    daemon.events.put({"Type": "container", "Action": "die"})
    daemon.events.put(None)
    assert [rings.get(timeout=10), rings.get(timeout=10)] == ["container die!", "connected to Docker"]
    daemon.events.put(None)
    assert rings.get(timeout=10) == "connected to Docker", "also after one that delivered nothing"


@pytest.mark.parametrize("nonsense", [None, [], {"Actor": []}, {"time": "now"}, {"Actor": {"Attributes": [1]}}])
def test_an_event_that_makes_no_sense_ends_the_stream(
    watched: tuple[Daemon, queue.SimpleQueue[str]], nonsense: object
) -> None:
    """It is followed by another: a thread that dies would take the agent along."""
    daemon, rings = watched
    rings.get(timeout=10)
    daemon.events.put(b"%s" % json.dumps(nonsense).encode())
    assert rings.get(timeout=10) == "connected to Docker"


def test_a_stream_that_breaks_off_within_an_event_is_followed_by_another(
    watched: tuple[Daemon, queue.SimpleQueue[str]],
) -> None:
    """Half an event is none."""
    daemon, rings = watched
    rings.get(timeout=10)
    daemon.events.put(b'{"Type": "cont')
    daemon.events.put(None)
    assert rings.get(timeout=10) == "connected to Docker"


def test_a_docker_that_is_gone_is_looked_for_every_two_seconds_at_least() -> None:
    """However long it was gone: the containers that start with it wait no longer than that."""
    pauses: queue.SimpleQueue[float] = queue.SimpleQueue()
    nobody = "tcp://127.0.0.1:9"
    containers = Containers(nobody, lambda: "abc", sleep=_counting(pauses, 50))
    containers.watch(lambda _: None, lambda _: None)
    assert 1 < max(pauses.get(timeout=10) for _ in range(50)) <= 2


def test_a_stream_that_lasted_is_followed_by_another_at_once(tmp_path: Path) -> None:
    """Whether it ended or broke, and however often that happened before."""
    daemon, _ = docker_daemon.start(tmp_path / "docker.sock")
    rings: queue.SimpleQueue[str] = queue.SimpleQueue()
    pauses: queue.SimpleQueue[float] = queue.SimpleQueue()
    minutes = itertools.count(step=60.0)
    containers = Containers(daemon.host, lambda: "abc", sleep=_counting(pauses, 1), clock=lambda: next(minutes))
    containers.watch(rings.put, rings.put)
    for number in range(20):
        assert rings.get(timeout=10) == "connected to Docker"
        if number % 2:
            daemon.events.put(b"nonsense")
        daemon.events.put(None)
    assert pauses.empty()


def _counting(pauses: queue.SimpleQueue[float], most: int) -> Callable[[float], None]:
    """Sleeps no time at all, and after so many times for ever: the thread that watches has no end of its own."""

    def sleep(seconds: float) -> None:
        pauses.put(seconds)
        if pauses.qsize() >= most:
            threading.Event().wait()

    return sleep
