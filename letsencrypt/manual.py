"""Certificates that the operator asked for with the command ``issue``: wanted until they are forgotten."""

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from letsencrypt.admission import Admission, Wish
from letsencrypt.certonly import STAGING, Directory
from letsencrypt.lineages import BY_COMMAND, Lineage, parse_domains
from letsencrypt.settings import Settings
from letsencrypt.state_file import STATE_FOLDER
from letsencrypt.wanted import VERSION, Request, WantedFile
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole


def read_request(names: str, options: Mapping[str, object]) -> Request:
    """What is typed: *names* separated by commas, and *options* called as in Request; raises ValueError."""
    wanted = parse_domains(names)
    if wanted.skipped:
        raise ValueError(str(wanted.skipped[0]))
    if len(wanted.lineages) != 1:
        raise ValueError("one certificate at a time: write its names separated by commas, like a.example,www.a.example")
    identifiers = [str(name) for name in wanted.lineages[0].identifiers]
    given = {name: value for name, value in options.items() if value not in (None, False)}
    try:
        return Request.model_validate({"names": identifiers, **given})
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]).replace("_", "-") for problem in error.errors()})
        raise ValueError(f"what is given as {', '.join(f'--{field}' for field in fields)} cannot be used") from None


def parse_request(content: str) -> Request:
    """What format_request() made; raises ValueError, which does not quote it."""
    return Request.model_validate_json(content)


def format_request(request: Request) -> str:
    """One line that may be kept."""
    return request.model_dump_json(by_alias=True, exclude_defaults=True)


def commissions_of(settings: Settings) -> "Commissions":
    """Those of this container."""
    path = settings.letsencrypt_folder / STATE_FOLDER / "issue.json"
    return Commissions(path, settings.domains.lineages, settings.options.directory)


class Commissions:
    """The list of them, on the volume; only the loop writes it.

    It is written as the agent writes what containers want, and read with the same distrust, but the operator's own
    words are bound by no white list. DOMAINS comes before it, containers after it.
    """

    def __init__(self, path: Path, domains: tuple[Lineage, ...], directory: Directory) -> None:
        self._path = path
        self._file = WantedFile(path)
        self._domains = domains
        self._directory = directory

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the list at the last look, in sentences."""
        return self._file.problems

    def wishes(self) -> tuple[Wish, ...]:
        """What is wanted now, sorted by lineage; equal as long as nothing changed. Never raises."""
        return self._admitted(self._file.read())

    def add(self, request: Request, wanted: Iterable[Lineage]) -> Lineage:
        """Want a certificate as *request* says from now on, beside those that are *wanted* already; its lineage.

        Raises ValueError with the reason why it cannot be had, and OperationalError if it cannot be written down.
        """
        requests = self._file.read()
        if self.problems:
            raise OperationalError(self.problems[0])
        names = set(request.names)
        for lineage in wanted:
            if taken := sorted(names.intersection(map(str, lineage.identifiers))):
                whom = ", ".join(lineage.services) or "DOMAINS"
                raise ValueError(f"{', '.join(taken)} is wanted by {whom} already: see renew {lineage.name}")
        wishes = self._admitted((request,), strict=True)
        self._write((*requests, request))
        return wishes[0].lineage

    def remove(self, name: str) -> bool:
        """Want the certificate *name* no more; whether it was in the list. Raises OperationalError."""
        requests = self._file.read()
        kept = [request for request in requests if not self._is_of(request, name)]
        if len(kept) < len(requests):
            self._write(kept)
        return len(kept) < len(requests)

    def _is_of(self, request: Request, name: str) -> bool:
        return any(wish.lineage.name == name for wish in self._admitted((request,)))

    def _admitted(self, requests: Collection[Request], strict: bool = False) -> tuple[Wish, ...]:
        """Each on its own, as the operator chose its server; raises ValueError for what is refused if *strict*."""
        found: dict[str, Wish] = {}
        for request in requests:
            servers = frozenset(map(Directory, filter(None, (request.server, STAGING if request.staging else ""))))
            taken = (*self._domains, *(wish.lineage for wish in found.values()))
            wishes, refused = Admission(taken, self._directory, servers=servers).admit((request,))
            if strict and refused:
                raise ValueError(refused[0].reason)
            found |= wishes
        return tuple(
            replace(wish, lineage=replace(wish.lineage, services=(BY_COMMAND,))) for _, wish in sorted(found.items())
        )

    def _write(self, requests: Iterable[Request]) -> None:
        certificates = [json.loads(format_request(request)) for request in requests]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = json.dumps({"version": VERSION, "certificates": certificates}, indent=1)
        write_whole(self._path, content.encode() + b"\n")
