"""What happened between two looks at the volumes: what is there, held against what is remembered of the look before.

The memory is kept on the disk, so that a restart neither repeats an event nor loses one.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta

from letsencrypt.events import Certificate, Directory, Event, Kind, Memory, Remembered, Seen, Snapshot, Trouble
from letsencrypt.expiry import Nearness, nearness, warning
from letsencrypt.schedule import AT_ANOTHERS_WORD
from letsencrypt.timetable import Standing

LONG = timedelta(hours=1)
"""Failures that last so long, and were tried again in vain, are worth a word: most others heal by themselves."""
IN_VAIN = 3
AGAIN = timedelta(days=1)
"""The pause before the same trouble is told again; a try so far away means that only the operator can help."""
_NEARLY = timedelta(hours=1)
_MOST_NAMES = 5
_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})
"""Strangers' words must not ring everybody of a chat room."""
_CLEAR = str.maketrans(dict.fromkeys((*range(32), 127), " "))


def baseline(snapshot: Snapshot) -> Memory:
    """The memory of one who begins to look: what is published is no news, what is wrong is."""
    return Memory(
        lineages={
            name: Remembered(fingerprint=certificate.fingerprint, names=certificate.names)
            for name, certificate in snapshot.certificates.items()
        }
    )


def compare(memory: Memory, snapshot: Snapshot, now: datetime) -> tuple[Memory, tuple[Event, ...]]:
    """The events between *memory* and *snapshot*, in order, and the memory after them."""
    now = now.replace(microsecond=0)
    events: list[Event] = []
    kept = snapshot.known | snapshot.certificates.keys()
    lineages = {name: each for name, each in memory.lineages.items() if name in kept or not snapshot.complete}
    for seen in sorted(snapshot.seen, key=lambda each: each.lineage):
        story = _Story(seen, snapshot, lineages.get(seen.lineage, Remembered()), now)
        events += story.tell()
        lineages[seen.lineage] = story.after
    directories: dict[str, Trouble] = {}
    for key in sorted(memory.directories.keys() | snapshot.directories.keys()):
        trouble, told = _of_directory(key, memory.directories.get(key), snapshot, now)
        events += told
        if trouble is not None:
            directories[key] = trouble
    return Memory(lineages=dict(sorted(lineages.items())), directories=directories), tuple(events)


def endings(snapshot: Snapshot, now: datetime) -> dict[str, tuple[str, str]]:
    """Of each wanted lineage near its end a key, another one at each step, and a sentence."""
    found: dict[str, tuple[str, str]] = {}
    for seen in snapshot.seen:
        certificate = snapshot.certificates.get(seen.lineage)
        near = nearness(certificate.not_before, certificate.not_after, now) if certificate else Nearness.FAR
        if certificate and near is not Nearness.FAR:
            reason = _reason(snapshot.directories[seen.directory].standing or seen.standing)
            text = f"The certificate for {_title(seen)} {warning(certificate.not_after, now, reason)}."
            found[seen.lineage] = (f"{certificate.fingerprint} {near}", text)
    return found


class _Story:
    """What happened to one lineage."""

    def __init__(self, seen: Seen, snapshot: Snapshot, before: Remembered, now: datetime) -> None:
        self._seen = seen
        self._directory = snapshot.directories[seen.directory]
        self._certificate = snapshot.certificates.get(seen.lineage)
        self._now = now
        self.after = before

    def tell(self) -> Iterator[Event]:
        yield from self._news()
        yield from self._end()
        yield from self._trouble()
        yield from self._recovery()

    def _news(self) -> Iterator[Event]:
        certificate, before = self._certificate, self.after
        if certificate is None or certificate.fingerprint == before.fingerprint:
            return
        renewed = bool(before.fingerprint) and set(before.names) == set(certificate.names)
        changes = {"fingerprint": certificate.fingerprint, "names": certificate.names, "near": Nearness.FAR}
        self.after = before.model_copy(update=changes)
        said = "was renewed" if renewed else "is new"
        text = f"The certificate for {self._title} {said}: {self._validity(certificate)}."
        yield self._event(Kind.RENEWED if renewed else Kind.ISSUED, certificate.fingerprint, text)

    def _end(self) -> Iterator[Event]:
        certificate = self._certificate
        if certificate is None:
            return
        near = nearness(certificate.not_before, certificate.not_after, self._now)
        if near <= self.after.near:
            return
        self.after = self.after.model_copy(update={"near": near, "warned": True})
        text = f"The certificate for {self._title} {warning(certificate.not_after, self._now, self._reason)}."
        yield self._event(Kind.EXPIRING, f"{certificate.fingerprint} {near}", text)

    def _trouble(self) -> Iterator[Event]:
        standing = self._seen.standing
        if _is_well(standing) or standing.failure is None or self._directory.standing is not None:
            # Nothing new is known where nothing was tried; what holds up all is told once for all.
            self.after = self.after.model_copy(update={"trouble": None}) if _is_well(standing) else self.after
            return
        trouble, kind = _lasting(self.after.trouble, standing, self._now)
        if kind is not None:
            key = f"{trouble.since.isoformat()} {trouble.told[kind].isoformat()}"
            yield self._event(kind, key, self._complaint(kind))
        self.after = self.after.model_copy(update={"trouble": trouble, "warned": self.after.warned or bool(kind)})

    def _recovery(self) -> Iterator[Event]:
        certificate, before = self._certificate, self.after
        if not before.warned or not _is_well(self._seen.standing) or certificate is None:
            return
        if nearness(certificate.not_before, certificate.not_after, self._now) is not Nearness.FAR:
            return
        self.after = before.model_copy(update={"warned": False})
        text = f"The certificate for {self._title} is well again: {self._validity(certificate)}."
        yield self._event(Kind.RECOVERED, f"{certificate.fingerprint} {self._now.isoformat()}", text)

    def _complaint(self, kind: Kind) -> str:
        standing, host = self._seen.standing, self._directory.host
        then = f"Next try {standing.not_before:%Y-%m-%d %H:%M} UTC."
        if kind is Kind.RATE_LIMITED:
            return f"No certificate is ordered for {self._title} from {host} for now: {self._reason}. {then}"
        times = sum(standing.attempts.values())
        held = self._certificate is not None and self._certificate.not_after > self._now
        what = f"The certificate for {self._title} cannot be renewed" if held else f"No certificate for {self._title}"
        return f"{what} from {host} after {times} {'tries' if times > 1 else 'try'}: {self._reason}. {then}"

    @property
    def _title(self) -> str:
        return _title(self._seen)

    @property
    def _reason(self) -> str:
        return _reason(self._directory.standing or self._seen.standing)

    def _validity(self, certificate: Certificate) -> str:
        return f"valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC, from {self._directory.host}"

    def _event(self, kind: Kind, key: str, text: str) -> Event:
        standing = self._directory.standing or self._seen.standing
        well = kind in {Kind.ISSUED, Kind.RENEWED, Kind.RECOVERED}
        return Event(
            id=_digest(kind, self._seen.lineage, key),
            event=kind,
            time=self._now,
            lineage=self._seen.lineage,
            names=self._seen.names,
            source=self._directory.host,
            not_after=self._certificate.not_after if self._certificate else None,
            reason="" if well else self._reason,
            attempts=0 if well else sum(standing.attempts.values()),
            next_try=None if well else standing.not_before,
            text=text.translate(_MARKUP),
            live=self._seen.live,
        )


def _of_directory(
    key: str, before: Trouble | None, snapshot: Snapshot, now: datetime
) -> tuple[Trouble | None, Iterator[Event]]:
    """The trouble that all lineages of one server share, and what is to be told of it."""
    directory = snapshot.directories.get(key)
    wanted = [seen for seen in snapshot.seen if seen.directory == key]
    if directory is None or not wanted:
        return (None if snapshot.complete else before), iter(())
    if directory.standing is not None:
        trouble, kind = _lasting(before, directory.standing, now)
        return trouble, _of_server(key, directory, kind, trouble, now) if kind else iter(())
    if before is None or not any(_tried(seen.standing) > before.last for seen in wanted):
        return before, iter(())
    return None, _of_server(key, directory, Kind.RECOVERED, before, now) if before.told else iter(())


def _of_server(key: str, directory: Directory, kind: Kind, trouble: Trouble, now: datetime) -> Iterator[Event]:
    standing = directory.standing
    text = f"Certificates can be had from {directory.host} again."
    if standing is not None:
        then = f"Next try {standing.not_before:%Y-%m-%d %H:%M} UTC."
        text = f"No certificate can be had from {directory.host} for now: {_reason(standing)}. {then}"
    yield Event(
        id=_digest(kind, key, f"{trouble.since.isoformat()} {now.isoformat()}"),
        event=kind,
        time=now,
        source=directory.host,
        reason=_reason(standing) if standing else "",
        attempts=sum(standing.attempts.values()) if standing else 0,
        next_try=standing.not_before if standing else None,
        text=text.translate(_MARKUP),
    )


def _lasting(before: Trouble | None, standing: Standing, now: datetime) -> tuple[Trouble, Kind | None]:
    """The trouble of *standing* as it goes on, and as what it is to be told now, if it is."""
    kind = Kind.RATE_LIMITED if standing.failure in AT_ANOTHERS_WORD else Kind.FAILING
    trouble = before or Trouble(since=now, last=_tried(standing))
    trouble = trouble.model_copy(update={"last": max(trouble.last, _tried(standing))})
    told = trouble.told.get(kind)
    for_long = now - trouble.since >= LONG and sum(standing.attempts.values()) >= IN_VAIN
    at_once = kind is Kind.RATE_LIMITED or standing.pause >= AGAIN - _NEARLY
    is_due = now - told >= AGAIN if told else for_long or at_once
    if not is_due:
        return trouble, None
    return trouble.model_copy(update={"told": {**trouble.told, kind: now}}), kind


def _title(seen: Seen) -> str:
    more = len(seen.names) - _MOST_NAMES
    return ", ".join(seen.names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _is_well(standing: Standing) -> bool:
    """Whether it was tried and went well: one that was never tried has no pause."""
    return standing.failure is None and standing.pause > timedelta()


def _tried(standing: Standing) -> datetime:
    """When it was tried last, or before that."""
    return standing.not_before - standing.pause


def _reason(standing: Standing) -> str:
    return standing.reason.translate(_CLEAR).removesuffix(".")


def _digest(kind: Kind, what: str, key: str) -> str:
    return hashlib.sha256(f"{kind}\0{what}\0{key}".encode()).hexdigest()[:20]
