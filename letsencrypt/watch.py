"""Has an eye on all certificates for those who want to be told; after each cycle of the loop, by the volumes alone."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from letsencrypt.events import Event, Kind, Memory, Snapshot
from letsencrypt.news import baseline, compare, endings
from letsencrypt.outbox import Outbox
from letsencrypt.rounds import Job, is_under_way
from letsencrypt.settings_notify import parse_urls
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.daemon.log import LogFormat, Notices

log = logging.getLogger(__name__)

EVENTS_FOLDER = "events"
"""Below the volume's root; certbot has no folder of this name."""
DEPLOY_HOOKS = "deploy-hooks"
"""The outbox that certbot_process.py writes into."""
_MEMORY = "memory.json"
_MOST_QUOTED = 3


class Looking(Protocol):
    """snapshot.Volumes."""

    def look(self) -> Snapshot:
        """What is there now."""
        ...


@dataclass(frozen=True)
class Listeners:
    """Who wants to be told of what."""

    urls: tuple[str, ...] = field(default=(), repr=False)
    url_file: Path | None = None
    kinds: frozenset[Kind] = frozenset()
    """What webhooks are told; the program is told all, as it can choose itself."""
    program: str = ""
    log_format: LogFormat = "text"
    log_level: str = "info"

    def all_urls(self) -> tuple[str, ...]:
        """Those of the file among them; raises OperationalError if that cannot be used."""
        if self.url_file is None:
            return self.urls
        try:
            return (*self.urls, *parse_urls(self.url_file.read_text("utf-8")))
        except OSError as error:
            raise OperationalError(f"NOTIFY_URL_FILE: {self.url_file} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise OperationalError(f"NOTIFY_URL_FILE: {self.url_file} cannot be used: {error}.") from None

    def job(self, folder: Path, urls: Sequence[str]) -> Job:
        """What the courier needs to know."""
        return Job(
            folder=folder,
            urls=tuple(urls),
            program=self.program,
            log_format=self.log_format,
            log_level=self.log_level,
        )


class Watch:
    """Finds out what is new, keeps it for everybody who wants to know, and has it brought to them."""

    def __init__(
        self,
        volumes: Looking,
        folder: Path,
        listeners: Listeners,
        now: Callable[[], datetime],
        start_courier: Callable[[str], None],
    ) -> None:
        self._volumes = volumes
        self._folder = folder
        self._listeners = listeners
        self._now = now
        self._start_courier = start_courier
        self._notices = Notices(log)
        self._said: dict[str, str] = {}
        self._memory = self._load()

    def look(self) -> None:
        """See what happened since the last look; say what is near its end, and tell who wants to know. Never raises.

        Nothing is remembered that could not be kept for its receivers, so it is found again at the next look.
        """
        now = self._now()
        snapshot = self._volumes.look()
        self._warn(endings(snapshot, now))
        memory, events = compare(self._memory, snapshot, now)
        problems: list[str] = []
        urls = self._urls(problems)
        try:
            self._keep(events, max(len(urls), len(self._listeners.urls) + bool(self._listeners.url_file)), now)
            self._save(memory)
            self._send(urls, now)
        except OperationalError as error:
            problems.append(str(error))
        self._notices.update("the events", problems, logging.ERROR)

    def _warn(self, near: Mapping[str, tuple[str, str]]) -> None:
        for name, (key, sentence) in near.items():
            if self._said.get(name) != key:
                log.error("%s", sentence)
        self._said = {name: key for name, (key, _) in near.items()}

    def _urls(self, problems: list[str]) -> tuple[str, ...]:
        try:
            return self._listeners.all_urls()
        except OperationalError as error:
            problems.append(str(error))
            return self._listeners.urls

    def _keep(self, events: Iterable[Event], webhooks: int, now: datetime) -> None:
        """Put *events* into the outbox of each receiver; raises OperationalError."""
        touched: dict[str, Outbox] = {}
        for place, event in enumerate(events):
            told = [f"webhook-{number}" for number in range(1, webhooks + 1) if event.event in self._listeners.kinds]
            told += ["program"] if self._listeners.program else []
            for receiver in told:
                touched[receiver] = Outbox(self._folder / receiver)
                touched[receiver].put(event.id, event.model_dump(mode="json"), now, place)
        for receiver, outbox in touched.items():
            if dropped := outbox.overflow(now):
                quoted = " ".join(dropped[:_MOST_QUOTED])
                log.warning("Dropped %d of the events that %s did not take, like: %s", len(dropped), receiver, quoted)

    def _send(self, urls: Sequence[str], now: datetime) -> None:
        """Start a round if anything is due to anybody; raises OperationalError."""
        receivers = [DEPLOY_HOOKS, *(f"webhook-{number}" for number in range(1, len(urls) + 1))]
        receivers += ["program"] if self._listeners.program else []
        is_due = any(any(Outbox(self._folder / receiver).due(now)) for receiver in receivers)
        if is_due and not is_under_way(self._folder):
            self._start_courier(self._listeners.job(self._folder, urls).model_dump_json())

    def _load(self) -> Memory:
        """What was remembered; where there is nothing, what is there now is no news."""
        path = self._folder / _MEMORY
        try:
            return Memory.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError):
            log.warning("%s cannot be used: events are counted from now on.", path)
        return baseline(self._volumes.look())

    def _save(self, memory: Memory) -> None:
        path = self._folder / _MEMORY
        if memory != self._memory or not path.exists():
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise OperationalError(f"Cannot make the folder {self._folder}: {error.strerror}.") from error
            write_whole(path, memory.model_dump_json(exclude_defaults=True).encode())
        self._memory = memory
