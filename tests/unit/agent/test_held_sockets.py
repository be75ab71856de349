"""proxy_agent.held_sockets: which ports PID 1 opens for HAProxy."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping

import pytest

from proxy_agent.held_sockets import hold
from proxy_agent.settings import load

Holds = Callable[..., Mapping[str, str]]


@pytest.fixture
def holds() -> Iterator[Holds]:
    """Holds the sockets of some settings until the test ends."""
    held: list[str] = []

    def holding(**environment: str) -> Mapping[str, str]:
        found = hold(load({"ENABLE_IPV6": "no", **environment}))
        held.extend(found.values())
        return found

    yield holding
    for told in held:
        os.close(int(told.removeprefix("fd@")))


@pytest.fixture
def ports() -> Iterator[dict[str, str]]:
    """Two ports that nobody else is given, as settings."""
    with socket.socket() as one, socket.socket() as two:
        for reserved in (one, two):
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind(("0.0.0.0", 0))
        yield {"HTTP_PORT": str(one.getsockname()[1]), "HTTPS_PORT": str(two.getsockname()[1])}


def test_both_ports_are_bound_and_inherited(holds: Holds, ports: dict[str, str]) -> None:
    """Each is named by a variable, with its descriptor."""
    held = holds(**ports)
    assert set(held) == {"COMPANION_SOCKET_HTTP4", "COMPANION_SOCKET_HTTPS4"}
    descriptor = int(held["COMPANION_SOCKET_HTTPS4"].removeprefix("fd@"))
    assert os.get_inheritable(descriptor)
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        assert copy.getsockname() == ("0.0.0.0", int(ports["HTTPS_PORT"]))


def test_who_comes_before_haproxy_is_not_refused(holds: Holds, ports: dict[str, str]) -> None:
    """Whoever connects waits for it, from the first moment of the container on."""
    assert holds(**ports)
    socket.create_connection(("127.0.0.1", int(ports["HTTP_PORT"])), timeout=5).close()


def test_a_port_that_cannot_be_had_is_left_to_haproxy(holds: Holds, ports: dict[str, str]) -> None:
    """It says why, and the other one is held all the same."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        held = holds(**{**ports, "HTTP_PORT": str(other.getsockname()[1])})
    assert set(held) == {"COMPANION_SOCKET_HTTPS4"}


@pytest.mark.parametrize("port", ["", "²", "http", "0443", "99999999999999999999"])
def test_what_is_no_port_is_left_to_whoever_judges_the_lines(holds: Holds, ports: dict[str, str], port: str) -> None:
    """The agent says what is wrong with it; the container starts all the same, with both ports held."""
    assert len(holds(**ports, EXTRA_BIND_SETTINGS=f"{port}:interface eth0")) == 2


@pytest.mark.parametrize(("words", "is_held"), [("strict-sni", True), ("interface eth0", False), ("backlog 9", False)])
def test_what_only_a_new_socket_can_have_is_left_to_haproxy(
    holds: Holds, ports: dict[str, str], words: str, is_held: bool
) -> None:
    """EXTRA_BIND_SETTINGS go on meaning what HAProxy's manual says."""
    held = holds(**ports, EXTRA_BIND_SETTINGS=f"{ports['HTTPS_PORT']}:{words}")
    assert ("COMPANION_SOCKET_HTTPS4" in held) == is_held
    assert "COMPANION_SOCKET_HTTP4" in held
