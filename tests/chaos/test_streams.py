"""What the clients of HTTP/2 count: requests that are asked again are no failures, and no failure is one of those."""

import asyncio
from collections.abc import Callable
from functools import partial

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from tests.chaos.clients import Tally, Visit
from tests.chaos.frames import Exchange, Frames
from tests.chaos.origins import said_by
from tests.chaos.streams import Appetite, streaming

AT_A_TIME = 20
ENOUGH = 200
LAST = 9
"""The fifth stream of a client."""
MAXIMUM = 2**31 - 1

Server = h2.connection.H2Connection
Fault = Callable[[Server, list[int]], bool]
"""What a server does with the first streams of its first connection, of which it answers none itself; whether it then
hangs up."""


def goes_away(last: int, server: Server, streams: list[int]) -> bool:
    """As a server that ends; it answers what it says to have begun, but for none where it says that of all."""
    for stream in streams:
        if stream <= last < MAXIMUM:
            answer(server, stream)
    server.close_connection(last_stream_id=last)
    return True


def resets(code: h2.errors.ErrorCodes, server: Server, streams: list[int]) -> bool:
    """As a server that can serve no more, or that fails."""
    for stream in streams:
        server.reset_stream(stream, code)
    return False


def answer(server: Server, stream: int) -> None:
    """As a container does."""
    server.send_headers(stream, [(":status", "200")])
    server.send_data(stream, said_by("x", "a.test", PATHS[server, stream]).encode(), end_stream=True)


PATHS: dict[tuple[Server, int], str] = {}


class Protocol(asyncio.Protocol):
    """A server, of which the first connection may have a fault."""

    def __init__(self, faults: list[Fault]) -> None:
        self._server = Server(h2.config.H2Configuration(client_side=False))
        self._faults = faults
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.initiate_connection()

    def data_received(self, data: bytes) -> None:
        assert self._transport
        streams = []
        for event in self._server.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                PATHS[self._server, event.stream_id] = dict(event.headers)[b":path"].decode()
                streams.append(event.stream_id)
        ends = False
        if self._faults and len(streams) == AT_A_TIME:
            ends = self._faults.pop()(self._server, streams)
        else:
            for stream in streams:
                answer(self._server, stream)
        self._transport.write(self._server.data_to_send())
        if ends:
            self._transport.close()


async def asked(fault: Fault) -> Tally:
    """What a client counts."""
    tally, ended, faults = Tally(), asyncio.Event(), [fault]
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(faults), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        visit = Visit("HTTP/2", "a.test", port, None, lambda: frozenset({"x"}))
        client = asyncio.create_task(streaming(visit, tally, ended, Appetite(10_000, AT_A_TIME, pause=0)))
        while tally.answered < ENOUGH:
            await asyncio.sleep(0)
        ended.set()
        await client
    assert not faults
    return tally


@pytest.mark.parametrize(
    ("fault", "unprocessed", "failed"),
    [
        (partial(goes_away, LAST), AT_A_TIME - 5, 0),
        (partial(goes_away, 0), AT_A_TIME, 0),
        (partial(goes_away, MAXIMUM), 0, AT_A_TIME),
        (partial(resets, h2.errors.ErrorCodes.REFUSED_STREAM), AT_A_TIME, 0),
        (partial(resets, h2.errors.ErrorCodes.INTERNAL_ERROR), 0, AT_A_TIME),
    ],
    ids=["some left out", "all left out", "all begun and lost", "refused", "failed"],
)
def test_only_what_was_not_begun_is_asked_again(fault: Fault, unprocessed: int, failed: int) -> None:
    """A stream above a GOAWAY's last one, or refused, was not begun; all others must be answered."""
    tally = asyncio.run(asyncio.wait_for(asked(fault), 30))
    assert (tally.unprocessed, tally.failed) == (unprocessed, failed)


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """One frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def goaway(last: int) -> bytes:
    """With no error."""
    return frame(7, 0, last.to_bytes(4) + bytes(4))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_wire_tells_what_became_of_each_stream(size: int) -> None:
    """In whatever pieces it is read."""
    exchange = Exchange()
    asks = b"PREFACE" + frame(4, 0) + b"".join(frame(1, stream, b"x" * 40, 5) for stream in (1, 3, 5, 7, 9))
    says = frame(1, 1, b"x") + frame(0, 1, b"body", 1) + goaway(MAXIMUM) + frame(1, 3, b"x", 1)
    says += frame(3, 5, (7).to_bytes(4)) + frame(3, 7, (2).to_bytes(4)) + goaway(7)
    for whole, frames, note in ((asks, Frames(b"PREFACE"), exchange.sent), (says, Frames(), exchange.received)):
        for begin in range(0, len(whole), size):
            for one in frames.of(whole[begin : begin + size]):
                note(one)
    assert exchange.asked == {1, 3, 5, 7, 9}
    assert exchange.answered == {1, 3}
    assert exchange.unprocessed == {5, 9}
    assert exchange.last == 7
