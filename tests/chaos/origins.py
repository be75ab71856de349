"""The web containers of a made-up Docker host: a small web server at an address of loopback for each."""

import asyncio
import contextlib
import re
import socket

_HEAD_ENDS = b"\r\n\r\n"
_HOST = re.compile(rb"^host: *([^\r]*)", re.IGNORECASE | re.MULTILINE)
_UPGRADE = re.compile(rb"^upgrade: *websocket", re.IGNORECASE | re.MULTILINE)
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def said_by(address: str, host: str, path: str) -> str:
    """The body of the answer that the container at *address* gives."""
    return f"{address} for {host}{path}\n"


class _Connection(asyncio.Protocol):
    """Answers each request with who asked whom for what; after an upgrade, repeats what it is told."""

    def __init__(self, address: str, opened: set[asyncio.Transport]) -> None:
        self._address = address
        self._opened = opened
        self._left = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        assert self._transport
        self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport
        if self._upgraded:
            self._transport.write(data)
            return
        self._left += data
        while _HEAD_ENDS in self._left:
            head, _, self._left = self._left.partition(_HEAD_ENDS)
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        if _UPGRADE.search(head):
            self._upgraded = True
            return _SWITCHING
        host = _HOST.search(head)
        path = head.split(b" ", 2)[1]
        body = said_by(self._address, host[1].decode() if host else "", path.decode()).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Origin:
    """The server of one container.

    Not asyncio's: what that accepted as it was closed, it neither serves nor closes (Python 3.13, Server._attach).
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._opened: set[asyncio.Transport] = set()
        self._accepting: asyncio.Task[None] | None = None

    async def open(self, port: int) -> None:
        """Listen at the container's address."""
        listening = socket.create_server((self.address, port), backlog=1000, reuse_port=True)
        listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listening))

    async def close(self) -> None:
        """End at once, as a container does that does not care about its signal: whoever is connected is cut off."""
        if self._accepting:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
        for transport in tuple(self._opened):
            transport.abort()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                client, _ = await loop.sock_accept(listening)
                await loop.connect_accepted_socket(lambda: _Connection(self.address, self._opened), client)
