"""Whatever answers in Docker's place, the agent lives on, and says at most that it cannot be asked."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_agent import docker_answers
from proxy_agent.containers import Containers
from proxy_agent.departures import Departures
from tests.unit.agent.docker_daemon import Daemon, start
from tests.unit.fuzz.mangled import FEW, LONGEST, contents, is_survived

PROXY, SHOP = f"{99:064x}", f"{1:064x}"
ASKED = ("/containers/json", f"/containers/{SHOP}/json", "/version", "/networks/id-of-web")
EVENT = {
    "Type": "container",
    "Action": "kill",
    "time": 1795000000,
    "Actor": {"ID": SHOP, "Attributes": {"signal": "15", "name": "shop"}},
}

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with HAProxy, a service, and one in the host's network."""
    with TemporaryDirectory(prefix="hap-") as folder:
        daemon, stop = start(Path(folder) / "docker.sock")
        daemon.run(99, "proxy", {"web": "10.0.0.2"})
        daemon.run(1, "shop", {"web": "10.0.0.3"}, {"x": "y"}, ("VIRTUAL_HOST=a.test",), ("80/tcp",))
        daemon.run(2, "host", {"host": ""}, mode="host", ports=("8080/tcp",))
        yield daemon
        stop()


@st.composite
def one_place_changed(draw: st.DrawFn, value: Any) -> Any:
    """*value* with another one somewhere inside it, or a part missing."""
    value = deepcopy(value)
    place = value
    while isinstance(place, dict | list) and place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
            if draw(st.booleans()):
                place[key] = draw(json_values)
            else:
                del place[key]
            return value
        place = place[key]
    return value


def services(daemon: Daemon) -> None:
    """One look by an agent that knows nothing yet."""
    Containers(daemon.host, lambda: PROXY).services()


@settings(max_examples=FEW)
@given(data=st.data())
def test_any_bytes_may_answer(daemon: Daemon, data: st.DataObject) -> None:
    """To any question, with any status."""
    body = data.draw(contents(b"[]", b"{}", b'{"message": "no"}', b"null"))
    daemon.answers = {data.draw(st.sampled_from(ASKED)): (data.draw(st.sampled_from([200, 404, 500])), body)}
    is_survived(services, daemon)


@settings(max_examples=FEW)
@given(data=st.data())
def test_any_json_may_answer(daemon: Daemon, data: st.DataObject) -> None:
    """What is nearly right, too: in one place something else, or nothing."""
    path = data.draw(st.sampled_from(ASKED))
    daemon.answers = {}
    right = json.loads(daemon.answer(path, {})[1])
    other = data.draw(one_place_changed(right) | json_values)
    daemon.answers = {path: (200, json.dumps(other).encode())}
    is_survived(services, daemon)


@pytest.mark.parametrize("body", [b"0", b"{}", b"[]", b"null", b"no JSON", b""])
@pytest.mark.parametrize("path", ASKED)
def test_an_error_may_come_with_anything(daemon: Daemon, path: str, body: bytes) -> None:
    """The library takes it for an object with a message."""
    daemon.answers = {path: (500, body)}
    is_survived(services, daemon)


@pytest.mark.parametrize("body", [b"[" * LONGEST, b'{"a":' * LONGEST])
@pytest.mark.parametrize("path", ASKED)
def test_an_answer_may_be_deeper_than_anybody_reads(daemon: Daemon, path: str, body: bytes) -> None:
    """The library gives up at some depth, which is one more way to be no answer."""
    daemon.answers = {path: (200, body)}
    is_survived(services, daemon)


@pytest.mark.parametrize("port", ["80", "٣/tcp", "9" * 5000 + "/tcp", "-1/tcp", "/", "", "x/tcp", "80/tcp/tcp"])
def test_an_image_may_declare_any_port(daemon: Daemon, port: str) -> None:
    """The daemon keeps what it is told."""
    daemon.answers = {f"/containers/{SHOP}/json": (200, json.dumps({"Config": {"ExposedPorts": {port: {}}}}).encode())}
    found = [service for service in Containers(daemon.host, lambda: PROXY).services() if service.name == "shop"]
    assert found[0].containers[0].exposed_ports == ((80,) if port == "80" else ())


@settings(max_examples=FEW)
@given(one_place_changed(EVENT) | json_values)
def test_any_event_may_come(event: Any) -> None:
    """What is none is seen to be none, before anybody reads it."""
    departures = Departures()
    try:
        checked = docker_answers.event(event)
    except docker_answers.Nonsense:
        return
    departures.note(checked)
    int(checked.get("time") or 0)
    departures.catch_up()
    departures.is_leaving(SHOP, {})
