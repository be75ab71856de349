"""The edge to what is there beside HAProxy: the operator's error pages, passwords and CA of clients, taken ports."""

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.routing.access import Credential, parse_htpasswd
from proxy_agent.routing.render import Inserts

STATUSES = frozenset({400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504})
"""Those that HAProxy answers with by itself (manual, "http-error"), and 404."""
_OF_NGINX = "50x"
_FOR_50X = (500, 502, 503, 504)
_LARGEST_PAGE = 30_000
"""An answer of HAProxy's own fits one buffer (``tune.bufsize 32768``)."""

_LARGEST_LIST = 256 * 1024


class Surroundings:
    """Reads *errors*, *passwords* and *client_ca* anew at each look, and tries ports when asked."""

    def __init__(self, errors: Path, passwords: Path, client_ca: Path | bytes | None, with_ipv6: bool) -> None:
        self._errors = errors
        self._passwords = passwords
        self._client_ca = client_ca
        self._families = (socket.AF_INET, socket.AF_INET6) if with_ipv6 else (socket.AF_INET,)
        self._last_ca = b""

    def inserts(self) -> tuple[Inserts, tuple[Skipped, ...]]:
        """What goes into the configuration as it is, and what was left out and why.

        Raises OperationalError where clients have to be asked for a certificate and no CA of theirs was ever readable:
        nobody gets in rather than everybody.
        """
        pages: dict[int, bytes] = {}
        skipped: list[Skipped] = []
        for status, file in self._files():
            try:
                pages[status] = _page(file)
            except (OSError, ValueError) as error:
                reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
                skipped.append(Skipped(str(file), f"{reason}; HAProxy's own page is used"))
        return Inserts(pages, self._ca(skipped), users=self._users(skipped)), tuple(sorted(set(skipped)))

    def taken_ports(self, ports: Iterable[int]) -> Mapping[int, str]:
        """Those of *ports* that HAProxy cannot listen on, each with the reason.

        Asked the way HAProxy asks, with SO_REUSEPORT: where it listens already, it can do so again.
        """
        return {port: reason for port in sorted(ports) if (reason := self._obstacle(port))}

    def _obstacle(self, port: int) -> str:
        try:
            for family in self._families:
                _bind(family, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is taken by another program"
            return f"cannot be listened on: {os.strerror(error.errno or 0)}"
        return ""

    def _files(self) -> Iterator[tuple[int, Path]]:
        """Statuses with their files; a page for one status comes after, and so before, the one for several."""
        try:
            names = sorted(self._errors.iterdir(), reverse=True)
        except OSError:
            return
        for file in names:
            if file.name == f"{_OF_NGINX}.html":
                yield from ((status, file) for status in _FOR_50X)
        for file in names:
            if file.suffix == ".html" and file.stem.isdigit() and int(file.stem) in STATUSES:
                yield int(file.stem), file

    def _users(self, skipped: list[Skipped]) -> dict[str, tuple[Credential, ...]]:
        """Who may sign in, by file; one that cannot be used keeps everybody out, as it was put there to keep some."""
        users: dict[str, tuple[Credential, ...]] = {}
        try:
            files = sorted(self._passwords.iterdir())
        except OSError:
            return users
        for file in files:
            if file.name.startswith("."):
                continue
            users[file.name] = ()
            try:
                users[file.name], reasons = parse_htpasswd(_text(file))
            except (OSError, ValueError) as error:
                reasons = (f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error),)
            skipped += (Skipped(str(file), reason) for reason in reasons)
            if not users[file.name]:
                skipped.append(Skipped(str(file), "names nobody who can sign in, so nobody can"))
        return users

    def _ca(self, skipped: list[Skipped]) -> bytes:
        if self._client_ca is None:
            return b""
        try:
            pem = self._client_ca if isinstance(self._client_ca, bytes) else self._client_ca.read_bytes()
            # Certificates alone: a key that lies beside them is not copied.
            found = x509.load_pem_x509_certificates(pem)
        except (OSError, ValueError) as error:
            place = "CA_CERT" if isinstance(self._client_ca, bytes) else str(self._client_ca)
            reason = f"holds no certificates of a CA for clients ({error})"
            if not self._last_ca:
                raise OperationalError(f"{place}: {reason}.") from error
            skipped.append(Skipped(place, f"{reason}; those that it held before are used"))
        else:
            self._last_ca = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in found)
        return self._last_ca


def _bind(family: socket.AddressFamily, port: int) -> None:
    """Bind for a moment, without listening, so that nobody is connected here."""
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            attempt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        attempt.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))


def _text(file: Path) -> str:
    if file.stat().st_size > _LARGEST_LIST:
        raise ValueError(f"larger than {_LARGEST_LIST} bytes")
    return file.read_bytes().decode(errors="replace")


def _page(file: Path) -> bytes:
    if file.stat().st_size > _LARGEST_PAGE:
        raise ValueError(f"larger than {_LARGEST_PAGE} bytes")
    page = file.read_bytes()
    if not page:
        raise ValueError("empty")
    return page
