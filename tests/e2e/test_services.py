"""Web containers come and go; traffic to the others never notices."""

from tests.e2e.stack import Stack
from tests.waiting import until


def test_a_container_is_served_once_it_starts_and_dropped_when_it_stops(stack: Stack) -> None:
    """Discovery by VIRTUAL_HOST: routed to the named port, with headers set that a client cannot forge."""
    stack.up("haproxy", "docker-gate")
    until(lambda: stack.http("one.test").status == 503, "an answer for an unknown host")
    stack.up("app")
    until(lambda: stack.http("one.test").status == 200, "the web container")
    assert stack.https("one.test", "/x").body == "Hello from app: you asked for https://one.test/x\n"

    forged = {"X-Forwarded-For": "10.9.8.7", "X-Real-IP": "10.9.8.7", "Proxy": "http://evil.test"}
    seen = stack.http("www.one.test", "/json", **forged).body
    assert "10.9.8.7" not in seen
    assert "evil.test" not in seen
    assert '"x-forwarded-proto": "http"' in seen
    assert stack.http("one.test", method="TRACE").status == 405

    stack.compose("stop", "--timeout", "5", "app")
    until(lambda: stack.http("one.test").status == 503, "the end of the route")


def test_traffic_flows_without_agent_and_docker_gate(stack: Stack) -> None:
    """The agent killed and Docker out of reach: the last good routes stay, over a restart of the container too."""
    stack.up("haproxy", "docker-gate", "app")
    until(lambda: stack.http("one.test").status == 200, "the web container")
    stack.compose("stop", "--timeout", "1", "docker-gate")
    stack.run_in("haproxy", "s6-svc", "-k", "/run/services/agent")
    for _ in range(20):
        assert stack.http("one.test").status == 200
    stack.compose("restart", "--timeout", "5", "haproxy")
    until(lambda: stack.http("one.test").status == 200, "the remembered route")
    until(lambda: "Docker cannot be asked" in stack.log("haproxy"), "the one line that says so")
    stack.compose("start", "docker-gate")
    until(lambda: stack.status()["containers_as_of"] is not None, "Docker's answer")
