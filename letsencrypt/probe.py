"""Fetches a token as a CA does: by its name, at each of its addresses, through redirects but only so far.

The rules are Let's Encrypt's (https://letsencrypt.org/docs/challenge-types/#http-01-challenge, boulder va/http.go).
"""

import errno
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urljoin, urlsplit

from letsencrypt.preflight import Address, Probe, Reply
from letsencrypt.webroot import CHALLENGE_PATH, SERVED_BY
from proxy_agent.tls.names import Identifier

CONNECT_TIMEOUT = 3.0
"""Seconds for one connection; a CA has more patience, but who is slower than this is not well."""
TIMEOUT = 5.0
"""Seconds for one address with all its redirects."""
_MOST_REDIRECTS = 10
_LONGEST_PATH = 2000
_FOLLOWED = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_PORTS = {"http": 80, "https": 443}
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

AddressesOf = Callable[[str], Sequence[Address]]
"""Looks a name up that a redirect leads to; raises OSError where that is of no use."""


class Astray(Exception):
    """A redirect that no CA follows; the message says what it does."""


def next_url(url: str, location: str | None) -> str:
    """Where a redirect from *url* leads; raises Astray if a CA would not go there.

    >>> next_url("http://a.example/.well-known/acme-challenge/x", "https://b.example/x")
    'https://b.example/x'
    """
    shown = repr((location or "")[:100])
    try:
        found = urlsplit(urljoin(url, location or ""))
        port = found.port
    except ValueError:
        raise Astray(f"it redirects to {shown}, which is no address") from None
    if not location or found.scheme not in _PORTS or not found.hostname:
        raise Astray(f"it redirects to {shown}, which is no address of a web server")
    if port not in (None, *_PORTS.values()):
        raise Astray(f"it redirects to {shown}, but CAs follow to the ports 80 and 443 only")
    if len(found.path) > _LONGEST_PATH:
        raise Astray(f"it redirects to {shown}…, which is longer than CAs take")
    if not all("!" <= letter <= "~" for letter in found.geturl()):
        raise Astray(f"it redirects to {shown}, which holds characters that no address may hold")
    return found.geturl()


def led_to(host: str, found: Sequence[Address], address: Address) -> Address:
    """Where a redirect to *host* leads from *address*: from outside never inside, whatever the host is called here.

    Raises OSError if it leads nowhere that could prove anything.
    """
    if not found:
        raise OSError(f"it redirects to {host[:60]}, which has no address")
    if address.is_global and not found[0].is_global:
        raise OSError(f"it redirects to {host[:60]}, which is at {found[0]} here, where no CA can come")
    return found[0]


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    location: str | None
    server: str
    is_ours: bool


class Prober:
    """A web client that goes to the address it is told."""

    def __init__(
        self,
        addresses_of: AddressesOf,
        ports: Mapping[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*ports* stand in for 80 and 443 in tests."""
        self._addresses_of = addresses_of
        self._ports = ports or {}
        self._clock = clock
        self._anybody = ssl.create_default_context()
        # As a CA: the certificate that would make this trusted may be the very one it is asked for.
        self._anybody.check_hostname = False
        self._anybody.verify_mode = ssl.CERT_NONE

    def probe(self, name: Identifier, address: Address, token: str, content: bytes) -> Probe:
        """Fetch *token* from *name* at *address*; never raises, and ends within TIMEOUT."""
        end = self._clock() + TIMEOUT
        host = f"[{name}]" if isinstance(name, IPv6Address) else str(name)
        try:
            answer = self._follow(f"http://{host}{CHALLENGE_PATH}{token}", address, len(content) + 1, end)
        except Astray as astray:
            return Probe(address, Reply.ASTRAY, str(astray))
        except TimeoutError:
            return Probe(address, Reply.UNREACHED, "it does not answer in time")
        except OSError as error:
            return _unreached(address, error)
        except (http.client.HTTPException, ValueError) as error:
            return Probe(address, Reply.OTHER, f"it is no web server ({type(error).__name__})")
        return _judge(address, answer, content)

    def _follow(self, url: str, address: Address, length: int, end: float) -> _Answer:
        first = urlsplit(url).hostname
        for _ in range(1 + _MOST_REDIRECTS):
            parts = urlsplit(url)
            host = parts.hostname or ""
            answer = self._fetch(
                parts, address if host == first else led_to(host, self._addresses_of(host), address), length, end
            )
            if not HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
                return answer
            if answer.status not in _FOLLOWED:
                raise Astray(f"it answers with the status {answer.status}, which CAs do not follow")
            url = next_url(url, answer.location)
        raise Astray(f"it redirects more than {_MOST_REDIRECTS} times")

    def _fetch(self, parts: SplitResult, address: Address, length: int, end: float) -> _Answer:
        left = end - self._clock()
        if left <= 0:
            raise TimeoutError
        port = parts.port or _PORTS[parts.scheme]
        port = self._ports.get(port, port)
        with socket.create_connection((str(address), port), min(left, CONNECT_TIMEOUT)) as plain:
            plain.settimeout(max(end - self._clock(), 0.1))
            if parts.scheme == "http":
                return _ask(plain, parts, length)
            with self._anybody.wrap_socket(plain, server_hostname=parts.hostname) as secured:
                return _ask(secured, parts, length)


def _ask(stream: socket.socket, parts: SplitResult, length: int) -> _Answer:
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.sock = stream
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    headers = {"Host": parts.netloc.rpartition("@")[2], "Accept": "*/*", "Connection": "close"}
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as response:
        return _Answer(
            status=response.status,
            body=response.read(length),
            location=response.getheader("Location"),
            server=response.getheader("Server", "")[:40],
            is_ours=response.getheader(SERVED_BY[0]) == SERVED_BY[1],
        )


def _judge(address: Address, answer: _Answer, content: bytes) -> Probe:
    if answer.status == HTTPStatus.OK and answer.body == content:
        return Probe(address, Reply.TOKEN)
    if answer.is_ours:
        return Probe(address, Reply.UNKNOWN_HERE)
    who = f" of {answer.server!r}" if answer.server else ""
    what = f"the status {answer.status}" if answer.status != HTTPStatus.OK else "some page"
    return Probe(address, Reply.OTHER, f"{what}{who} came instead of our challenge")


def _unreached(address: Address, error: OSError) -> Probe:
    if error.errno in _NO_WAY:
        return Probe(address, Reply.NO_WAY, f"this container has no IPv{address.version}")
    return Probe(address, Reply.UNREACHED, error.strerror or str(error))
