"""Clients that never stop asking while a test changes the world, and remember every answer that was not 200."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from tests.waiting import until


class Visits:
    """What became of their requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self.by_container: set[str] = set()
        """Who answered since this was last emptied."""

    def go_on(self, number: int = 100) -> None:
        """Wait for so many more."""
        enough = self.answered + number
        until(lambda: self.failures or self.answered >= enough, "requests that are answered", pause=0.01)


@contextmanager
def visitors(host: str, http_port: int, https_port: int, address: str = "127.0.0.1") -> Iterator[Visits]:
    """Two clients that keep their connection and two that open a new one each time, on either port."""
    visits = Visits()
    ended = threading.Event()
    context = ssl._create_unverified_context()

    def plain() -> HTTPConnection:
        return HTTPConnection(address, http_port, timeout=30)

    def secure() -> HTTPConnection:
        return HTTPSConnection(address, https_port, timeout=30, context=context)

    kinds = [(connect, keeps) for connect in (plain, secure) for keeps in (True, False)]
    threads = [
        threading.Thread(target=_visit, args=(connect, keeps, host, visits, ended), daemon=True)
        for connect, keeps in kinds
    ]
    for thread in threads:
        thread.start()
    try:
        visits.go_on()
        yield visits
        visits.go_on()
    finally:
        ended.set()
        for thread in threads:
            thread.join()


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
            continue
        if response.status == 200:
            visits.answered += 1
            visits.by_container.add(body.removeprefix("Hello from ").partition(":")[0])
        else:
            visits.failures.append(f"{response.status} {body!r}")
        if not keeps:
            connection.close()
        # Visitors, not a benchmark: the containers they ask share this machine.
        ended.wait(0.01)
    connection.close()
