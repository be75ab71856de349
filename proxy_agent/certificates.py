"""The edge to the folders that certificates come from, in order of precedence for a name.

1. custom certificates: ``NAME.crt`` with ``NAME.key``, or ``NAME.pem`` with both; ``default.*`` for unknown names
2. certificates in the environment: DEFAULT_SSL_CERT, or SSL_CERT, and the variables that EXTRA_SSL_CERTS names
3. issued bundles: ``NAME.pem``, published by the letsencrypt container
4. the ``live/`` folder of a certbot on the host: ``NAME/privkey.pem`` and ``NAME/fullchain.pem``

and to the file in which those are asked for that discovered services want.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from proxy_agent.bundle_files import BundleFiles
from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.daemon.files import write_whole
from proxy_agent.given_certificates import DEFAULT_STEM, ENVIRONMENT, Given
from proxy_agent.routing.wanted import Request, render_wanted
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import Identifier
from proxy_agent.tls.selfsigned import is_current, make_self_signed

log = logging.getLogger(__name__)

Candidate = tuple[str, tuple[str, ...]]
"""A stem with the paths of the files that make one bundle: plain text, as there may be thousands at every look."""


@dataclass(frozen=True)
class Found:
    """One look at all folders."""

    sources: Mapping[str, tuple[Bundle, ...]]
    """Good bundles by source, in order of precedence; each bundle's name is ``SOURCE/STEM``."""
    custom_default: Bundle | None
    skipped: tuple[Skipped, ...]
    doubtful: frozenset[str]
    """Names whose files are there and cannot be used, or are not read yet, and ``SOURCE/`` where a whole folder could
    not be read: what is already served under them stays."""
    unread: frozenset[str] = frozenset()
    """Names whose files are new or have changed, and that are read at the next looks; until then, all is as before."""

    @property
    def own_unread(self) -> bool:
        """Whether there are any among them that letsencrypt did not obtain."""
        return any(not name.startswith("issued/") for name in self.unread)


class Certificates:
    """Lists the folders anew at each look, and reads a file again only when it changed."""

    def __init__(
        self, custom: Path, issued: Path, live: Path, self_signed: Path, wanted: Path, given: Given | None = None
    ) -> None:
        self._given = given or Given()
        self._sources: tuple[tuple[str, Path, Callable[[Path], Iterator[Candidate]]], ...] = (
            ("custom", custom, _custom_candidates),
            ("issued", issued, _bundle_candidates),
            ("live", live, _live_candidates),
        )
        self._self_signed = self_signed
        self._wanted = wanted
        self._files = BundleFiles()

    def found(self) -> Found:
        """All usable bundles, and what was left out and why; never raises for a bad file or folder."""
        sources: dict[str, list[Bundle]] = {}
        skipped = list(self._given.skipped)
        files: dict[str, tuple[str, ...]] = {}
        unlisted: list[str] = []
        for source, folder, candidates in self._sources:
            sources[source] = []
            if source == "custom" and self._given.bundles:
                sources[ENVIRONMENT] = list(self._given.bundles)
            try:
                files |= {f"{source}/{stem}": paths for stem, paths in candidates(folder)}
            except FileNotFoundError:
                pass
            except OSError as error:
                skipped.append(Skipped(str(folder), f"cannot be read: {error.strerror}"))
                unlisted.append(f"{source}/")
        read = self._files.read(files, tuple(unlisted))
        doubtful = {*unlisted, *(name for name in read.unread if name not in read.outcomes)}
        for name in files:
            match read.outcomes.get(name):
                case Bundle() as bundle:
                    sources[name.partition("/")[0]].append(bundle)
                case Skipped() as item:
                    skipped.append(item)
                    doubtful.add(name)
        custom_default = next((b for b in sources["custom"] if b.name == f"custom/{DEFAULT_STEM}"), None)
        return Found(
            {source: tuple(bundles) for source, bundles in sources.items()},
            custom_default or self._given.default,
            tuple(sorted(skipped)),
            frozenset(doubtful),
            read.unread,
        )

    def self_signed(self, names: Sequence[Identifier], now: datetime) -> Bundle:
        """The certificate of last resort: made once for an installation, again when *names* change or it ages.

        Raises OperationalError if a new one cannot be kept.
        """
        try:
            bundle = parse_bundle("self-signed", self._self_signed.read_bytes())
            if is_current(bundle, names, now):
                return bundle
        except (OSError, ValueError):
            pass
        pem = make_self_signed(names, now)
        try:
            self._self_signed.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot write {self._self_signed}: {error.strerror}.") from error
        write_whole(self._self_signed, pem)
        log.info("Made a self-signed default certificate for %s.", ", ".join(map(str, names)))
        return parse_bundle("self-signed", pem)

    def ask_for(self, wanted: Iterable[Request]) -> None:
        """Have letsencrypt know what is *wanted*, in a file that changes only when that does.

        It may hold the keys of accounts, so it is the owner's alone. Raises OperationalError if it cannot be written.
        """
        content = render_wanted(wanted)
        try:
            if self._wanted.read_bytes() == content:
                return
        except OSError:
            pass
        write_whole(self._wanted, content)

    def watch(self, ring: Callable[[str], None]) -> None:
        """Have *ring* called whenever something changes in a folder; where that cannot be, the resync finds it."""
        try:
            observer = Observer()
            observer.daemon = True
            # Started first: only then does schedule() itself meet the kernel's limits.
            observer.start()
        except OSError as error:
            log.warning("Cannot watch for new certificates: %s; they are seen at the next resync.", error)
            return
        for source, folder, _ in self._sources:
            if not folder.is_dir():
                continue
            try:
                observer.schedule(_Ring(ring, source), str(folder), recursive=True)
            except OSError as error:
                log.warning("Cannot watch %s: %s; changes in it are seen at the next resync.", folder, error)


class _Ring(FileSystemEventHandler):
    """Rings for what changes content or names; not for opening and reading, which we do ourselves."""

    _CHANGES = (
        DirCreatedEvent,
        DirDeletedEvent,
        DirMovedEvent,
        FileClosedEvent,
        FileCreatedEvent,
        FileDeletedEvent,
        FileModifiedEvent,
        FileMovedEvent,
    )

    def __init__(self, ring: Callable[[str], None], source: str) -> None:
        self._ring = ring
        self._reason = f"{source} certificates changed"

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, self._CHANGES):
            self._ring(self._reason)


def _names(folder: Path) -> list[str]:
    """What is in it and not hidden, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def _bundle_candidates(folder: Path) -> Iterator[Candidate]:
    for name in _names(folder):
        stem, _, suffix = name.rpartition(".")
        if suffix == "pem":
            yield stem, (f"{folder}/{name}",)


def _custom_candidates(folder: Path) -> Iterator[Candidate]:
    names = set(_names(folder))
    for name in sorted(names):
        stem, _, suffix = name.rpartition(".")
        if suffix == "crt" or (suffix == "key" and names.isdisjoint({f"{stem}.crt", f"{stem}.pem"})):
            yield stem, (f"{folder}/{stem}.key", f"{folder}/{stem}.crt")
        elif suffix == "pem" and f"{stem}.crt" not in names:
            yield stem, (f"{folder}/{name}",)


def _live_candidates(folder: Path) -> Iterator[Candidate]:
    for name in _names(folder):
        lineage = folder / name
        if lineage.is_dir():
            yield name, (f"{lineage}/privkey.pem", f"{lineage}/fullchain.pem")
