"""Who is told of events: webhooks, a program, and certbot's deploy hooks; each takes one item or says why not."""

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from types import FrameType
from typing import Protocol

import requests
from pydantic import JsonValue
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from letsencrypt.hooks import Ended, run_program

log = logging.getLogger(__name__)

DEADLINE = 20.0
"""Seconds for one request, whatever the receiver does: one that sends a byte now and then, too."""
_TIMEOUT = (5.0, 10.0)
"""Seconds for the connection, and for each piece of the answer."""
_ATTEMPTS = 3
_LONGEST_CONTENT = 1900
"""Characters; Discord takes 2000 (https://discord.com/developers/docs/resources/webhook#execute-webhook)."""

_LONGEST_WORD = 300

Body = Mapping[str, JsonValue]


class NotTaken(Exception):
    """The receiver did not take an item; the message says why, and holds nothing of a URL."""


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def title(self) -> str:
        """How the log names it."""
        ...

    @property
    def folder(self) -> str:
        """The name of its outbox."""
        ...

    def send(self, body: Body, /) -> None:
        """Hand over one item, within a bounded time; raises NotTaken."""
        ...


def payload(body: Body) -> dict[str, JsonValue]:
    """The JSON document of an event, with its sentence under each name by which chats and pushers look for one.

    ``text``: Slack, Mattermost, Rocket.Chat, Teams; ``content``: Discord; ``title`` and ``message``: Gotify.
    """
    text = str(body.get("text", ""))[:_LONGEST_CONTENT]
    public = {name: value for name, value in body.items() if name != "live"}
    title = f"{body.get('lineage') or body.get('source') or 'certificates'}: {body.get('event')}"
    return {**public, "text": text, "content": text, "title": title, "message": text}


class Webhook:
    """A URL to which each event is posted. The URL is a secret: nothing of it is ever said."""

    def __init__(
        self, url: str, number: int, of: int, deadline: float = DEADLINE, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._url = url
        self._deadline = deadline
        self.title = "The webhook of NOTIFY_URL" if of == 1 else f"The webhook {number} of NOTIFY_URL"
        self.folder = f"webhook-{number}"
        self._retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=5),
            retry=retry_if_exception_type(NotTaken),
            reraise=True,
            sleep=sleep,
        )

    def send(self, body: Body) -> None:
        """Post the event: up to three times, then it is for another hour."""
        self._retrying(self._post, payload(body))

    def _post(self, document: Body) -> None:
        try:
            with deadline(self._deadline):
                response = requests.post(
                    self._url,
                    json=document,
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                    stream=True,
                    headers={"User-Agent": "haproxy-acme-companion"},
                )
                response.close()
        except (OSError, ValueError) as error:
            # requests' own errors are OSErrors or ValueErrors, and name the URL.
            raise NotTaken(_cause(error)) from None
        if not response.ok or response.is_redirect:
            raise NotTaken(f"it answered with the HTTP status {response.status_code}")


def _cause(error: BaseException) -> str:
    """The error at the bottom, where it is the system's; of all others only the kind, as they quote the URL."""
    while below := error.__cause__ or error.__context__:
        error = below
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return (isinstance(error, OSError) and error.strerror) or f"no answer ({type(error).__name__})"


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds; in the main thread only (signal(7))."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Program:
    """An executable of the operator's that is run for each event, which it reads from standard input."""

    title = "The program of NOTIFY_EXEC"
    folder = "program"

    def __init__(self, path: str, run: Callable[..., Ended] = run_program) -> None:
        self._path = path
        self._run = run

    def send(self, body: Body) -> None:
        """Run it once."""
        document = payload(body)
        names = body.get("names")
        spaced = " ".join(str(name) for name in names) if isinstance(names, list | tuple) else ""
        environ = {"EVENT": str(body.get("event")), "LINEAGE": str(body.get("lineage", "")), "NAMES": spaced}
        environ |= {"TEXT": str(document["text"])}
        if body.get("event") in {"issued", "renewed"} and body.get("live"):
            # As certbot calls them for deploy hooks.
            environ |= {"RENEWED_LINEAGE": str(body["live"]), "RENEWED_DOMAINS": spaced}
        _judge(self._run([self._path], json.dumps(document), environ))


class DeployHooks:
    """certbot's own deploy hooks, which its runs leave for us: there they could hold up everything."""

    title = "A deploy hook of certbot"
    folder = "deploy-hooks"

    def __init__(self, run: Callable[..., Ended] = run_program) -> None:
        self._run = run

    def send(self, body: Body) -> None:
        """Run one command as certbot does, by the shell (certbot/compat/misc.py).

        Of hooks before and after a run, which certbot ran itself, only the failure is said.
        """
        if "failed" in body:
            word = "".join(c if c.isprintable() else " " for c in str(body.get("reason")))[:_LONGEST_WORD]
            log.warning("%s failed, which changes nothing else: %s.", body["failed"], word)
            return
        environ = {name: str(body.get(name, "")) for name in ("RENEWED_LINEAGE", "RENEWED_DOMAINS")}
        _judge(self._run(["/bin/sh", "-c", str(body.get("command", ""))], "", environ), str(body.get("command", "")))


def _judge(ended: Ended, command: str = "") -> None:
    """What was run is named by its file alone: what stands behind it may be secret."""
    words = command.split()
    if ended.fault:
        raise NotTaken(f"{PurePath(words[0]).name}: {ended.fault}" if words else ended.fault)
