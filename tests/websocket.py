"""One message by websocket, and what comes back."""

import asyncio
import ssl

from websockets.asyncio.client import connect

_WITHIN = 10


def answer_to(text: str, uri: str, port: int, context: ssl.SSLContext | None = None) -> str:
    """What comes back for *text* from *uri*, asked for at *port* of this host.

    Not by the library's client with threads, which reads and writes a TLS connection in two of them: on a busy machine
    it did not see some answers that HAProxy had sent.
    """

    async def exchange() -> str:
        async with connect(uri, host="127.0.0.1", port=port, ssl=context, proxy=None) as client:
            await client.send(text)
            return str(await asyncio.wait_for(client.recv(), _WITHIN))

    return asyncio.run(exchange())
