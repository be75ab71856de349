"""Clients that never stop asking while a test changes the world, and remember every answer that was not 200."""

import ssl
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from tests.visits import Visits, visiting

_ANSWERS = 100
_PAUSE = 0.01
"""Seconds between two requests of one: visitors, not a benchmark, as the containers they ask share this machine."""


def visitors(host: str, http_port: int, https_port: int, address: str = "127.0.0.1") -> AbstractContextManager[Visits]:
    """Two clients that keep their connection and two that open a new one each time, on either port."""
    context = ssl._create_unverified_context()

    def plain() -> HTTPConnection:
        return HTTPConnection(address, http_port, timeout=30)

    def secure() -> HTTPConnection:
        return HTTPSConnection(address, https_port, timeout=30, context=context)

    clients = [partial(_visit, connect, keeps, host) for connect in (plain, secure) for keeps in (True, False)]
    return visiting(clients, _ANSWERS)


def _visit(
    connect: Callable[[], HTTPConnection], keeps: bool, host: str, visits: Visits, ended: threading.Event
) -> None:
    connection = connect()
    while not ended.is_set():
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, HTTPException) as error:
            visits.failures.append(f"{'kept' if keeps else 'new'} {connection.port}: {error!r}")
            connection.close()
            ended.wait(_PAUSE)
            continue
        if response.status == 200:
            visits.answered += 1
            visits.by_container.add(body.removeprefix("Hello from ").partition(":")[0])
        else:
            visits.failures.append(f"{response.status} {body!r}")
        if not keeps:
            connection.close()
        ended.wait(_PAUSE)
    connection.close()
