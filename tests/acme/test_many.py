"""Many certificates at a time: real certbot, real Pebble, the container's own process."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authority, Dns
from tests.acme.test_process import Running, running
from tests.waiting import until

pytestmark = [pytest.mark.acme, pytest.mark.slow]

AT_A_TIME = {"CONCURRENCY": "8"}


def accounts(container: Container, authority: Authority) -> int:
    """How many were made, those that were set aside among them."""
    return len(list(container.config(authority).rglob("private_key.json")))


def published(container: Container) -> set[str]:
    """The lineages that the load balancer can serve."""
    return {path.stem for path in container.certs.glob("*.pem")}


def processes_below(pid: int) -> dict[int, str]:
    """All descendants of *pid* that are alive, with the folder of the log that a run has open."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if words[0] != "Z":
            found[int(stat.parent.name)] = int(words[1])
    below = {pid}
    while grown := {child for child, parent in found.items() if parent in below} - below:
        below |= grown
    return {child: open_files(child) for child in below - {pid}}


def open_files(pid: int) -> str:
    """The paths that a process has open."""
    names = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            names.append(str(link.readlink()))
        except OSError:
            continue
    return " ".join(names)


def run_of(program: Running, name: str) -> int:
    """The process of the run for the lineage *name*: certbot's log names it."""

    def find() -> int:
        for pid, files in processes_below(program.process.pid).items():
            logs = [Path(word) for word in files.split() if word.endswith("letsencrypt.log")]
            if any(f"--cert-name {name} " in _command(log) for log in logs):
                return pid
        return 0

    return until(find, f"a run for {name}", pause=0.005)


def _command(log: Path) -> str:
    """The arguments that certbot wrote into its log."""
    try:
        lines = log.read_text().splitlines()
    except OSError:
        return ""
    found = next((line for line in lines if "Arguments: [" in line), "")
    return found.partition("Arguments: ")[2].replace("'", "").replace(",", "") + " "


def all_there(container: Container, names: Iterable[str]) -> None:
    """Wait until all *names* are published."""
    wanted = set(names)
    until(lambda: published(container) >= wanted, f"the bundles of {wanted}", within=100)


def test_one_that_hangs_and_some_that_fail_hold_up_no_other(
    container: Container, authority: Authority, dns: Dns
) -> None:
    """Of 40 certificates, 36 are issued while one run hangs and three names fail, with one account and no order too
    many; the one that hung is issued when it goes on; neither a second start nor another CONCURRENCY orders anything.
    """
    good = [f"good-{number}.many.example" for number in range(36)]
    bad = [f"bad-{number}.many.example" for number in range(3)]
    for name in bad:
        dns.break_name(name)
    container.settings = {**AT_A_TIME, "PREFLIGHT": "off"}
    domains = "; ".join([good[0], "hang.many.example", *bad, *good[1:]])
    options = f"--server {authority.directory}"
    orders = authority.orders()

    with running(container, domains, options) as program:
        hanging = run_of(program, "hang.many.example")
        os.kill(hanging, signal.SIGSTOP)
        try:
            all_there(container, good)
            assert published(container) == set(good)
            until(lambda: program.words().count("No certificate for bad-") == 3, "the failures are told")
            assert hanging in processes_below(program.process.pid)
        finally:
            os.kill(hanging, signal.SIGCONT)
        all_there(container, ["hang.many.example"])
        assert program.stop() == 0
    assert accounts(container, authority) == 1
    assert authority.orders() == orders + 40

    for concurrency in ("8", "1", "32"):
        container.settings = {"CONCURRENCY": concurrency, "PREFLIGHT": "off"}
        container.cycle("; ".join(["hang.many.example", *good]), authority)
    assert authority.orders() == orders + 40
    assert accounts(container, authority) == 1
    assert container.lineages(authority) == {"hang.many.example", *good}


def test_a_stop_leaves_all_lineages_whole(container: Container, authority: Authority) -> None:
    """What is under way at a stop is finished and published; the next start has nothing to mend and orders the rest."""
    names = [f"stop-{number}.many.example" for number in range(16)]
    domains, options = "; ".join(names), f"--server {authority.directory}"
    container.settings = AT_A_TIME
    orders = authority.orders()
    with running(container, domains, options) as program:
        until(lambda: len(published(container)) >= 2, "the first certificates")
        assert program.stop() == 0
        words = program.words()
    done = published(container)
    assert done == container.lineages(authority)
    assert authority.orders() == orders + len(done)
    assert list(container.letsencrypt.rglob("*.run")) == []

    report = container.cycle(domains, authority)
    assert published(container) == set(names)
    assert authority.orders() == orders + len(names)
    assert all(sentence.startswith("Issued a certificate for ") for sentence in report.sentences), (report, words)
    assert accounts(container, authority) == 1


def test_the_forking_process_may_be_killed(container: Container, authority: Authority) -> None:
    """Runs that it had forked go on to their end and are published, the others are forked by its successor."""
    names = [f"killed-{number}.many.example" for number in range(12)]
    container.settings = {"CONCURRENCY": "4"}
    orders = authority.orders()
    with running(container, "; ".join(names), f"--server {authority.directory}") as program:
        for count in (1, 4):
            until(lambda: len(published(container)) >= count, "some certificates")  # noqa: B023 - within the round
            os.kill(forking_process(program), signal.SIGKILL)
        all_there(container, names)
        assert program.stop() == 0
    assert authority.orders() == orders + 12
    assert container.lineages(authority) == set(names)
    assert accounts(container, authority) == 1
    assert "ERROR" not in program.words()


def forking_process(program: Running) -> int:
    """The only child of the container's process."""

    def child() -> int:
        children = Path(f"/proc/{program.process.pid}/task").glob("*/children")
        return next((int(pid) for each in children for pid in each.read_text().split()), 0)

    return until(child, "the forking process", pause=0.005)


def test_a_kill_of_everything_in_mid_run_costs_little(container: Container, authority: Authority) -> None:
    """After kill -9 of all processes with several runs under way, there is no second lineage of any, no second account,
    and no certificate is ordered twice at once.
    """
    names = [f"crash-{number}.many.example" for number in range(8)]
    domains, options = "; ".join(names), f"--server {authority.directory}"
    container.settings = AT_A_TIME
    with running(container, domains, options) as program:
        until(lambda: len(list(container.letsencrypt.rglob("*.run"))) >= 6, "runs under way", pause=0.005)
        below = processes_below(program.process.pid)
        program.process.kill()
        for pid in below:
            os.kill(pid, signal.SIGKILL)
    orders = authority.orders()
    container.cycle(domains, authority)
    assert container.lineages(authority) <= set(names)
    assert accounts(container, authority) == 1
    assert authority.orders() <= orders + len(names)
    container.cycle(domains, authority)
    assert container.lineages(authority) <= set(names)
