"""The frames of HTTP/2 (RFC 9113 section 4.1), read beside whoever talks: what became of each stream on the wire."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_HEAD = 9
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_END_STREAM = 1
_REFUSED_STREAM = 7


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    whole: bytes
    """Head and payload."""


class Frames:
    """Cuts into frames what one side sends, as it comes."""

    def __init__(self, preface: bytes = b"") -> None:
        self._preface = len(preface)
        self._unread = b""

    def of(self, received: bytes) -> Iterator[Frame]:
        """All that are complete by now."""
        self._unread += received
        if len(self._unread) < self._preface:
            return
        self._unread, self._preface = self._unread[self._preface :], 0
        while len(self._unread) >= _HEAD:
            size = _HEAD + int.from_bytes(self._unread[:3])
            if len(self._unread) < size:
                return
            whole, self._unread = self._unread[:size], self._unread[size:]
            yield Frame(whole[3], whole[4], int.from_bytes(whole[5:_HEAD]), whole[_HEAD:], whole)


@dataclass
class Exchange:
    """What was asked and answered on one connection."""

    asked: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    last: int | None = None
    """The last stream that the server will have begun, as its latest GOAWAY says; None without one."""

    def sent(self, frame: Frame) -> None:
        """By the client."""
        if frame.kind == _HEADERS:
            self.asked.add(frame.stream)

    def received(self, frame: Frame) -> None:
        """From the server."""
        if frame.kind in (_DATA, _HEADERS) and frame.flags & _END_STREAM:
            self.answered.add(frame.stream)
        elif frame.kind == _RST_STREAM and int.from_bytes(frame.payload) == _REFUSED_STREAM:
            self.refused.add(frame.stream)
        elif frame.kind == _GOAWAY:
            self.last = int.from_bytes(frame.payload[:4]) & 0x7FFFFFFF

    @property
    def unprocessed(self) -> set[int]:
        """The streams that every browser asks again (RFC 9113 sections 6.8 and 8.7)."""
        above = {stream for stream in self.asked if self.last is not None and stream > self.last}
        return (self.refused | above) - self.answered


class Relay:
    """Brings HTTP/2 in clear text to a port of this host that wants TLS, and reads along."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str) -> None:
        self._port, self._context, self._host = port, context, host
        self._server: asyncio.Server | None = None
        self.exchanges: list[Exchange] = []

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._bring, "127.0.0.1", 0)

    async def close(self) -> None:
        """Listen no more, and cut off whoever is connected."""
        assert self._server
        self._server.close()
        self._server.abort_clients()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def answered_on(self, number: int) -> int:
        """The fewest answers that one of *number* connections had; none while there are fewer of those."""
        answered = [len(one.answered) for one in tuple(self.exchanges)]
        return min(answered) if len(answered) == number else 0

    def sums(self) -> Counter[str]:
        """Over all connections so far."""
        sums: Counter[str] = Counter()
        for one in tuple(self.exchanges):
            sums["asked"] += len(one.asked)
            sums["answered"] += len(one.answered)
            sums["unprocessed"] += len(one.unprocessed)
            sums["without GOAWAY"] += one.last is None
        return sums

    async def _bring(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange()
        self.exchanges.append(exchange)
        there = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context, server_hostname=self._host)
        asks = asyncio.create_task(_pass_on(reader, there[1], Frames(_PREFACE), exchange.sent))
        # Whoever asks hangs up when it is done; what is on its way to it by then is not for anybody.
        asks.add_done_callback(lambda _: there[1].transport.abort())
        await _pass_on(there[0], writer, Frames(), exchange.received)
        writer.close()
        await asks


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: Frames, note: Callable[[Frame], None]
) -> None:
    """Until one of the two sides is gone."""
    with contextlib.suppress(OSError):
        while received := await reader.read(65536):
            for frame in frames.of(received):
                note(frame)
            writer.write(received)
            await writer.drain()
