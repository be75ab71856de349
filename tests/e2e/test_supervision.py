"""Whatever ends comes back by itself, and whatever starts late is waited for."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.e2e.stack import Stack
from tests.e2e.visitors import visitors
from tests.waiting import until


def process(stack: Stack, service: str) -> int:
    """The process that s6 watches under this name."""
    return int(stack.run_in("haproxy", "s6-svstat", "-o", "pid", f"/run/services/{service}"))


def is_well(stack: Stack) -> bool:
    """Whether the health check of the container passes and a web container answers."""
    checked = stack.run_in("haproxy", "companion", "healthcheck", check=False)
    return "the agent keeps up" in checked and stack.http("one.test").status == 200


def passes_challenges(stack: Stack) -> bool:
    """Whether the path of challenges leads to letsencrypt, which knows none now."""
    return stack.http("one.test", "/.well-known/acme-challenge/x").headers.get("x-served-by") == "letsencrypt"


def is_running(stack: Stack, service: str) -> bool:
    """Whether a container of a service does."""
    return bool(stack.compose("ps", "--quiet", "--status", "running", service).strip())


def test_what_is_killed_comes_back(stack: Stack) -> None:
    """Agent, HAProxy's master and its worker; whoever connects is served, and the routes are those from before."""
    stack.up("haproxy", "docker-gate", "app")
    until(lambda: is_well(stack), "the web container")
    victims: tuple[Callable[[], int], ...] = (
        lambda: process(stack, "agent"),
        lambda: process(stack, "haproxy"),
        stack.worker,
    )
    for victim in victims:
        stack.run_in("haproxy", "sh", "-c", f"kill -9 {victim()}")
        # Not refused: the ports are open, whoever is dead.
        assert stack.http("one.test").status == 200
        until(lambda: is_well(stack), "everything as before")


def test_a_container_that_dies_is_started_again_and_takes_its_place(stack: Stack) -> None:
    """By Docker, as nobody stopped it; the others go on meanwhile."""
    stack.up("haproxy", "docker-gate", "letsencrypt", "app")
    until(lambda: is_well(stack) and passes_challenges(stack), "the web container, and the server of challenges")
    for service in ("letsencrypt", "docker-gate", "haproxy"):
        stack.kill(service)
        assert service == "haproxy" or stack.http("one.test").status == 200
        until(partial(is_running, stack, service), f"{service} to run")
        until(lambda: is_well(stack) and passes_challenges(stack), "everything as before")


def test_short_of_memory_the_agent_goes_first(stack: Stack) -> None:
    """The kernel ends what has the highest score; HAProxy's is the container's own."""
    stack.up("haproxy")
    until(lambda: stack.http("one.test").status == 503, "HAProxy")
    scores = {
        service: int(stack.run_in("haproxy", "cat", f"/proc/{process(stack, service)}/oom_score_adj"))
        for service in ("agent", "haproxy")
    }
    assert scores["agent"] >= 500 > scores["haproxy"]


def ended_for_memory(stack: Stack) -> int:
    """How many processes of HAProxy's container the kernel has ended, by the second or the first kind of cgroup."""
    files = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
    said = stack.run_in("haproxy", "cat", *files, check=False)
    return sum(int(line.split()[1]) for line in said.splitlines() if line.startswith("oom_kill "))


def test_an_agent_that_takes_all_memory_is_ended_alone(little_memory_stack: Stack) -> None:
    """A file that it reads has become larger than all memory: HAProxy goes on, and the agent too once it is gone."""
    stack = little_memory_stack
    stack.up("haproxy", "docker-gate", "app")
    until(lambda: is_well(stack), "the web container")
    agent, master, worker = process(stack, "agent"), process(stack, "haproxy"), stack.worker()
    assert ended_for_memory(stack) == 0
    with visitors("one.test", stack.port(80), stack.port(443)) as visits:
        # On a disk, the kernel would first make room among all that it has read from there.
        large = "truncate -s 1G /run/large && ln -sf /run/large /wanted/wanted.json"
        stack.run_in("haproxy", "sh", "-c", f"{large} && kill -HUP {agent}")
        until(lambda: ended_for_memory(stack), "the kernel to end the agent", within=60, pause=0.5)
        visits.go_on(100)
        assert process(stack, "agent") != agent
        stack.run_in("haproxy", "rm", "/wanted/wanted.json")
        until(lambda: is_well(stack), "the agent, by itself", pause=0.5)
        visits.go_on(100)
    assert visits.failures == []
    assert (process(stack, "haproxy"), stack.worker()) == (master, worker)


@pytest.mark.parametrize(
    "order",
    [
        ("letsencrypt", "app", "docker-gate", "haproxy", "production"),
        ("docker-gate", "haproxy", "production", "letsencrypt", "app"),
    ],
)
def test_containers_start_in_any_order(stack: Stack, order: tuple[str, ...]) -> None:
    """Each alone and late: whoever needs another one waits for it, and in the end all is served and trusted."""
    stack.environment |= {"DOMAINS": "one.test", "EMAIL": "me@one.test"}
    for service in order:
        stack.compose("up", "--detach", "--no-deps", service)
        until(partial(is_running, stack, service), f"{service} to run")
    until(lambda: stack.http("one.test").status in {200, 301}, "the web container")
    stack.until_trusted(["one.test"], "production", within=120)
