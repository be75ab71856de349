"""Certificates for what is discovered: a container starts, and its hosts are trusted."""

from pathlib import Path

from tests.e2e.stack import Stack, running
from tests.waiting import until

STACK = ("haproxy", "letsencrypt", "docker-gate")
WANTED = Path(__file__).parent / "compose.wanted.yaml"
E2E = Path(__file__).parent / "compose.e2e.yaml"


def test_a_container_gets_its_certificate_without_a_setting(stack: Stack) -> None:
    """Neither DOMAINS nor EMAIL: the hosts of a container that starts are trusted and redirected; when it stops, the
    certificate stays; when it is back, nothing is ordered.
    """
    stack.up("production", "--wait")
    stack.up(*STACK, AUTO_DOMAINS="yes")
    until(lambda: "DOMAINS is not set" in stack.log("letsencrypt"), "the line that says what happens")
    assert stack.orders("production") == 0

    stack.up("app")
    root = stack.until_trusted(["one.test", "www.one.test"], "production")
    until(lambda: stack.http("one.test").status == 301, "the redirect of a covered host")
    assert stack.orders("production") == 1, "one certificate for the container's list"
    serial = stack.certificate("one.test").serial_number

    stack.compose("stop", "--timeout", "5", "app")
    until(lambda: stack.https("one.test").status == 503, "the end of the route")
    assert stack.trusts("one.test", root)

    stack.compose("start", "app")
    until(lambda: stack.https("one.test").status == 200, "the route again")
    stack.compose("restart", "letsencrypt")
    until(lambda: stack.log("letsencrypt").count("passes challenges on") == 2, "a look after the restart", within=60)
    assert stack.certificate("one.test").serial_number == serial
    assert stack.orders("production") == 1
    assert "ERROR" not in stack.log("haproxy", "letsencrypt")


def test_lists_options_and_refusals() -> None:
    """A rehearsal of one container beside a real certificate of another, and a name outside the white list."""
    with running(E2E, WANTED) as stack:
        stack.up("production", "staging", "--wait")
        stack.up(*STACK, "rehearsal", "real", AUTO_DOMAINS="yes", ALLOWED_DOMAINS="one.test,two.test")
        stack.until_trusted(["one.test"], "production")
        stack.until_trusted(["two.test"], "staging")
        assert (stack.orders("production"), stack.orders("staging")) == (1, 1)
        refusal = f"{stack.project}/real: other.test is outside ALLOWED_DOMAINS"
        until(lambda: refusal in stack.log("letsencrypt"), "the refusal")
        assert stack.log("letsencrypt").count("outside ALLOWED_DOMAINS") == 1
        problems = str(stack.status()["problems"])
        assert "ACME_POST_HOOK: refused" in problems
        assert "touch" not in problems
