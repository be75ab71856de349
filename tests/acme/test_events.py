"""Who wants to be told of certificates is told, and never costs an order or a moment; real certbot, real receivers."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from letsencrypt.budget import Spent
from letsencrypt.certonly import Directory, Folders, Options, arguments
from letsencrypt.forks import COMMAND, Certbot
from letsencrypt.lineages import parse_domains
from letsencrypt.outbox import Item
from letsencrypt.rounds import is_under_way
from letsencrypt.state_file import StateFile, state_folder
from tests.acme.container import Container
from tests.acme.pebble import LOOPBACK, PROFILES, Authorities, Authority, Dns
from tests.acme.test_process import running
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.acme

SECRET = "token-that-nobody-may-see"


class Receiver(ThreadingHTTPServer):
    """A webhook that can be made to fail and to hang."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        self.calls = threading.Semaphore(0)
        self.release = threading.Event()
        self.release.set()

    @property
    def url(self) -> str:
        """What NOTIFY_URL holds."""
        return f"http://{LOOPBACK}:{self.server_port}/{SECRET}"

    def kinds(self) -> list[str]:
        """What was heard so far."""
        return [event["event"] for event in self.heard]

    def handle_error(self, *_: Any) -> None:
        """A courier that gives up hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Hear it, once it may be answered."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.release()
        self.server.release.wait()
        if self.server.status == 200:
            self.server.heard.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests look at what was heard."""


@pytest.fixture
def receiver(container: Container) -> Iterator[Receiver]:
    """One that the container knows, and that is told everything."""
    with Receiver() as running:
        container.settings |= {"NOTIFY_URL": running.url, "NOTIFY_EVENTS": "all"}
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.release.set()
        until(lambda: not is_under_way(container.letsencrypt / "events"), "no courier is under way")
        running.shutdown()
        thread.join()


def waiting(container: Container, outbox: str) -> list[Path]:
    """What waits in an outbox."""
    return sorted((container.letsencrypt / "events" / outbox).glob("*.json"))


def let_time_pass(container: Container) -> None:
    """Make everything due that waits for its next try."""
    until(lambda: not is_under_way(container.letsencrypt / "events"), "the round is over")
    for path in (container.letsencrypt / "events").glob("*/*.json"):
        item = Item.model_validate_json(path.read_bytes())
        path.write_text(item.model_copy(update={"not_before": datetime.now(UTC)}).model_dump_json())


def test_a_webhook_hears_of_a_certificate_and_of_its_renewal(
    container: Container, authority: Authority, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once each, with fields that machines can use and a sentence for people; the URL is nowhere to be found."""
    container.cycle("told.example, www.told.example", authority)
    until(lambda: receiver.heard, "the webhook hears")
    authority.advise_renewal_now(container.published("told.example").pem)
    container.cycle("told.example, www.told.example", authority)
    until(lambda: len(receiver.heard) > 1, "the webhook hears of the renewal")
    container.cycle("told.example, www.told.example", authority)

    assert receiver.kinds() == ["issued", "renewed"]
    bundle = container.published("told.example")
    event = receiver.heard[1]
    moment = datetime.fromisoformat(event.pop("time"))
    assert timedelta() <= datetime.now(UTC) - moment < timedelta(minutes=1)
    assert datetime.fromisoformat(event.pop("not_after")) == bundle.not_after
    text = (
        "The certificate for told.example, www.told.example was renewed: "
        f"valid until {bundle.not_after:%Y-%m-%d %H:%M} UTC, from {authority.host}."
    )
    assert event.pop("id")
    assert event == {
        "event": "renewed",
        "lineage": "told.example",
        "names": ["told.example", "www.told.example"],
        "source": authority.host,
        "reason": "",
        "attempts": 0,
        "next_try": None,
        "title": "told.example: renewed",
        "text": text,
        "content": text,
        "message": text,
    }
    assert SECRET not in "".join(capfd.readouterr())
    files = (path for folder in (container.letsencrypt, container.run) for path in folder.rglob("*") if path.is_file())
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_failing_webhook_costs_no_order(
    container: Container, authority: Authority, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    """With 500 for an answer, one line says so, over restarts what it did not take is kept, and nothing is ordered
    again; when it is well, it hears all of it.
    """
    receiver.status = 500
    orders = authority.orders()
    container.cycle("kept.example", authority)
    until(lambda: not is_under_way(container.letsencrypt / "events") and receiver.calls.acquire(False), "it was asked")
    for _ in range(3):
        container.cycle("kept.example", authority)
    assert len(waiting(container, "webhook-1")) == 1
    let_time_pass(container)
    receiver.status = 200
    container.cycle("kept.example", authority)
    until(lambda: receiver.heard, "the webhook hears")
    until(lambda: not waiting(container, "webhook-1"), "nothing waits any more")

    assert authority.orders() == orders + 1
    said = [line.partition(" ")[2] for line in capfd.readouterr().err.splitlines() if "NOTIFY_URL" in line]
    assert [line.partition("The webhook")[2] for line in said] == [
        " of NOTIFY_URL failed: it answered with the HTTP status 500. What it has not taken is kept and tried again.",
        " of NOTIFY_URL works again.",
    ]


def test_a_hanging_webhook_holds_up_nothing(container: Container, authority: Authority, receiver: Receiver) -> None:
    """While it does not answer, certificates are issued as if it did not exist, and a program hears of them."""
    receiver.release.clear()
    container.settings["NOTIFY_EXEC"] = hook(container.run / "program", f"cat >>{container.run}/told")
    container.cycle("first.example", authority)
    until(lambda: receiver.calls.acquire(False), "the webhook was asked")
    container.cycle("first.example; second.example", authority)

    assert is_under_way(container.letsencrypt / "events")
    authority.verify(container.published("second.example").pem, "second.example")
    assert receiver.heard == []
    receiver.release.set()
    until(lambda: receiver.heard, "the webhook answers")
    container.cycle("first.example; second.example", authority)
    until(lambda: len(receiver.heard) == 2 or container.cycle("first.example; second.example", authority), "all")
    until(lambda: (container.run / "told").read_text().count('"event": "issued"') == 2, "the program hears")


def test_a_hanging_webhook_holds_up_no_stop(container: Container, authority: Authority, receiver: Receiver) -> None:
    """`docker stop` ends the container at once; what was not taken is there at the next start."""
    receiver.release.clear()
    with running(container, "stopped.example", f"--server {authority.directory}") as program:
        until(lambda: receiver.calls.acquire(False), "the webhook was asked")
        assert program.stop() == 0
    assert len(waiting(container, "webhook-1")) == 1


def test_nobody_there_is_a_line(container: Container, authority: Authority, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused connection is said in the system's word, and what happened is kept."""
    container.settings |= {"NOTIFY_URL": f"http://{LOOPBACK}:{free_port()}/{SECRET}", "NOTIFY_EVENTS": "all"}
    container.cycle("lonely.example", authority)
    lines: list[str] = []

    def is_said() -> bool:
        lines.extend(capfd.readouterr().err.splitlines())
        return any("The webhook of NOTIFY_URL failed: Connection refused." in line for line in lines)

    until(is_said, "one line")
    assert len(waiting(container, "webhook-1")) == 1
    assert SECRET not in " ".join(lines)


def test_trouble_is_told_and_its_end(
    container: Container, authorities: Authorities, receiver: Receiver, dns: Dns
) -> None:
    """A refusal at once, our own count before the CA's, a certificate near its end, and that all is well again."""
    picky = authorities.start(
        domainBlocklist=["blocked.example"],
        profiles={**PROFILES, "brief": {"description": "", "validityPeriod": 15}},
    )
    container.cycle("fading.example", picky, "--preferred-profile", "brief")
    dns.break_name("fading.example")
    names = "blocked.example; spent.example; fading.example"
    folder = state_folder(Directory(picky.directory), container.letsencrypt)
    state, _ = StateFile(folder).load(datetime.now(UTC))
    assert state
    spent = [Spent(time=datetime.now(UTC), names=("spent.example",), issued=True)] * 10
    StateFile(folder).save(state.model_copy(update={"spent": tuple(spent)}))

    def is_told() -> bool:
        container.cycle(names, picky, "--preferred-profile", "brief")
        return {"failing", "rate-limited", "expiring"} <= set(receiver.kinds())

    until(is_told, "all of it is told", within=60)
    told = {event["event"]: event for event in receiver.heard}
    assert "is a forbidden domain" in told["failing"]["text"]
    assert told["failing"]["attempts"] == 1
    assert told["rate-limited"]["lineage"] == "spent.example"
    assert told["expiring"]["lineage"] == "fading.example"
    assert "fading.example" in told["expiring"]["text"]
    assert "and was not renewed" in told["expiring"]["text"]
    kinds = receiver.kinds()
    assert kinds.count("failing") == kinds.count("rate-limited") == 1


def hook(path: Path, *lines: str) -> str:
    """An executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def hooks_of(container: Container) -> Path:
    """The operator's folder of certbot's hooks, which is for every server."""
    return container.letsencrypt / "renewal-hooks"


def test_a_deploy_hook_that_fails_is_run_again_and_orders_nothing(
    container: Container, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    """The certificate is issued and published; one line names the hook and its last word; when it works, it has been
    told of a lineage that exists.
    """
    orders = authority.orders()
    switch = container.run / "works"
    lines = (f"test -e {switch} || {{ echo no way >&2; exit 3; }}", 'test -e "$RENEWED_LINEAGE/fullchain.pem"')
    out = container.run / "out"
    hook(hooks_of(container) / "deploy/reload.sh", *lines, f'echo "$RENEWED_DOMAINS" >{out}')
    container.cycle("hooked.example, www.hooked.example", authority)
    lines_said: list[str] = []

    def is_said() -> bool:
        lines_said.extend(capfd.readouterr().err.splitlines())
        return any("reload.sh: it ended with the status 3: no way" in line for line in lines_said)

    until(is_said, "the log says what failed")
    authority.verify(container.published("hooked.example").pem, "hooked.example")
    container.cycle("hooked.example, www.hooked.example", authority)
    assert len(waiting(container, "deploy-hooks")) == 1
    switch.touch()
    let_time_pass(container)
    container.cycle("hooked.example, www.hooked.example", authority)

    until(lambda: out.exists() and out.read_text() == "hooked.example www.hooked.example\n", "the hook works")
    until(lambda: not waiting(container, "deploy-hooks"), "it is done")
    assert authority.orders() == orders + 1
    assert "A deploy hook of certbot failed: reload.sh" in "\n".join(lines_said)


def test_a_deploy_hook_that_hangs_holds_up_nothing(container: Container, authority: Authority) -> None:
    """The cycle ends with both certificates published while the hook still waits."""
    fifo = container.run / "fifo"
    os.mkfifo(fifo)
    hook(hooks_of(container) / "deploy/hang.sh", f"read word <{fifo}")
    container.cycle("slow.example; fast.example", authority)
    for name in ("slow.example", "fast.example"):
        authority.verify(container.published(name).pem, name)
    assert len(waiting(container, "deploy-hooks")) == 2
    for left in (1, 0):
        until(lambda: is_under_way(container.letsencrypt / "events"), "the hook is run")
        fifo.write_text("go on\n")
        until(lambda left=left: len(waiting(container, "deploy-hooks")) == left, "one hook is done")  # type: ignore[misc]


def test_hooks_before_and_after_are_certbots_own(
    container: Container, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    """They run with each order, and one that fails is said, and fails nothing."""
    hooks = hooks_of(container)
    for kind in ("pre", "post"):
        hook(hooks / kind / "note.sh", f"echo {kind} $RENEWED_DOMAINS >>{container.run}/ran")
    hook(hooks / "pre/bad.sh", "echo it is broken >&2", "exit 1")
    container.cycle("around.example", authority)
    lines: list[str] = []

    def is_said() -> bool:
        lines.extend(capfd.readouterr().err.splitlines())
        return any("certbot's pre-hook failed" in line for line in lines)

    until(is_said, "the failure is said")
    assert any(line.endswith("it ended with the status 1: it is broken.") for line in lines)
    assert (container.run / "ran").read_text().splitlines() == ["pre", "post around.example"]
    authority.verify(container.published("around.example").pem, "around.example")


def test_a_run_that_is_ended_in_a_hook_loses_no_certificate(container: Container, authority: Authority) -> None:
    """The run is ended with it, as when its time is up, and what was issued is published, without another order."""
    config = container.config(authority)
    hanging = config / "renewal-hooks/post/hang.sh"
    hook(hanging, "kill -KILL 0")
    folders = Folders(config, container.run / "work", config / "logs", container.run / "webroot")
    [lineage] = parse_domains("bounded.example").lineages
    command = arguments(lineage, Options((), Directory(authority.directory)), folders, None)
    orders = authority.orders()
    with container.started("", ""):
        certbot = Certbot(lambda: datetime.now(UTC), timedelta(seconds=60), timedelta(seconds=1), COMMAND)
        outcome = certbot.run(command, container.run)
    assert outcome.failure is not None
    assert outcome.finalized
    hanging.unlink()

    container.cycle("bounded.example", authority)
    authority.verify(container.published("bounded.example").pem, "bounded.example")
    assert authority.orders() == orders + 1
