"""proxy_agent.status: what the agent last saw and did, for people and for programs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy
from proxy_agent.status import Status, of_certificates, of_routes, read_status
from proxy_agent.tls.selection import select
from tests.unit.agent.fakes import SELF_SIGNED, bundle, service

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
A, B = bundle("issued/a", "*.a.test", "a.test"), bundle("issued/b", "b.test")
SELECTION = select([[A, B]], None, SELF_SIGNED, NOW)
ROUTING = build(
    [service("shop", "a.test", "10.0.0.1", "2001:db8::1"), service("blog", "https://b.test")],
    SELECTION.names,
    Proxy(),
)


def status(**changes: object) -> Status:
    """A status in which all is well."""
    told = {
        "cycle_at": NOW,
        "stale_after": NOW + timedelta(minutes=2),
        "haproxy_running": True,
        "containers_as_of": NOW,
        "certificates": of_certificates(SELECTION, {A.name: A.serial, SELF_SIGNED.name: 5}),
        "routes": of_routes(ROUTING),
    }
    return Status.model_validate(told | changes)


def test_the_text_tells_everything_at_a_glance() -> None:
    """Who runs, what is served by whom and until when, and what was left out."""
    assert status(problems=("shop: something",)).text(NOW) == (
        "HAProxy answers; the agent keeps up (last look 2026-11-22 12:00:00 UTC).\n"
        "Docker last answered 2026-11-22 12:00:00 UTC.\n"
        "\n"
        "certificates:\n"
        "  issued/a  until 2027-01-21 12:00 UTC  *.a.test, a.test\n"
        "  issued/b  until 2027-01-21 12:00 UTC  b.test  not yet seen by a client\n"
        "  self-signed  until 2027-01-21 12:00 UTC  any other name  NOT what clients get\n"
        "routes:\n"
        "  http://a.test  redirected to https\n"
        "  https://a.test  shop-1 10.0.0.1:80, shop-2 2001:db8::1:80\n"
        "  https://b.test  blog-1 10.0.0.1:80\n"
        "problems:\n"
        "  shop: something"
    )


def test_nothing_is_said_to_be_nothing() -> None:
    """An empty list is told from a forgotten one."""
    text = status(certificates=(), routes=()).text(NOW)
    assert text.endswith("certificates: none\nroutes: none\nproblems: none")


def test_an_agent_that_does_not_look_any_more_is_seen() -> None:
    """The file stays when its writer is gone: its age tells."""
    late = NOW + timedelta(minutes=3)
    assert "the agent is overdue: it hangs or is gone (last look 2026-11-22 12:00:00 UTC)" in status().text(late)


def test_a_haproxy_that_does_not_answer_is_seen() -> None:
    """And that Docker has not answered yet."""
    text = status(haproxy_running=False, containers_as_of=None).text(NOW)
    assert text.startswith("HAProxy does not answer; the agent keeps up")
    assert "Docker has not answered since the agent started: routes are the last ones known." in text


def test_a_route_without_a_server_says_what_it_answers() -> None:
    """503 is an answer too."""
    routing = build([service("shop", "http://a.test")], SELECTION.names, Proxy())
    routes = [route.model_copy(update={"servers": ()}) for route in of_routes(routing)]
    assert "  http://a.test  no server: 503" in status(routes=tuple(routes)).text(NOW)


def test_it_is_written_and_read_as_the_same(tmp_path: Path) -> None:
    """One file, whole or not there."""
    status().write(tmp_path / "status.json")
    assert read_status(tmp_path / "status.json") == status()


def test_before_the_first_look_there_is_none(tmp_path: Path) -> None:
    """Which is said as such."""
    with pytest.raises(OperationalError, match="has not finished a cycle yet"):
        read_status(tmp_path / "status.json")


def test_a_file_that_is_no_status_is_an_operational_error(tmp_path: Path) -> None:
    """Of another version, or damaged."""
    (tmp_path / "status.json").write_text("{}")
    with pytest.raises(OperationalError, match=r"status\.json cannot be read"):
        read_status(tmp_path / "status.json")
