"""A client of HTTP/2 that reads a GOAWAY as RFC 9113 says: what was begun is finished, the rest is asked again."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.errors
import h2.events

from tests.chaos.clients import LOSSES, PATIENCE, PAUSE, Connection, Tally, Visit, connected, new_path
from tests.chaos.frames import Frames

STREAMS = 8
"""That a client has open at a time, unless it is said to have more."""
_REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM


@dataclass(frozen=True)
class Appetite:
    """How much a client asks for."""

    requests: int
    """About so many on each connection."""
    at_a_time: int = STREAMS
    """Streams that are open, as long as no GOAWAY came."""
    pause: float = PAUSE
    """Seconds after each reading."""


async def streaming(visit: Visit, tally: Tally, ended: asyncio.Event, appetite: Appetite) -> None:
    """Ask by HTTP/2."""
    while not ended.is_set():
        session = None
        try:
            async with connected(visit) as connection:
                session = _Session(visit, tally, connection, appetite)
                await session.run(ended)
        except LOSSES as error:
            for _ in session.open if session and session.open else [None]:
                tally.lost(visit.kind, error)
        await asyncio.sleep(PAUSE)


class _Session:
    """One connection."""

    def __init__(self, visit: Visit, tally: Tally, connection: Connection, appetite: Appetite) -> None:
        self._visit = visit
        self._tally = tally
        self._reader, self._writer = connection
        self._appetite = appetite
        self._left_to_ask = appetite.requests
        self._frames = Frames()
        self._protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._going_away = False
        self.open: dict[int, tuple[str, list[str]]] = {}
        """By stream: its path, then status and pieces of the body."""

    async def run(self, ended: asyncio.Event) -> None:
        """Ask until told to stop, or told that the server goes away; nothing stays unanswered."""
        self._protocol.initiate_connection()
        while True:
            asks = not ended.is_set() and not self._going_away and self._left_to_ask > 0
            if asks:
                self._ask()
            elif not self.open:
                return
            self._writer.write(self._protocol.data_to_send())
            async with asyncio.timeout(PATIENCE):
                received = await self._reader.read(65536)
            if not received:
                if self.open:
                    raise EOFError("the connection ended without an answer")
                return
            for event in self._events(received):
                self._take(event)
            await asyncio.sleep(self._appetite.pause)

    def _ask(self) -> None:
        while len(self.open) < self._appetite.at_a_time:
            stream, path = self._protocol.get_next_available_stream_id(), new_path()
            fields = [(":method", "GET"), (":scheme", "https"), (":authority", self._visit.host), (":path", path)]
            self._protocol.send_headers(stream, fields, end_stream=True)
            self.open[stream] = path, []
            self._left_to_ask -= 1

    def _events(self, received: bytes) -> Iterator[h2.events.Event]:
        """Frame by frame: the library takes nothing any more after a GOAWAY, while RFC 9113 section 6.8 does."""
        for frame in self._frames.of(received):
            state = self._protocol.state_machine.state
            yield from self._protocol.receive_data(frame.whole)
            self._protocol.state_machine.state = state

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=stream, headers=headers) if stream in self.open:
                status = dict(headers or [])[b":status"]
                self.open[stream][1].append(status.decode())
            case h2.events.DataReceived(stream_id=stream, data=data) if stream in self.open:
                self.open[stream][1].append((data or b"").decode())
                self._protocol.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            case h2.events.StreamEnded(stream_id=stream) if stream in self.open:
                path, (status_text, *body) = self.open.pop(stream)
                self._visit.judge(self._tally, path, int(status_text), "".join(body))
            case h2.events.StreamReset(stream_id=stream, error_code=code) if stream in self.open:
                del self.open[stream]
                self._not_served(f"stream reset with {code!r}", begun=code != _REFUSED)
            case h2.events.ConnectionTerminated(last_stream_id=last):
                self._going_away = True
                for stream in [stream for stream in self.open if stream > (last or 0)]:
                    del self.open[stream]
                    self._not_served("", begun=False)
            case _:
                pass

    def _not_served(self, reason: str, begun: bool) -> None:
        if begun:
            self._tally.failures[f"{self._visit.kind}: {reason}"] += 1
        else:
            self._tally.unprocessed += 1
            # Asked again on the next connection, as everything here is.
            self._left_to_ask += 1
