"""Webhooks, programs and deploy hooks: what each gets, how long it may take, and what is said when it fails."""

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from letsencrypt.hooks import run_program
from letsencrypt.receivers import DeployHooks, NotTaken, Program, Webhook, payload
from tests.ports import free_port
from tests.waiting import until

EVENT: dict[str, JsonValue] = {
    "id": "1",
    "event": "renewed",
    "lineage": "a.test",
    "names": ["a.test", "www.a.test"],
    "text": "The certificate was renewed.",
    "live": "/etc/letsencrypt/live/a.test",
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    status = 200
    heard: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Remember."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.server.heard.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests look at what was heard."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A webhook."""
    with _Server(("127.0.0.1", 0), _Handler) as running:
        running.heard = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def webhook(port: int, deadline: float = 5.0) -> Webhook:
    """One that does not sleep between its tries."""
    return Webhook(f"http://user:word@127.0.0.1:{port}/hook?token=secret", 1, 1, deadline, sleep=lambda _: None)


def refusal(of: Webhook) -> str:
    """Why it took nothing."""
    with pytest.raises(NotTaken) as refused:
        of.send(EVENT)
    assert refused.value.__cause__ is None
    return str(refused.value)


def test_a_webhook_gets_the_event(server: _Server) -> None:
    """As JSON, with the sentence under every name by which receivers look for one, and no path of ours."""
    webhook(server.server_port).send(EVENT)
    [heard] = server.heard
    assert heard == payload(EVENT)
    assert {heard[name] for name in ("text", "content", "message")} == {"The certificate was renewed."}
    assert heard["title"] == "a.test: renewed"
    assert "live" not in heard


def test_a_long_sentence_is_cut() -> None:
    """Discord refuses more than two thousand characters."""
    assert len(str(payload({**EVENT, "text": "x" * 9000})["content"])) < 2000


@pytest.mark.parametrize("status", [500, 404, 302, 429])
def test_any_other_status_is_a_refusal(server: _Server, status: int) -> None:
    """A redirect, too: it would turn the POST into a GET; three tries, then it is for later."""
    server.status = status
    assert refusal(webhook(server.server_port)) == f"it answered with the HTTP status {status}"
    assert len(server.heard) == 3


def test_nobody_there_is_said_without_the_url() -> None:
    """By the system's word alone."""
    assert refusal(webhook(free_port())) == "Connection refused"
    unknown = Webhook("http://secret.invalid/token", 1, 1, sleep=lambda _: None)
    assert "secret" not in refusal(unknown)
    assert "secret" not in refusal(Webhook("http://secret..test/", 1, 1, sleep=lambda _: None))


@contextmanager
def dripping() -> Iterator[int]:
    """The port of a server that sends one byte of its answer now and then, for ever."""
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not done.wait(0.05):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


def test_a_receiver_that_drips_is_given_up() -> None:
    """No timeout of a socket would ever end that."""
    with dripping() as port:
        assert refusal(webhook(port, deadline=0.1)) == "it does not answer in time"


def script(folder: Path, *lines: str) -> str:
    """An executable."""
    path = folder / "hook"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def test_a_program_gets_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard input and in its environment, with what certbot tells deploy hooks; but not the webhooks."""
    monkeypatch.setenv("NOTIFY_URL", "https://secret.example")
    Program(script(tmp_path, f"cat >{tmp_path}/in", f"env >{tmp_path}/env")).send(EVENT)
    assert json.loads((tmp_path / "in").read_text()) == payload(EVENT)
    environ = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert {name: environ.get(name) for name in ("EVENT", "LINEAGE", "NAMES", "RENEWED_LINEAGE")} == {
        "EVENT": "renewed",
        "LINEAGE": "a.test",
        "NAMES": "a.test www.a.test",
        "RENEWED_LINEAGE": "/etc/letsencrypt/live/a.test",
    }
    assert environ["RENEWED_DOMAINS"] == environ["NAMES"]
    assert environ["PATH"] == os.environ["PATH"]
    assert "NOTIFY_URL" not in environ
    Program(script(tmp_path, f"env >{tmp_path}/env")).send({**EVENT, "event": "failing"})
    assert "RENEWED_LINEAGE" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["echo first >&2", "echo 'no \x1b route' >&2", "exit 3"], "it ended with the status 3: no route"),
        (["exit 1"], "it ended with the status 1: it said nothing"),
        (["kill -9 $$"], "it ended with the signal 9: it said nothing"),
        (["yes | head -c 9000000 >&2", "echo end >&2", "exit 1"], "it ended with the status 1: end"),
    ],
)
def test_a_program_that_fails_is_said_with_its_last_word(tmp_path: Path, lines: list[str], said: str) -> None:
    """However much it wrote before."""
    with pytest.raises(NotTaken, match=f"^{said}$"):
        Program(script(tmp_path, *lines)).send(EVENT)


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    """As the system puts it."""
    with pytest.raises(NotTaken, match=r"^it cannot be run: No such file or directory$"):
        Program(str(tmp_path / "nothing")).send(EVENT)
    (tmp_path / "nothing").touch()
    with pytest.raises(NotTaken, match=r"^it cannot be run: Permission denied$"):
        Program(str(tmp_path / "nothing")).send(EVENT)


def test_a_program_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    """Most look at their environment only."""
    Program(script(tmp_path, "exec 0<&-", "exit 0")).send({**EVENT, "reason": "x" * 1_000_000})


def test_a_program_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Even if it does not want to."""
    starts = f"sleep 300 & echo $! >{tmp_path}/own; mv {tmp_path}/own {tmp_path}/pid"
    path = script(tmp_path, "trap '' TERM", starts, "wait", "sleep 300")
    for seconds in (0.1, 1, 10, 60):
        run = partial(run_program, limit=timedelta(seconds=seconds), grace=timedelta(seconds=0.1))
        with pytest.raises(NotTaken, match=r"it did not end within 0:0.* and was stopped"):
            Program(path, run).send(EVENT)
        if (tmp_path / "pid").exists():
            break  # else it had no time to start anything
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not _runs(pid), "what it started has ended")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_deploy_hook_is_run_as_certbot_runs_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the shell, with the two variables; where it fails, its file is named, and nothing of its arguments."""
    hook = {"command": f'echo "$RENEWED_LINEAGE $RENEWED_DOMAINS" >{tmp_path}/out'}
    DeployHooks().send({**hook, "RENEWED_LINEAGE": "/live/a.test", "RENEWED_DOMAINS": "a.test b.test"})
    assert (tmp_path / "out").read_text() == "/live/a.test a.test b.test\n"
    with pytest.raises(NotTaken, match=r"^false: it ended with the status 1: it said nothing$"):
        DeployHooks().send({"command": "/bin/false --token=secret"})
    caplog.set_level(logging.WARNING)
    DeployHooks().send({"failed": "certbot's pre-hook", "reason": "it ended with the status 1: no"})
    assert caplog.messages == ["certbot's pre-hook failed, which changes nothing else: it ended with the status 1: no."]
