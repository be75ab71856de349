"""proxy_agent.routing.admission: which containers take part at all."""

from ipaddress import ip_address

import pytest

from proxy_agent.routing.admission import admitted
from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import relevant
from proxy_agent.routing.model import Container, Service


def shop(**labels: str) -> Service:
    """A service of one container with these labels, underscores for what a keyword cannot hold."""
    spelled = {name.replace("__", ".").replace("_", "-"): value for name, value in labels.items()}
    settings = relevant({"VIRTUAL_HOST": "a.test"}, spelled)
    return Service("shop", (Container("shop-1", settings, (80,), ip_address("10.0.0.1")),))


@pytest.mark.parametrize(
    ("labels", "served"),
    [
        ({}, True),
        ({"proxy__enable": "false"}, False),
        ({"proxy__enable": " No "}, False),
        ({"proxy__enable": "true"}, True),
        ({"proxy__enable": ""}, True),
        ({"com__docker__dockercloud__haproxy__deactivate": "true"}, False),
        ({"com__docker__dockercloud__haproxy__deactivate": "false"}, True),
    ],
)
def test_a_label_switches_a_container_off(labels: dict[str, str], served: bool) -> None:
    """For a change of colour, in the words of either family; it is as if it were not there."""
    routing = build([shop(**labels)], frozenset(), Proxy())
    assert (bool(routing.rules), routing.skipped) == (served, ())


def test_a_word_that_means_nothing_changes_nothing() -> None:
    """It is told, and the container is served as without it."""
    services, doubts = admitted([shop(proxy__enable="perhaps")])
    assert services == (shop(proxy__enable="perhaps"),)
    assert [str(doubt) for doubt in doubts] == ["shop (shop-1): ENABLE: 'perhaps' is neither yes nor no"]


def test_one_replica_may_be_switched_off() -> None:
    """The others serve."""
    (on,), (off,) = shop().containers, shop(proxy__enable="no").containers
    ((left,), _) = admitted([Service("shop", (on, off))])
    assert left.containers == (on,)
