"""A service that speaks no HTTP: it returns each line, on every port that it is told."""

import asyncio
import signal
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return lines until the client is done."""
    while line := await reader.readline():
        writer.write(b"you said " + line)
        await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until told to stop."""
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    for port in sys.argv[1:]:
        await asyncio.start_server(echo, "", int(port))
    await stop


if __name__ == "__main__":
    asyncio.run(main())
