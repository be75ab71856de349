"""proxy_agent.routing.rotation: which servers of a pool get requests."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.model import Container, DockerHealth, Health, Routing, Server, ServerState, Service
from proxy_agent.routing.rotation import in_rotation, standing
from proxy_agent.status import of_routes

LONE = Container("shop-1", {"VIRTUAL_HOST": "a.test"}, (80,), ip_address("10.0.0.1"))


@pytest.mark.parametrize(
    ("health", "policy", "expected"),
    [
        ("none", "use", ("ready", False)),
        ("none", "require", ("ready", False)),
        ("healthy", "use", ("ready", False)),
        ("healthy", "require", ("ready", False)),
        ("starting", "use", ("maint", True)),
        ("unhealthy", "use", ("maint", True)),
        ("starting", "require", ("maint", False)),
        ("unhealthy", "require", ("maint", False)),
        ("unhealthy", "ignore", ("ready", False)),
    ],
)
def test_health_counts_for_what_is_said(
    health: Health, policy: DockerHealth, expected: tuple[ServerState, bool]
) -> None:
    """A container without a HEALTHCHECK is left to HAProxy's own check."""
    assert standing(replace(LONE, health=health), policy) == expected


def test_whoever_leaves_is_drained_and_whoever_is_paused_is_out() -> None:
    """One that is not well and leaves is not asked for sticky sessions either; a paused one would never answer."""
    assert standing(replace(LONE, leaving=True), "use") == ("drain", True)
    assert standing(replace(LONE, leaving=True, health="healthy"), "require") == ("drain", True)
    assert standing(replace(LONE, leaving=True, health="unhealthy"), "use") == ("maint", True)
    assert standing(replace(LONE, paused=True, leaving=True), "ignore") == ("maint", False)


def test_the_container_comes_before_the_proxy() -> None:
    """Its own word, else that of the proxy; a word that is none is told and not used."""
    sick = replace(LONE, health="unhealthy")
    ignoring = replace(sick, settings={"DOCKER_HEALTH": "Ignore", **LONE.settings})
    assert routing(ignoring, health="require").backends[0].servers[0].state == "ready"
    odd = routing(replace(sick, settings={"proxy.docker-health": "always", **LONE.settings}), health="require")
    assert odd.backends[0].servers[0].state == "maint"
    assert [str(item) for item in odd.skipped] == [
        "shop (shop-1): DOCKER_HEALTH: 'always' is not used: write one of use, ignore, require"
    ]


servers = st.lists(
    st.builds(
        Server,
        name=st.sampled_from("abcdef"),
        address=st.just(ip_address("10.0.0.1")),
        port=st.just(80),
        state=st.sampled_from(["ready", "drain", "maint", "gone"]),
        spare=st.booleans(),
    ),
    unique_by=lambda server: server.name,
)


@given(servers)
def test_somebody_serves_wherever_somebody_can(pool: list[Server]) -> None:
    """The ready ones, else all that can be spared; nobody who is gone, and nobody is made worse than it is."""
    result = in_rotation(pool)
    assert [server.name for server in result] == [server.name for server in pool if server.state != "gone"]
    ready = {server.name for server in result if server.state == "ready"}
    were_ready = {server.name for server in pool if server.state == "ready"}
    spare = {server.name for server in pool if server.spare and server.state != "gone"}
    assert ready == (were_ready or spare)
    assert in_rotation(result) == result


def routing(*containers: Container, health: DockerHealth = "use") -> Routing:
    """What is made of one service."""
    return build([Service("shop", containers)], frozenset(), Proxy(docker_health=health))


def test_standing_changes_neither_routes_nor_the_name_of_a_pool() -> None:
    """So it is never a reason for a reload."""
    other = replace(LONE, name="shop-2", address=ip_address("10.0.0.2"))
    calm = routing(LONE, other)
    for changes in ({"health": "unhealthy"}, {"leaving": True}, {"paused": True}):
        changed = routing(LONE, replace(other, **changes))
        assert (changed.routes, changed.rules, changed.skipped) == (calm.routes, calm.rules, calm.skipped)
        assert changed.backends[0].name == calm.backends[0].name
        assert [server.state == "ready" for server in changed.backends[0].servers] == [True, False]


def test_the_proxy_may_require_health_of_all() -> None:
    """The route stays, with nobody behind it that gets requests."""
    (backend,) = routing(replace(LONE, health="starting"), health="require").backends
    assert [server.state for server in backend.servers] == ["maint"]


def test_how_a_server_stands_is_shown() -> None:
    """In the log, and in the status with the network that it is reached on."""
    shown = routing(replace(LONE, network="proxy"), replace(LONE, name="shop-2", network="proxy", leaving=True))
    assert shown.lines() == {"a.test": "a.test: http and https served by shop (10.0.0.1:80, 10.0.0.1:80 (draining))"}
    assert of_routes(shown)[0].servers == ("shop-1 10.0.0.1:80 on proxy", "shop-2 10.0.0.1:80 (draining) on proxy")
