"""The edge to the folders that certificates come from, in order of precedence for a name.

1. custom certificates: ``NAME.crt`` with ``NAME.key``, or ``NAME.pem`` with both; ``default.*`` for unknown names
2. certificates in the environment: DEFAULT_SSL_CERT, or SSL_CERT, and the variables that EXTRA_SSL_CERTS names
3. issued bundles: ``NAME.pem``, published by the letsencrypt container
4. the ``live/`` folder of a certbot on the host: ``NAME/privkey.pem`` and ``NAME/fullchain.pem``

and to the file in which those are asked for that discovered services want.
"""

import logging
import os
import re
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

from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.daemon.files import write_whole
from proxy_agent.given_certificates import DEFAULT_STEM, ENVIRONMENT, Given, of_a_size_to_load
from proxy_agent.routing.wanted import Request, render_wanted
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import Identifier
from proxy_agent.tls.selfsigned import is_current, make_self_signed

log = logging.getLogger(__name__)

_STEM = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,200}")
"""Becomes a file name and a word of the crt-list."""
_LARGEST_FILE = 256 * 1024


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
    """Names whose files are there and cannot be used, and ``SOURCE/`` where a whole folder could not be read: what
    is already served under them stays."""


class Certificates:
    """Reads the folders anew at each look, and parses a file again only when it changed."""

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
        self._parsed: dict[str, tuple[object, Bundle]] = {}

    def found(self) -> Found:
        """All usable bundles, and what was left out and why; never raises for a bad file or folder."""
        sources: dict[str, tuple[Bundle, ...]] = {}
        skipped = list(self._given.skipped)
        doubtful: set[str] = set()
        for source, folder, candidates in self._sources:
            bundles = []
            for stem, outcome in self._read(source, folder, candidates):
                if isinstance(outcome, Bundle):
                    bundles.append(outcome)
                else:
                    skipped.append(outcome)
                    doubtful.add(f"{source}/{stem}")
            sources[source] = tuple(bundles)
            if source == "custom" and self._given.bundles:
                sources[ENVIRONMENT] = self._given.bundles
        custom_default = next((b for b in sources["custom"] if b.name == f"custom/{DEFAULT_STEM}"), None)
        return Found(sources, custom_default or self._given.default, tuple(sorted(skipped)), frozenset(doubtful))

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

    def _read(
        self, source: str, folder: Path, candidates: Callable[[Path], Iterator[Candidate]]
    ) -> Iterator[tuple[str, Bundle | Skipped]]:
        """Each stem of one folder with its bundle or its fault; the stem '' stands for the folder itself."""
        try:
            listed = list(candidates(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            yield "", Skipped(str(folder), f"cannot be read: {error.strerror}")
            return
        for stem, files in listed:
            try:
                yield stem, self._bundle(f"{source}/{stem}", files)
            except (ValueError, OSError) as error:
                yield stem, Skipped(files[-1], _reason(error))

    def _bundle(self, name: str, files: tuple[str, ...]) -> Bundle:
        state = tuple((file, *_identity(file)) for file in files)
        if name in self._parsed and self._parsed[name][0] == state:
            return self._parsed[name][1]
        if not _STEM.fullmatch(name.partition("/")[2]):
            raise ValueError("its name may hold letters, digits, '.', '_', '-' and '*' only")
        if any(Path(file).stat().st_size > _LARGEST_FILE for file in files):
            raise ValueError(f"larger than {_LARGEST_FILE // 1024} KiB")
        bundle = of_a_size_to_load(parse_bundle(name, b"\n".join(Path(file).read_bytes() for file in files)))
        self._parsed[name] = (state, bundle)
        return bundle


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


def _identity(file: str) -> tuple[int, int, int]:
    status = os.stat(file)  # noqa: PTH116 - several times as fast as Path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _reason(error: ValueError | OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    if isinstance(error, PermissionError):
        return f"{Path(error.filename).name} may not be read by this container's user (uid 10001): chown or chmod it"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
