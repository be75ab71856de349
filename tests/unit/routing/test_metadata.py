"""proxy_agent.routing.metadata."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.metadata import (
    SETTINGS,
    doubts_about_ports,
    label_of,
    questions,
    relevant,
    server_port,
    setting,
)
from proxy_agent.routing.model import Container


def container(settings: Mapping[str, str] | None = None, *ports: int) -> Container:
    """A container with settings and exposed ports."""
    return Container("web", settings or {}, ports, None)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({}, ""),
        ({"VIRTUAL_HOST": " a.test "}, "a.test"),
        ({"virtual_host": "a.test"}, "a.test"),
        ({"Virtual_Host": "odd.test", "VIRTUAL_HOST": "a.test"}, "a.test"),
        ({"VIRTUAL_HOST": "a.test", "proxy.virtual-host": "label.test"}, "label.test"),
        ({"VIRTUAL_HOST": "a.test", "proxy.virtual-host": " "}, "a.test"),
        ({"VIRTUAL_HOST": "", "virtual_host": "a.test"}, "a.test"),
    ],
)
def test_a_label_beats_a_variable_beats_a_variable_in_another_case(settings: dict[str, str], value: str) -> None:
    """An empty one counts as unset."""
    assert setting(container(settings), "VIRTUAL_HOST") == value


NAMES = st.sampled_from(["VIRTUAL_HOST", "virtual_port", "PASSWORD", "proxy.virtual-host", "proxy.other"]) | st.text()


@given(st.dictionaries(NAMES, st.text()), st.dictionaries(NAMES, st.text()))
def test_nothing_foreign_is_kept(environment: dict[str, str], labels: dict[str, str]) -> None:
    """Of a container's environment, which may be full of secrets, only what is ours is remembered: of a name that is
    almost ours the name, for the operator to see, and never the value.
    """
    kept = relevant(environment, labels)
    assert all(name.upper() in SETTINGS or name in map(label_of, SETTINGS) for name, value in kept.items() if value)
    assert list(kept) == sorted(kept)


def test_a_label_called_like_a_variable_is_no_setting() -> None:
    """And a variable called like a label is none either."""
    assert relevant({"proxy.virtual-host": "x"}, {"VIRTUAL_HOST": "x"}) == {}


@pytest.mark.parametrize(
    ("settings", "ports", "port"),
    [
        ({}, (), 80),
        ({}, (80,), 80),
        ({}, (3000,), 3000),
        ({}, (80, 443, 8080), 80),
        ({"VIRTUAL_PORT": "8080"}, (80,), 8080),
        ({"VIRTUAL_PORT": "1"}, (), 1),
        ({"VIRTUAL_PORT": "65535"}, (), 65535),
        ({"proxy.virtual-port": "81", "VIRTUAL_PORT": "82"}, (), 81),
    ],
)
def test_the_port_is_the_one_named_or_the_only_one_or_80(
    settings: dict[str, str], ports: tuple[int, ...], port: int
) -> None:
    """What is said counts, then what is obvious, then what is usual."""
    assert server_port(container(settings, *ports)) == port


def test_several_exposed_ports_leave_80_and_a_doubt() -> None:
    """Guessing among them would send requests to a database."""
    several = container({}, 3000, 9229)
    assert server_port(several) == 80
    assert list(doubts_about_ports(several, named=False)) == [
        "it exposes ports 3000, 9229 and not 80, which is used: name one with VIRTUAL_PORT"
    ]
    assert list(doubts_about_ports(several, named=True)) == []
    assert list(doubts_about_ports(container({"VIRTUAL_PORT": "3000"}, 3000, 9229), named=False)) == []


@pytest.mark.parametrize(
    ("excluded", "ports", "port"),
    [
        ("9229", (3000, 9229), 3000),
        ("9229/tcp, 22", (22, 3000, 9229), 3000),
        ("3000/udp", (3000,), 3000),
        ("3000", (3000,), 80),
        ("80", (80, 8080), 8080),
    ],
)
def test_excluded_ports_are_no_candidates(excluded: str, ports: tuple[int, ...], port: int) -> None:
    """A number alone is a TCP port; what is named by VIRTUAL_PORT stays named."""
    assert server_port(container({"EXCLUDE_PORTS": excluded}, *ports)) == port
    assert server_port(container({"EXCLUDE_PORTS": excluded, "VIRTUAL_PORT": "3000"}, *ports)) == 3000


def test_what_is_no_port_is_not_excluded() -> None:
    """Each item costs itself."""
    odd = container({"EXCLUDE_PORTS": "http, ,9229,080"}, 3000, 9229)
    assert server_port(odd) == 3000
    doubts = [doubt.partition(": ")[2][:6] for doubt in doubts_about_ports(odd, named=False)]
    assert doubts == ["'http'", "'080' "]


def test_in_the_hosts_network_a_port_must_be_named() -> None:
    """All that the host runs is there, so neither the image nor custom says which port is the container's."""
    on_host = replace(container({}, 80), on_host=True)
    with pytest.raises(ValueError, match="in the host's network, where any port may be anybody's"):
        server_port(on_host)
    assert server_port(replace(on_host, settings={"VIRTUAL_PORT": "81"})) == 81


@pytest.mark.parametrize("text", ["0", "65536", "http", "80,81", "-1", "8o", "٣", "1" * 7, "80 80", "1" * 5000])
def test_what_is_no_port_is_refused(text: str) -> None:
    """With the value, cut short, and the range."""
    with pytest.raises(ValueError, match="is not a port: write one number from 1 to 65535") as refusal:
        server_port(container({"VIRTUAL_PORT": text}))
    assert len(str(refusal.value)) < 150


def test_labels_of_nginx_proxy_are_read_last() -> None:
    """Who moves here from nginx-proxy keeps the labels; a setting in our own words counts more."""
    theirs = {"com.github.nginx-proxy.nginx-proxy.loadbalance": "least_conn"}
    assert setting(container(relevant({}, theirs)), "BALANCE") == "least_conn"
    assert setting(container(relevant({"BALANCE": "first"}, theirs)), "BALANCE") == "first"


def test_some_settings_are_labels_alone() -> None:
    """An application may have variables of its own that are called ENABLE or NETWORK."""
    assert relevant({"ENABLE": "no", "NETWORK": "eth0"}, {"proxy.enable": "no"}) == {"proxy.enable": "no"}


def test_a_name_that_is_almost_a_setting_is_asked_about() -> None:
    """Of its value nothing is kept; a word that applications use themselves is no mistake."""
    environment = {"VIRTUAL_HOSTS": "s3cret", "OPTIONS": "x", "PATH": "/bin", "COOKIES": "y"}
    found = relevant(environment, {"proxy.virtualhost": "s3cret", "proxy.network": "web"})
    assert found == {"VIRTUAL_HOSTS": "", "proxy.virtualhost": "", "proxy.network": "web"}
    asked = list(questions(Container("web-1", found, (80,), None)))
    assert asked == [
        "VIRTUAL_HOSTS is no setting: is VIRTUAL_HOST meant?",
        "proxy.virtualhost is no setting: is proxy.virtual-host meant?",
    ]
