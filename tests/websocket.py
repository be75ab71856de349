"""One message by websocket, and what comes back."""

import asyncio
import ssl

from websockets.asyncio.client import connect

_WITHIN = 10


def answer_to(text: str, uri: str, port: int, context: ssl.SSLContext | None = None) -> str:
    """What comes back for *text* from *uri*, asked for at *port* of this host.

    Not by the library's threads: in Python 3.13.5 one that waits in TLS may keep another one from sending.
    """

    async def exchange() -> str:
        async with connect(uri, host="127.0.0.1", port=port, ssl=context, proxy=None) as client:
            await client.send(text)
            return str(await asyncio.wait_for(client.recv(), _WITHIN))

    return asyncio.run(exchange())
