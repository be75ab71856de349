"""Five hundred runs of certbot leave the container's process, the one that forks, and the volumes as they were."""

import json
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authority
from tests.acme.test_many import forking_process
from tests.acme.test_process import Running, running
from tests.waiting import until

pytestmark = [pytest.mark.acme, pytest.mark.slow]

LINEAGES = 25
ROUNDS = 20
SETTLED = 6
"""Rounds after which nothing new is imported or cached."""
AT_A_TIME = 4
LOGS = 11
"""certbot's log and ten that were before it, for each run at a time."""


@dataclass(frozen=True)
class Held:
    """What one process has."""

    kibibytes: int
    threads: int
    descriptors: int


def held(pid: int) -> Held:
    """By proc(5)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Held(int(status["VmRSS"].split()[0]), int(status["Threads"]), descriptors)


def wait_for_round(container: Container, begun: datetime) -> None:
    """Until each lineage had a run that began since, and waits for its next one.

    A run is in the state before its journal is there: that no journal is left does not say that none is under way.
    """

    def is_over() -> bool:
        [path] = container.letsencrypt.glob("state/*/state.json")
        records = json.loads(path.read_bytes())["lineages"].values()
        last = [datetime.fromisoformat(record.get("last_run", "2000-01-01T00:00:00Z")) for record in records]
        due = [datetime.fromisoformat(record["standing"]["not_before"]) for record in records]
        are_waiting = len(due) == LINEAGES and min(last) > begun and min(due) > datetime.now(UTC)
        return are_waiting and not list(path.parent.glob("*.run"))

    until(lambda: list(container.letsencrypt.glob("state/*/state.json")), "a state")
    until(is_over, "a run for each certificate", within=100)


def look_again(program: Running, container: Container, rounds: int) -> None:
    """Have all certificates looked at so many times."""
    for _ in range(rounds):
        begun = datetime.now(UTC)
        os.kill(program.process.pid, signal.SIGHUP)
        wait_for_round(container, begun)


def measured(program: Running) -> tuple[Held, Held]:
    """The container's process and the one that forks, when both rest."""
    found: list[tuple[Held, Held]] = []

    def rest() -> bool:
        found.append((held(program.process.pid), held(forking_process(program))))
        return found[-1:] == found[-2:-1]

    until(rest, "both rest", pause=0.5)
    return found[-1]


def files(container: Container) -> set[Path]:
    """All files on the volumes and in memory but for certbot's logs."""
    folders = (container.letsencrypt, container.certs, container.run)
    paths = {path for folder in folders for path in folder.rglob("*") if not path.is_dir()}
    return {path for path in paths if "letsencrypt.log" not in path.name}


@pytest.mark.timeout(400)
def test_five_hundred_runs_leave_nothing(container: Container, authority: Authority) -> None:
    """Memory, threads, descriptors and files are the same after the last rounds as after the first ones; no process is
    left, and there are no more logs than certbot keeps for each run at a time.
    """
    domains = "; ".join(f"leak-{number}.example" for number in range(LINEAGES))
    container.settings = {"CONCURRENCY": str(AT_A_TIME)}
    orders = authority.orders()
    with running(container, domains, f"--server {authority.directory}") as program:
        wait_for_round(container, datetime(2000, 1, 1, tzinfo=UTC))
        look_again(program, container, SETTLED)
        loop, forks = measured(program)
        kept = files(container)
        look_again(program, container, ROUNDS - SETTLED - 1)
        loop_after, forks_after = measured(program)
        left = files(container)
        assert program.stop() == 0

    assert authority.orders() == orders + LINEAGES, "but for the first round there was nothing to order"
    assert left == kept
    assert len(list(container.letsencrypt.rglob("letsencrypt.log*"))) <= AT_A_TIME * LOGS
    for before, after in ((loop, loop_after), (forks, forks_after)):
        assert (after.threads, after.descriptors) == (before.threads, before.descriptors)
        assert after.kibibytes - before.kibibytes < 3 * 1024
