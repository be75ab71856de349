"""The certificates that discovered services want, as the agent beside HAProxy published them in one file.

What it holds came from containers by way of a process that faces the internet, so all of it is read as a stranger's.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from letsencrypt.certonly import parse_directory
from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.names import parse_identifier

VERSION = 1
LARGEST_FILE = 4 * 1024 * 1024
MOST_REQUESTS = 1000
MOST_NAMES = 100
"""In one certificate (https://letsencrypt.org/docs/rate-limits/)."""
_MOST_SERVICES = 20
_LONGEST_SERVICE = 100


def _parse_name(name: object) -> str:
    """In the one canonical spelling; anything else was not written by our agent."""
    if str(parse_identifier(str(name)[:300])) != name:
        raise ValueError("a name is written in lower case, Unicode as xn--")
    return str(name)


def _parse_services(services: object) -> object:
    """For people to read only, so they are made fit for that."""
    if not isinstance(services, list):
        return services
    return tuple(re.sub(r"[^!-~]", "?", str(service))[:_LONGEST_SERVICE] for service in services[:_MOST_SERVICES])


def _parse_server(url: object) -> str:
    return parse_directory(str(url)).url


def _word(pattern: str) -> StringConstraints:
    return StringConstraints(pattern=rf"\A{pattern}\z", strict=True)


class Request(BaseModel):
    """One certificate that is wanted; everything in it may stand on certbot's command line."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    names: tuple[Annotated[str, BeforeValidator(_parse_name)], ...] = Field(min_length=1, max_length=MOST_NAMES)
    services: Annotated[tuple[str, ...], BeforeValidator(_parse_services)] = Field(alias="for", default=())
    email: Annotated[str, _word(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}")] | None = None
    staging: bool = False
    server: Annotated[str, BeforeValidator(_parse_server), Field(max_length=500)] | None = None
    eab_kid: Annotated[str, _word(r"[A-Za-z0-9_.:~-]{1,200}")] | None = None
    eab_hmac_key: Annotated[str, _word(r"[A-Za-z0-9_+/=-]{1,500}")] | None = Field(default=None, repr=False)
    profile: Annotated[str, _word(r"[A-Za-z0-9_.-]{1,64}")] | None = None
    preferred_chain: Annotated[str, _word(r"[A-Za-z0-9][A-Za-z0-9 .,()'&_-]{0,99}")] | None = None
    key: Literal["rsa-2048", "rsa-3072", "rsa-4096", "ec-256", "ec-384"] | None = None
    reuse_key: bool | None = None


def parse_wanted(content: bytes) -> tuple[tuple[Request, ...], tuple[Skipped, ...]]:
    """Read the file: the requests that can be used, and the others with their reasons.

    Raises ValueError if it is no such file as a whole.

    >>> parse_wanted(b'{"version": 1, "certificates": [{"names": ["a.example"], "for": ["shop"]}]}')[0][0].names
    ('a.example',)
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}: let both containers run the same release")
    certificates = document.get("certificates")
    if not isinstance(certificates, list):
        raise ValueError("it holds no list of certificates")
    requests: list[Request] = []
    skipped: list[Skipped] = []
    for number, certificate in enumerate(certificates[:MOST_REQUESTS], start=1):
        try:
            requests.append(Request.model_validate(certificate))
        except ValidationError as error:
            skipped.append(Skipped(f"request {number}", _reason(error)))
    if len(certificates) > MOST_REQUESTS:
        skipped.append(Skipped("the file", f"only its first {MOST_REQUESTS} certificates are looked at"))
    return tuple(requests), tuple(skipped)


def _reason(error: ValidationError) -> str:
    """Which field is wrong, not what it holds: that may be a secret."""
    fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
    return f"not as the agent writes it: {', '.join(fields) or 'it is no mapping'}"


class WantedFile:
    """The file, read anew when it changed; what it said last stays while it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: object = None
        self._requests: tuple[Request, ...] = ()
        self.problems: tuple[str, ...] = ()
        """What is wrong with the file now, in sentences."""

    @property
    def is_known(self) -> bool:
        """Whether the file was there at the last look, and could be used whole."""
        return self._identity is not None and not self.problems

    def read(self) -> tuple[Request, ...]:
        """What is wanted, equal as long as the file stays the same; nothing before there is a file. Never raises."""
        try:
            status = self._path.stat()
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            if identity != self._identity:
                content = self._content(status.st_size)
                self._identity = identity
                self._requests, skipped = parse_wanted(content)
                self.problems = tuple(f"{self._path}: skipped {item}." for item in skipped)
        except FileNotFoundError:
            self._identity, self.problems = None, ()
        except OSError as error:
            self.problems = (f"{self._path} cannot be read: {error.strerror}.",)
        except ValueError as error:
            self.problems = (f"{self._path} cannot be used: {error}.",)
        return self._requests

    def _content(self, size: int) -> bytes:
        if size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE // 1024 // 1024} MiB")
        with self._path.open("rb") as file:
            return file.read(LARGEST_FILE)
