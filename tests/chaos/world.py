"""A made-up host under load: containers that answer at addresses of loopback, certificates, and clients of both."""

import asyncio
import contextlib
import hashlib
import itertools
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tests.chaos.clients import Tally, Visit, asking, chatting
from tests.chaos.engine import Box
from tests.chaos.frames import Relay
from tests.chaos.origins import Origin
from tests.chaos.site import Site
from tests.chaos.streams import STREAMS, Appetite, streaming
from tests.haproxy.proxy import reserved_port
from tests.waiting import until

SECURE, PLAIN, CHAT = "a.test", "plain.test", "chat.test"
UNDER_WAY = 2 * (4 + STREAMS + 1)
"""Requests that clients may have open at a time: of HTTP/1.1 four, of HTTP/2 some, a websocket; and two of each."""
_MANY = 400
"""Requests on a connection that is kept."""


class World:
    """The containers beside one site; their servers and all clients share one thread with a loop of its own."""

    def __init__(self, site: Site, port: int) -> None:
        self.site = site
        self.tally = Tally()
        self._port = port
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._origins: dict[str, Origin] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    # Containers

    def start(self, host: str, service: str = "", **environment: str) -> str:
        """Start a container that is to answer for *host*; its id."""
        number = next(self._numbers)
        address = f"127.1.{number // 200}.{number % 200 + 1}"
        origin = Origin(address)
        self.wait(origin.open(self._port))
        identifier = hashlib.sha256(address.encode()).hexdigest()
        self._origins[identifier] = origin
        self._addresses[host].add(address)
        name = f"{service or 'lone'}-{number}"
        self.site.engine.add(
            Box(name, address, self._port, {"VIRTUAL_HOST": host, **environment}, service, identifier, number)
        )
        return identifier

    def new_name(self) -> str:
        """One that no service had yet."""
        return f"s{next(self._numbers)}"

    def stop(self, identifier: str) -> None:
        """End a container as ``docker stop`` does one that ends as soon as it is told to."""
        self.site.engine.tell("kill", identifier, signal="15")
        self.cut(identifier)
        self.site.engine.remove(identifier)

    def cut(self, identifier: str) -> None:
        """Its server is gone, whoever knows of it."""
        self.wait(self._origins.pop(identifier).close())

    # Clients

    @contextlib.contextmanager
    def load(self, clients: int = 2) -> Iterator[Tally]:
        """Clients of each kind until the block ends; it begins when all of them were served, and ends likewise."""
        ended = asyncio.Event()
        self.tally = Tally()
        with self._asked(ended, self._clients(ended, clients)):
            self.go_on(20)
            yield self.tally
            self.go_on(20)

    @contextlib.contextmanager
    def eager(self) -> Iterator[None]:
        """Beside the load, clients of HTTP/2 that always have as much under way as HAProxy lets them."""
        ended = asyncio.Event()
        visit, appetite = self._secure("eager HTTP/2", "h2"), Appetite(1_000_000, at_a_time=100, pause=0)
        with self._asked(ended, (streaming(visit, self.tally, ended, appetite) for _ in range(2))):
            yield

    @contextlib.contextmanager
    def relay(self) -> Iterator[Relay]:
        """To the host that has a certificate, for a client that does not tell what became of each of its streams."""
        relay = Relay(self.site.settings.https_port, self.site.tls_of_clients("h2"), SECURE)
        self.wait(relay.open())
        try:
            yield relay
        finally:
            self.wait(relay.close())

    def go_on(self, number: int) -> None:
        """Wait for so many answers more."""
        enough = self.tally.requests + number
        until(lambda: self.tally.requests >= enough, "further answers", pause=0.01)

    def at_rest(self) -> None:
        """Wait until the agent has looked for the last time because of what it heard."""
        seen: list[int] = []

        def rests() -> bool:
            seen.append(self.site.engine.listed)
            return len(seen) > 1 and seen[-2] == seen[-1]

        until(rests, "an agent that looks no more", pause=1.0)

    def pause(self, seconds: float) -> None:
        """Let a moment pass that a fault is to come after; what it is to find then is not waited for."""
        self.wait(asyncio.sleep(seconds))

    def close(self) -> None:
        """End all containers."""
        for identifier in tuple(self._origins):
            self.cut(identifier)
        # What was cut off is closed in the next turn of the loop.
        self.wait(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done in the loop."""
        self._spawn(work).result(120)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextlib.contextmanager
    def _asked(self, ended: asyncio.Event, clients: Iterable[Coroutine[Any, Any, None]]) -> Iterator[None]:
        asked = [self._spawn(work) for work in clients]
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(ended.set)
            for one in asked:
                one.result(60)

    def _clients(self, ended: asyncio.Event, number: int) -> Iterator[Coroutine[Any, Any, None]]:
        plain = Visit("HTTP/1.1", PLAIN, self.site.settings.http_port, None, partial(self._behind, PLAIN))
        secure = self._secure("HTTPS/1.1", "http/1.1")
        for _ in range(number):
            for visit in (plain, secure):
                yield asking(replace(visit, kind=f"{visit.kind} kept"), self.tally, ended, _MANY)
                yield asking(replace(visit, kind=f"{visit.kind} new"), self.tally, ended, 1)
            yield streaming(self._secure("HTTP/2", "h2"), self.tally, ended, Appetite(_MANY * 4))
            chat = replace(secure, kind="websocket", host=CHAT, addresses=partial(self._behind, CHAT))
            yield chatting(chat, self.tally, ended)

    def _secure(self, kind: str, protocol: str) -> Visit:
        port, addresses = self.site.settings.https_port, partial(self._behind, SECURE)
        return Visit(kind, SECURE, port, self.site.tls_of_clients(protocol), addresses)

    def _behind(self, host: str) -> frozenset[str]:
        return frozenset(self._addresses[host])


@contextlib.contextmanager
def world(site: Site) -> Iterator[World]:
    """A site that runs, with two containers of a service, one without a certificate, and one for websockets."""
    with contextlib.ExitStack() as stack:
        made = World(site, stack.enter_context(reserved_port()))
        stack.callback(made.close)
        for host, service, number in ((SECURE, "web", 2), (PLAIN, "plain", 2), (CHAT, "chat", 1)):
            for _ in range(number):
                made.start(host, service)
        site.publish("a", SECURE)
        site.publish("chat", CHAT)
        site.engine.open()
        site.raise_all()
        stack.callback(site.raze_all)
        yield made
