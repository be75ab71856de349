"""The web containers of a made-up Docker host: a small web server at an address of loopback for each."""

import asyncio
import re

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

    def __init__(self, address: str) -> None:
        self._address = address
        self._left = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
    """The server of one container."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._server: asyncio.Server | None = None

    async def open(self, port: int) -> None:
        """Listen at the container's address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self.address), self.address, port, reuse_port=True)

    async def close(self) -> None:
        """End at once, as a container does that does not care about its signal: whoever is connected is cut off."""
        if self._server:
            self._server.close()
            self._server.abort_clients()
            await self._server.wait_closed()
