"""DNS as far as a preflight needs it: addresses and CAA records, asked of the resolvers in /etc/resolv.conf (RFC 1035).

The system's own lookup takes no time limit, knows no CAA and answers from /etc/hosts, which no CA reads.
"""

import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

TIMEOUT = 3.0
"""Seconds for one question, over all servers and repetitions."""
_ROUNDS = 2
_DNS_PORT = 53
_IN = 1
_RECURSION_DESIRED = 0x0100
_RESPONSE = 0x8000
_TRUNCATED = 0x0200
_POINTER = 0xC0
_MOST_SERVERS = 3
"""As many as the system's own resolver looks at (resolv.conf(5))."""

Server = tuple[str, int]


class RecordType(IntEnum):
    """What is asked for (RFC 1035 section 3.2.2, RFC 3596, RFC 8659)."""

    A = 1
    AAAA = 28
    CAA = 257


class Rcode(IntEnum):
    """How a server answers (RFC 1035 section 4.1.1), as far as we tell answers apart."""

    NOERROR = 0
    NXDOMAIN = 3


class Unanswered(Exception):
    """No server said anything that can be used; the message says what came instead."""


class ServerFailed(Unanswered):
    """A server answered that it could not find out: SERVFAIL, REFUSED and the like."""


@dataclass(frozen=True)
class Message:
    """A response, taken apart."""

    rcode: int
    truncated: bool
    records: tuple[bytes, ...]
    """The content of each record of the type that was asked for, wherever CNAMEs led; sorted."""


def parse_resolv_conf(text: str) -> tuple[Server, ...]:
    r"""The servers that resolv.conf(5) names, or the one on this host where it names none.

    >>> parse_resolv_conf("search example.com\nnameserver 127.0.0.11\n")
    (('127.0.0.11', 53),)
    """
    words = (line.split() for line in text.splitlines())
    found = [(line[1], _DNS_PORT) for line in words if len(line) > 1 and line[0] == "nameserver" and _is_ip(line[1])]
    return tuple(found[:_MOST_SERVERS]) or (("127.0.0.1", _DNS_PORT),)


def question(number: int, name: str, record_type: RecordType) -> bytes:
    """The query *number* for the records of *name*, which is a DNS name in A-labels."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    header = struct.pack(">6H", number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack(">2H", record_type, _IN)


def parse_message(content: bytes, number: int, record_type: RecordType) -> Message:
    """Read the response to query *number*; raises ValueError for anything that is none.

    The content of the records asked for here holds no compressed names, so none is followed.
    """
    try:
        identity, flags, questions, answers, _, _ = struct.unpack_from(">6H", content)
        if identity != number or not flags & _RESPONSE:
            raise ValueError("it is no answer to what was asked")
        truncated = bool(flags & _TRUNCATED)
        position = 12
        for _ in range(questions):
            position = _after_name(content, position) + 4
        records = [] if truncated else sorted(_records(content, position, answers, record_type))
    except (struct.error, IndexError):
        raise ValueError("it ends too early for a DNS message") from None
    return Message(flags & 0xF, truncated, tuple(records))


def _records(content: bytes, position: int, count: int, record_type: RecordType) -> Iterator[bytes]:
    for _ in range(count):
        position = _after_name(content, position)
        kind, dns_class, _, length = struct.unpack_from(">2HIH", content, position)
        position += 10
        if position + length > len(content):
            raise IndexError
        if (kind, dns_class) == (record_type, _IN):
            yield content[position : position + length]
        position += length


def _after_name(content: bytes, position: int) -> int:
    while length := content[position]:
        if length >= _POINTER:
            return position + 2
        position += 1 + length
    return position + 1


class Resolver:
    """Asks one server after another, twice, within a limit of time."""

    def __init__(self, servers: tuple[Server, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._clock = clock

    @classmethod
    def of_system(cls) -> "Resolver":
        """That asks whom everything else in this container asks."""
        try:
            return cls(parse_resolv_conf(Path("/etc/resolv.conf").read_text(errors="replace")))
        except OSError:
            return cls(parse_resolv_conf(""))

    def addresses(self, name: str) -> tuple[IPv4Address | IPv6Address, ...] | None:
        """All addresses of *name*, none where it has none, None where DNS has no such name; or Unanswered."""
        found: list[IPv4Address | IPv6Address] = []
        exists = False
        for record_type in (RecordType.AAAA, RecordType.A):
            message = self.ask(name, record_type)
            exists = exists or message.rcode == Rcode.NOERROR
            found += [ip_address(record) for record in message.records if len(record) in (4, 16)]
        return tuple(found) if exists else None

    def caa(self, name: str) -> tuple[bytes, ...]:
        """The content of the CAA records at *name* itself, CNAMEs followed (RFC 8659 section 3); or Unanswered."""
        return self.ask(name, RecordType.CAA).records

    def ask(self, name: str, record_type: RecordType) -> Message:
        """The first answer that a server stands for; raises ServerFailed or Unanswered, whose message says why."""
        end = self._clock() + TIMEOUT
        each = TIMEOUT / (_ROUNDS * len(self._servers))
        failed: Unanswered | None = None
        for server in self._servers * _ROUNDS:
            left = end - self._clock()
            if left <= 0:
                break
            try:
                return self._ask(server, name, record_type, min(left, each))
            except ServerFailed as error:
                failed = error
            except (OSError, ValueError) as error:
                failed = failed or Unanswered(_silence(server, error))
        raise failed or Unanswered("no DNS server answers in time")

    def _ask(self, server: Server, name: str, record_type: RecordType, timeout: float) -> Message:
        number = secrets.randbelow(1 << 16)
        query = question(number, name, record_type)
        message = parse_message(_by_udp(server, query, timeout), number, record_type)
        if message.truncated:
            message = parse_message(_by_tcp(server, query, timeout), number, record_type)
        if message.rcode not in tuple(Rcode):
            raise ServerFailed(f"the DNS server {server[0]} answers with the error {_name_of(message.rcode)}")
        return message


def _by_udp(server: Server, query: bytes, timeout: float) -> bytes:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        # Connected: the kernel drops what others send.
        connection.connect(server)
        connection.send(query)
        return connection.recv(65535)


def _by_tcp(server: Server, query: bytes, timeout: float) -> bytes:
    with socket.create_connection(server, timeout) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">H", len(query)) + query)
        (length,) = struct.unpack(">H", stream.read(2).rjust(2, b"\0"))
        return stream.read(length)


def _silence(server: Server, error: OSError | ValueError) -> str:
    if isinstance(error, TimeoutError):
        return f"the DNS server {server[0]} does not answer in time"
    what = error.strerror if isinstance(error, OSError) else None
    return f"the DNS server {server[0]} cannot be asked: {what or error}"


def _name_of(rcode: int) -> str:
    return {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}.get(rcode, str(rcode))


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
