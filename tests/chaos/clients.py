"""Clients that ask without end, and count every answer that is not the right one."""

import asyncio
import itertools
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.chaos.origins import said_by

PATIENCE = 15.0
"""Seconds after which an answer that did not come is a failed one."""
PAUSE = 0.004
"""Between two requests of one client: visitors, not a benchmark."""
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LOSSES = (OSError, EOFError, asyncio.IncompleteReadError, ValueError)


@dataclass
class Tally:
    """What became of all requests."""

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    wrong_certificates: Counter[str] = field(default_factory=Counter)
    unprocessed: int = 0
    """HTTP/2 streams that HAProxy said it had not begun (RFC 9113 sections 6.8 and 8.7): every browser asks again, and
    so do these clients. The second request must be answered."""

    @property
    def failed(self) -> int:
        """All wrong answers, and those that never came."""
        return self.failures.total() + self.wrong_certificates.total()

    @property
    def requests(self) -> int:
        """All that were to be answered."""
        return self.answered + self.failed

    def lost(self, kind: str, error: BaseException) -> None:
        """Count a request that was not answered."""
        if isinstance(error, ssl.SSLCertVerificationError):
            self.wrong_certificates[f"{kind}: {error.verify_message}"] += 1
        else:
            self.failures[f"{kind}: {type(error).__name__} {error}"] += 1


@dataclass(frozen=True)
class Visit:
    """Where a client goes, and what it may be told there."""

    kind: str
    host: str
    port: int
    context: ssl.SSLContext | None
    addresses: Callable[[], frozenset[str]]
    """Of the containers that are, or were, behind *host*."""

    def judge(self, tally: Tally, path: str, status: int, body: str) -> None:
        """Count an answer."""
        if status == 200 and body in {said_by(address, self.host, path) for address in self.addresses()}:
            tally.answered += 1
        else:
            tally.failures[f"{self.kind}: {status} {body[:60]!r}"] += 1


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_NUMBERS = itertools.count()


def new_path() -> str:
    """One that nobody asked for before, so that no answer passes for another one's."""
    return f"/{next(_NUMBERS)}"


@asynccontextmanager
async def connected(visit: Visit) -> AsyncIterator[Connection]:
    """A connection, through TLS with a certificate that must be good for the host."""
    name = visit.host if visit.context else None
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", visit.port, ssl=visit.context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def asking(visit: Visit, tally: Tally, ended: asyncio.Event, requests: int) -> None:
    """Ask by HTTP/1.1, *requests* times on each connection."""
    while not ended.is_set():
        try:
            async with connected(visit) as connection:
                for number in range(requests):
                    # What the server ended while nothing was under way is no loss: who asks next connects anew.
                    if ended.is_set() or connection[0].at_eof() or connection[0].exception():
                        break
                    async with asyncio.timeout(PATIENCE):
                        stays = await _one(visit, tally, connection, last=number == requests - 1)
                    if not stays:
                        break
                    await asyncio.sleep(PAUSE)
        except LOSSES as error:
            tally.lost(visit.kind, error)
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(PAUSE)


async def _one(visit: Visit, tally: Tally, connection: Connection, last: bool) -> bool:
    """Ask once; whether the connection can be used again."""
    reader, writer = connection
    path = new_path()
    close = "Connection: close\r\n" if last else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {visit.host}\r\n{close}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    body = await reader.readexactly(int(length.partition(":")[2]))
    visit.judge(tally, path, int(head.split(" ", 2)[1]), body.decode())
    return "connection: close" not in head


async def chatting(visit: Visit, tally: Tally, ended: asyncio.Event) -> None:
    """Keep a websocket, say something and hear it again; its end is a failure."""
    while not ended.is_set():
        try:
            async with connected(visit) as (reader, writer):
                async with asyncio.timeout(PATIENCE):
                    writer.write(HANDSHAKE.format(path=new_path(), host=visit.host).encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 101 "):
                    raise ValueError(head.partition(b"\r\n")[0].decode())
                while not ended.is_set():
                    said = new_path().encode()
                    writer.write(said)
                    async with asyncio.timeout(PATIENCE):
                        heard = await reader.readexactly(len(said))
                    if heard != said:
                        raise ValueError(f"{heard!r}")
                    tally.answered += 1
                    await asyncio.sleep(PAUSE * 5)
        except LOSSES as error:
            tally.lost(visit.kind, error)
            await asyncio.sleep(PAUSE)
