"""A web application with a websocket below a path of its own, as it is often mounted: it returns what it is sent."""

import asyncio
import os
import signal

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

SOCKET = "/api/socket"


async def echo(connection: ServerConnection) -> None:
    """Return every message, with the path that it came in by."""
    assert connection.request
    async for message in connection:
        await connection.send(f"{connection.request.path} heard: {message!s}")


def page(connection: ServerConnection, request: Request) -> Response | None:
    """Anything but the socket is a page."""
    if request.path == SOCKET:
        return None
    return connection.respond(200, f"A page at {request.path}\n")


async def main() -> None:
    """Serve until told to stop."""
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    async with serve(echo, "", int(os.environ.get("PORT") or "8000"), process_request=page):
        await stop


if __name__ == "__main__":
    asyncio.run(main())
