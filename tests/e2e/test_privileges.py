"""Who may touch what: the containers hold nothing that they do not need."""

import json
import subprocess

import pytest

from tests.e2e.stack import LIMIT, Stack
from tests.waiting import until

SERVICES = ("haproxy", "letsencrypt", "docker-gate")


def _inspect(stack: Stack, service: str) -> dict[str, object]:
    container = stack.compose("ps", "--quiet", service).strip()
    command = ["docker", "inspect", container]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    inspected: dict[str, object] = json.loads(outcome.stdout)[0]
    return inspected


def test_no_process_has_privileges(plain_stack: Stack) -> None:
    """Every process of every container is uid 10001, without capabilities and without a way to gain any."""
    plain_stack.up()
    until(lambda: plain_stack.https("unknown.test").status == 503, "HAProxy")
    for service in SERVICES:
        states = plain_stack.run_in(service, "sh", "-c", "cat /proc/[0-9]*/status")
        fields = [line.split() for line in states.splitlines() if line.startswith(("Uid:", "CapEff:", "NoNewPrivs:"))]
        assert len(fields) >= 3
        # "cat" and "sh" themselves run as docker-gate's starting user, with what that has: nothing but SETUID, SETGID.
        uids = {field[1] for field in fields if field[0] == "Uid:"}
        capabilities = {int(field[1], 16) for field in fields if field[0] == "CapEff:"}
        assert {field[1] for field in fields if field[0] == "NoNewPrivs:"} == {"1"}
        if service == "docker-gate":
            first = plain_stack.run_in(service, "cat", "/proc/1/status")
            assert "Uid:\t10001\t10001\t10001\t10001" in first
            assert "CapEff:\t0000000000000000" in first
            assert capabilities <= {0, 0xC0}
        else:
            assert uids == {"10001"}
            assert capabilities == {0}


def test_root_file_systems_are_read_only_and_the_socket_is_behind_the_gate(plain_stack: Stack) -> None:
    """Only docker-gate mounts the Docker socket, and HAProxy's container has neither it nor the ACME account."""
    plain_stack.up()
    for service in SERVICES:
        inspected = _inspect(plain_stack, service)
        host_config = inspected["HostConfig"]
        mounts = inspected["Mounts"]
        assert isinstance(host_config, dict)
        assert isinstance(mounts, list)
        assert host_config["ReadonlyRootfs"]
        assert host_config["CapDrop"] == ["ALL"]
        assert not host_config["Privileged"]
        destinations = {mount["Destination"]: mount["RW"] for mount in mounts}
        assert ("/var/run/docker.sock" in destinations) == (service == "docker-gate")
        assert ("/etc/letsencrypt" in destinations) == (service == "letsencrypt")
        if service == "haproxy":
            assert destinations["/certs"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version", 200),
        ("GET", "/v1.41/containers/json", 200),
        ("GET", "/v1.41/containers/json?all=1", 200),
        ("GET", "/v1.41/networks/" + "0" * 64, 404),
        ("GET", "/v1.41/networks", 403),
        ("GET", "/v1.41/networks/" + "0" * 63, 403),
        ("POST", "/v1.41/networks/" + "0" * 64 + "/connect", 403),
        ("GET", "/_ping", 403),
        ("POST", "/v1.41/containers/create", 403),
        ("POST", "/v1.41/containers/json", 403),
        ("DELETE", "/v1.41/containers/" + "0" * 64, 403),
        ("GET", "/v1.41/images/json", 403),
        ("GET", "/v1.41/containers/" + "0" * 64 + "/archive?path=/etc/shadow", 403),
        ("GET", "/v1.41/containers/" + "0" * 64 + "/logs", 403),
        ("GET", "/v1.41/secrets", 403),
        ("GET", "/v1.41/containers/json/../../images/json", 403),
        ("GET", "/v1.41/containers/%6a%73%6f%6e", 403),
    ],
)
def test_docker_gate_lets_only_looks_through(gate: Stack, method: str, path: str, status: int) -> None:
    """The filter passes the agent's few GETs and refuses every other method and path."""
    script = (
        "import http.client, sys; c = http.client.HTTPConnection('docker-gate', 2375, timeout=10); "
        "c.putrequest(sys.argv[1], sys.argv[2]); c.endheaders(); print(c.getresponse().status)"
    )
    answer = gate.run_in("haproxy", "/opt/venv/bin/python", "-c", script, method, path)
    assert int(answer) == status
