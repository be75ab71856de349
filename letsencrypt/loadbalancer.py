"""The load balancer, seen as the CA will see it: a token that we wrote has to come back through its port 80."""

import http.client
import logging
import secrets
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from letsencrypt.webroot import CHALLENGE_PATH, SERVED_BY, ChallengeFolder

log = logging.getLogger(__name__)

TIMEOUT = 3.0
"""Seconds for one probe: the way is inside one host or one overlay network."""
_PROXY_UNKNOWN = b"PROXY UNKNOWN\r\n"
"""A connection of one's own, in the PROXY protocol (section 2.1): its addresses are taken as they are."""
_ATTEMPTS = 12
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
PATIENCE = _ATTEMPTS * (TIMEOUT + _LONGEST_PAUSE)
"""Seconds that one wait() takes at most."""


class NotThrough(Exception):
    """The token did not come back; the message says what came instead."""


class Sleep(Protocol):
    """What the pauses are spent in: proxy_agent.daemon.wakeup.Wakeup."""

    @property
    def stopping(self) -> bool:
        """Whether nobody should wait any more."""
        ...

    def wait(self, timeout: float) -> frozenset[str]:
        """Sleep at most *timeout* seconds, or until rung; the reasons."""
        ...

    def ring(self, reason: str) -> None:
        """End the next wait()."""
        ...


class LoadBalancer:
    """The service that answers for all names on port 80 and has to pass the challenge path on to us."""

    def __init__(self, service: str, folder: ChallengeFolder, sleep: Sleep) -> None:
        self._host, _, port = service.partition(":")
        self._port = int(port or "80")
        self._service = service
        self._folder = folder
        self._sleep = sleep
        self._waiting_for: str | None = ""
        self._preamble = b""
        self._rung: set[str] = set()
        """Why a pause ended early: for whoever sleeps next."""

    def wait(self, patient: bool = True) -> bool:
        """Wait until a token comes back; False after some time, or at once when we have to stop or are not *patient*.

        However often this is called, what is waited for is said once and again when the reason changes, and that the
        way is open is said once and again after a wait. An open port proves nothing: the load balancer listens before
        it knows where challenges go.
        """
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS if patient else 1),
            wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            retry=retry_if_exception_type(NotThrough),
            sleep=self._pause,
            before_sleep=self._tell,
            retry_error_callback=_give_up,
        )
        token = f"probe-{secrets.token_urlsafe(16)}"
        content = secrets.token_urlsafe(32).encode()
        try:
            with self._folder.offering(token, content):
                return retrying(self._attempt, lambda: self.probe(token, content))
        finally:
            while self._rung:
                self._sleep.ring(self._rung.pop())

    def _attempt(self, probe: Callable[[], None]) -> bool:
        if self._sleep.stopping:
            return False
        probe()
        if self._waiting_for is not None:
            log.info("The load balancer %s passes challenges on.", self._service)
        self._waiting_for = None
        return True

    def _pause(self, seconds: float) -> None:
        self._rung |= self._sleep.wait(seconds)

    def _tell(self, state: RetryCallState) -> None:
        reason = str(state.outcome.exception()) if state.outcome else ""
        if reason != self._waiting_for:
            log.info("Waiting for the load balancer %s to pass challenges on: %s.", self._service, reason)
        self._waiting_for = reason

    def probe(self, token: str, content: bytes) -> None:
        """Fetch *token* once; raises NotThrough unless exactly *content* comes back.

        A redirect does not do, though a CA would follow it: it could lead to another host (RFC 8555 section 8.3).
        """
        try:
            response, body = self._fetch_either_way(CHALLENGE_PATH + token, len(content))
        except socket.gaierror:
            raise NotThrough(f"no container has the name {self._host}") from None
        except TimeoutError:
            raise NotThrough(f"its port {self._port} does not answer within {TIMEOUT:.0f} s") from None
        except OSError as error:
            raise NotThrough(f"its port {self._port} cannot be reached: {error.strerror or error}") from None
        except http.client.HTTPException as error:
            raise NotThrough(f"what answers on its port {self._port} is no web server ({error!r:.100})") from None
        if reason := _fault(response, body == content):
            raise NotThrough(reason)

    def _fetch_either_way(self, path: str, length: int) -> tuple[http.client.HTTPResponse, bytes]:
        """With the PROXY protocol or without: who expects it, or does not, hangs up on the other."""
        try:
            return self._fetch(path, length, self._preamble)
        except ConnectionResetError as hung_up:
            other = b"" if self._preamble else _PROXY_UNKNOWN
            try:
                response, body = self._fetch(path, length, other)
            except (OSError, http.client.HTTPException):
                raise hung_up from None
            if response.status == HTTPStatus.BAD_REQUEST:
                raise
            self._preamble = other
            return response, body

    def _fetch(self, path: str, length: int, preamble: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        try:
            connection.connect()
            connection.sock.sendall(preamble)
            connection.request("GET", path, headers={"Connection": "close"})
            with connection.getresponse() as response:
                return response, response.read(length + 1)
        finally:
            connection.close()


def _fault(response: http.client.HTTPResponse, came_back: bool) -> str:
    """What is wrong with an answer, empty if nothing is."""
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        where = response.getheader("Location", "nowhere")[:100]
        return f"it redirects {CHALLENGE_PATH} to {where!r}, which a CA may not be able to follow"
    if response.getheader(SERVED_BY[0]) == SERVED_BY[1] and not came_back:
        return "it passes challenges on to another letsencrypt container"
    if response.status != HTTPStatus.OK:
        return f"it answers {CHALLENGE_PATH} with the status {response.status}"
    return "" if came_back else f"another server answers {CHALLENGE_PATH}"


def _give_up(_state: RetryCallState) -> bool:
    return False
