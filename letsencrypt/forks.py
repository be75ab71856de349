"""Runs certbot: each run is forked from a process that has imported it, bounded in time, judged by its last word."""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from letsencrypt.runner import Outcome, judge
from letsencrypt.schedule import Failure

log = logging.getLogger(__name__)

TIME_LIMIT = timedelta(minutes=5)
"""Longer than any honest run: certbot waits at most 90 s for a certificate and 45 s for each answer."""
GRACE = timedelta(seconds=10)
"""From SIGTERM, on which certbot removes its challenges, to SIGKILL."""
COMMAND = (sys.executable, "-P", "-m", "letsencrypt.certbot_process")
_ROOT = str(Path(__file__).parents[1])
_TRIES = 5
"""Two are lost where the server is killed just when it is asked."""


class ForkServer:
    """The process that forks (forkserver.py): started when it is needed, and again when it is gone.

    It ends with whoever holds this.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._requests: socket.socket | None = None
        self._lock = threading.Lock()
        self.pid: int | None = None
        """Of the last one."""

    def request(self, order: bytes, streams: Sequence[int], report: socket.socket) -> None:
        """Ask for a process with this *order* and these *streams*; OSError if that cannot be."""
        with self._lock:
            requests = self._started()
            try:
                socket.send_fds(requests, [order], [*streams, report.fileno()])
            except OSError:
                self._leave()
                raise

    def kill(self) -> None:
        """End one that does not answer, and nothing that it forked."""
        with self._lock:
            self._leave()
            if self.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def _leave(self) -> None:
        if self._requests is not None:
            self._requests.close()
        self._requests = None

    def _started(self) -> socket.socket:
        if self._requests is None:
            theirs, self._requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            weakref.finalize(self, self._requests.close)
            path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
            with theirs:
                process = subprocess.Popen(
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": path},
                )
            self.pid = process.pid
            threading.Thread(target=process.wait, name="forkserver", daemon=True).start()
        return self._requests


@dataclass
class _Run:
    """A process, with all that was heard of it."""

    report: socket.socket
    output: int
    errors: int
    heard: dict[int, bytearray] = field(default_factory=dict)
    pid: int | None = None
    status: int | None = None

    def __post_init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        for descriptor in (self.output, self.errors, self.report.fileno()):
            self._selector.register(descriptor, selectors.EVENT_READ)
            self.heard[descriptor] = bytearray()

    def follow(self, limit: timedelta, noticed: Callable[[], None]) -> bool:
        """Read all it says until it ends, but not for longer than *limit*; whether it ended."""
        end = monotonic() + limit.total_seconds()
        while self._selector.get_map():
            ready = self._selector.select(max(end - monotonic(), 0))
            if not ready:
                return False
            for key, _ in ready:
                self._hear(key.fd, noticed)
        return True

    def _hear(self, descriptor: int, noticed: Callable[[], None]) -> None:
        if descriptor == self.report.fileno():
            self._hear_report()
        elif said := os.read(descriptor, 65536):
            self.heard[descriptor] += said
            if descriptor == self.output:
                noticed()
        else:
            self._selector.unregister(descriptor)

    def _hear_report(self) -> None:
        """First the process id, then the status; one message each."""
        word = b""
        with contextlib.suppress(ConnectionResetError):
            word = self.report.recv(32)
        if not word:
            self._selector.unregister(self.report)
        elif self.pid is None:
            self.pid = int(word)
        else:
            self.status = int(word)

    def kill(self, ending: signal.Signals) -> None:
        """Send *ending* to the process and to all that it started in its session."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, ending)

    def words(self, descriptor: int) -> str:
        """What was said there."""
        return self.heard[descriptor].decode(errors="replace")

    def close(self) -> None:
        """Hear no more."""
        self._selector.close()
        self.report.close()
        os.close(self.output)
        os.close(self.errors)


class Certbot:
    """Runs certbot, from any thread, each in its own session, so that signals to us do not reach it."""

    def __init__(
        self,
        now: Callable[[], datetime],
        limit: timedelta = TIME_LIMIT,
        grace: timedelta = GRACE,
        command: Sequence[str] = COMMAND,
        noticed: Callable[[], None] = lambda: None,
        hooks: Path | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self._now = now
        self._limit = limit
        self._grace = grace
        self._noticed = noticed
        self._hooks = str(hooks or "")
        self.server = server or ForkServer(command)

    def run(
        self, arguments: Sequence[str], temporary_folder: Path, journal: Path | None = None, refusal: str = ""
    ) -> Outcome:
        """Run ``certbot *arguments*`` to its end, at most limit and grace long; nothing of it is left behind.

        It orders nothing if there is a *refusal*, nor before *journal* says on the disk that it does.
        """
        order = {
            "arguments": list(arguments),
            "temporary_folder": str(temporary_folder),
            "journal": str(journal or ""),
            "refusal": refusal,
            "hooks": self._hooks,
        }
        for _ in range(_TRIES):
            try:
                run = self._begin(json.dumps(order).encode())
            except OSError as error:
                log.debug("certbot cannot be started: %s.", error)
                continue
            with contextlib.closing(run):
                stopped = self._finish(run)
                if run.pid is not None:
                    return self._judge(run, stopped)
                if stopped:
                    self.server.kill()
        return Outcome(Failure.CRASH, "certbot cannot be started")

    def _judge(self, run: _Run, stopped: str) -> Outcome:
        words = run.words(run.errors)
        for word in words.splitlines():
            log.debug("certbot: %s", word)
        return judge(run.words(run.output), words, run.status, self._now(), stopped)

    def _begin(self, order: bytes) -> _Run:
        """A process for *order*; it has begun once it tells its id."""
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, their_output = os.pipe()
        errors, their_errors = os.pipe()
        run = _Run(report, output, errors)
        try:
            self.server.request(order, (their_output, their_errors), theirs)
        except OSError:
            run.close()
            raise
        finally:
            theirs.close()
            os.close(their_output)
            os.close(their_errors)
        return run

    def _finish(self, run: _Run) -> str:
        """Hear it to its end, or stop it when its time is up; a sentence if it was."""
        if run.follow(self._limit, self._noticed):
            return ""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            run.kill(ending)
            if run.follow(self._grace, self._noticed):
                return f"it did not end within {self._limit} and was stopped"
        # A hook of the operator's that left the session may hold the pipes open for ever.
        return f"it did not end within {self._limit}, and what it started still runs"
