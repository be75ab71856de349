"""What was tried and ordered survives restarts, kills and damage; real certbot against real Pebble."""

import json
import logging
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.budget import Spent
from letsencrypt.certonly import Directory, Options, rehearsal, rehearsal_folders
from letsencrypt.control import Verb
from letsencrypt.forks import Certbot
from letsencrypt.lineages import parse_domains
from letsencrypt.schedule import Failure
from letsencrypt.state import State
from letsencrypt.state_file import StateFile, state_folder
from tests.acme.container import Container
from tests.acme.pebble import Authority, Dns
from tests.acme.processes import descendants, kill
from tests.acme.test_process import Running, running
from tests.waiting import until

pytestmark = pytest.mark.acme


def folder_of(container: Container, authority: Authority) -> Path:
    """Where the state is."""
    return state_folder(Directory(authority.directory), container.letsencrypt)


def state_of(container: Container, authority: Authority) -> State:
    """What is remembered."""
    state, _ = StateFile(folder_of(container, authority)).load(datetime.now(UTC))
    assert state is not None
    return state


def test_restarts_do_not_repeat_an_order_that_failed(container: Container, authority: Authority, dns: Dns) -> None:
    """A name that cannot be validated is ordered once, however often the container starts in that minute; another
    list of names is tried at once.
    """
    dns.break_name("restarted.example")
    orders = authority.orders()
    for _ in range(4):
        container.cycle("restarted.example", authority)
    assert authority.orders() == orders + 1
    [spent] = state_of(container, authority).spent
    assert (spent.failed, spent.issued) == (("restarted.example",), False)

    container.cycle("restarted.example, www.restarted.example", authority)
    assert authority.orders() == orders + 2


def kill_all(program: Running) -> None:
    """SIGKILL for all of the container."""
    kill(program.process.pid, *descendants(program.process.pid))
    program.process.wait()


def test_a_kill_in_the_middle_of_an_order_is_remembered(container: Container, authority: Authority) -> None:
    """With SIGKILL for all of the container, the next start knows that there was an order, and waits its minute."""
    orders = authority.orders()
    with running(container, "killed.example", f"--server {authority.directory}", PYTHONPATH="") as program:
        journal = folder_of(container, authority) / "killed.example.run"
        until(lambda: says(journal, "ordered"), "certbot orders", pause=0.01)
        kill_all(program)
    container.cycle("killed.example", authority)

    assert authority.orders() <= orders + 1
    state = state_of(container, authority)
    assert len(state.spent) == 1
    record = state.lineages["killed.example"]
    assert record.standing.failure in {"interrupted", "after finalize"}
    assert record.wanted
    assert not journal.exists()
    container.ask(Verb.RETRY, "killed.example")
    container.cycle("killed.example", authority)
    authority.verify(container.published("killed.example").pem, "killed.example")
    assert container.lineages(authority) == {"killed.example"}


def test_no_order_crosses_the_limit(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the count says that enough were issued, certbot is stopped at the very moment it would order; what is not
    due is looked at all the same.
    """
    container.cycle("fine.example", authority)
    state = state_of(container, authority)
    spent = [Spent(time=datetime.now(UTC), names=("spent.example",), issued=True)] * 10
    StateFile(folder_of(container, authority)).save(state.model_copy(update={"spent": tuple(spent)}))
    orders = authority.orders()
    caplog.clear()

    container.cycle("fine.example; spent.example", authority)

    assert authority.orders() == orders
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith(
        f"No certificate is ordered for spent.example from {authority.host} now: enough certificates for the same "
        "names were issued within seven days"
    )


def test_a_damaged_state_is_no_fresh_start(
    container: Container, authority: Authority, dns: Dns, caplog: pytest.LogCaptureFixture
) -> None:
    """It is set aside with one line, and what failed waits for a minute at least."""
    dns.break_name("forgotten.example")
    container.cycle("forgotten.example", authority)
    orders = authority.orders()
    (folder_of(container, authority) / "state.json").write_text("{")
    caplog.clear()
    report = container.cycle("forgotten.example", authority)

    assert authority.orders() == orders
    assert timedelta(seconds=50) < report.pause < timedelta(seconds=70)
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "cannot be used" in line


def test_a_rehearsal_validates_and_keeps_nothing(container: Container, authority: Authority, dns: Dns) -> None:
    """The names are tried, with the account's own folder, and no lineage is left of it."""
    dns.break_name("unready.example")
    folders = rehearsal_folders(container.letsencrypt, container.run, container.run / "webroot")
    folders.work.mkdir(parents=True)
    certbot = Certbot(lambda: datetime.now(UTC))
    options = Options(directory=Directory(authority.directory))
    with container.started("", ""):
        outcomes = [
            certbot.run(rehearsal(lineage, options, folders, None), folders.work)
            for lineage in parse_domains("ready.example, www.ready.example; unready.example").lineages
        ]
    assert [outcome.failure for outcome in outcomes] == [None, Failure.VALIDATION]
    assert list(folders.config.glob("live/*.example")) == []
    assert list(folders.config.glob("renewal/*")) == []


def test_an_account_that_the_ca_forgot_is_replaced_once_a_day(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Its files are set aside, a new one is registered at once; when that is unknown, too, all wait."""
    container.cycle("first.example", authority)

    def lose_account() -> None:
        [registration] = (container.config(authority) / "accounts").rglob("regr.json")
        registration.write_text(re.sub(r"/my-account/[^\"]+", "/my-account/nobody", registration.read_text()))

    lose_account()
    container.cycle("first.example; second.example", authority)
    authority.verify(container.published("second.example").pem, "second.example")
    assert "is not known at" in caplog.text
    lose_account()
    caplog.clear()
    container.cycle("first.example; third.example; fourth.example", authority)
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith(f"The account at {authority.host} cannot be used, so no certificate is ordered: ")
    assert line.endswith("Next try in 24 hours.")


def test_commands_work_beside_the_running_loop(container: Container, authority: Authority, dns: Dns) -> None:
    """A retry is tried at once, and a certificate that nobody wants any more is gone when it is forgotten."""
    container.cycle("dropped.example", authority)
    dns.break_name("slow.example")
    with running(container, "slow.example", f"--server {authority.directory}") as program:

        def command(*words: str) -> str:
            environ = {**os.environ, **container.environ("slow.example", f"--server {authority.directory}")}
            done = subprocess.run(
                [sys.executable, "-m", "letsencrypt", *words],
                env=environ,
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
            return done.stdout

        program.wait_for("No certificate for slow.example")
        until(lambda: "failed (validation)" in command("status"), "the status tells the failure")
        dns.mend_name("slow.example")
        command("retry", "slow.example")
        program.wait_for("is tried again now, as asked.")
        program.wait_for("Issued a certificate for slow.example")
        command("forget", "dropped.example")
        program.wait_for("Forgot the certificate dropped.example.")
        until(lambda: len(json.loads(command("status", "--json"))) == 1, "the forgotten one is not shown")
        [told] = json.loads(command("status", "--json"))
        assert program.stop() == 0
    assert told["outcome"] == "ok"
    assert told["valid_until"]
    assert container.lineages(authority) == {"slow.example"}
    assert [path.name for path in container.certs.iterdir()] == ["slow.example.pem"]


def says(path: Path, word: str) -> bool:
    """Whether there is such a file with that word in it."""
    return path.exists() and word in path.read_text()


def test_a_hundred_restarts_place_three_orders_at_most(container: Container, authority: Authority, dns: Dns) -> None:
    """A container that dies and starts in a loop, the first time by SIGKILL in the middle of an order, is no burden to
    the authority: each try is remembered before it is made.
    """
    dns.break_name("looping.example")
    orders = authority.orders()
    for start in range(100):
        if start % 25:
            container.cycle("looping.example", authority)
            continue
        with running(container, "looping.example", f"--server {authority.directory}", PYTHONPATH="") as program:
            # The first one has ordered; the others die as soon as they know of that.
            if start:
                until((container.run / "heartbeat").exists, "it began")
            else:
                until(lambda: authority.orders() > orders, "it orders", pause=0.01)
            kill_all(program)
            (container.run / "heartbeat").unlink(missing_ok=True)
    assert 1 <= authority.orders() - orders <= 3
    assert len(state_of(container, authority).spent) <= 3


def test_other_domains_or_options_reset_their_lineage_alone(
    container: Container, authority: Authority, dns: Dns
) -> None:
    """Of two that failed, only the one whose names changed is tried again at once."""
    dns.break_name("changed.example")
    dns.break_name("same.example")
    container.cycle("changed.example; same.example", authority)
    orders = authority.orders()
    container.cycle("changed.example, www.changed.example; same.example", authority)
    assert authority.orders() == orders + 1
    container.cycle("changed.example, www.changed.example; same.example", authority, "--key-type", "rsa")
    assert authority.orders() == orders + 3
