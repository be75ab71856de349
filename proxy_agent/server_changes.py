"""The part of a plan that concerns servers: containers come, go and move without a new worker."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy_agent.routing.model import Backend


@dataclass(frozen=True)
class AddServer:
    """Have the running worker send requests to one more container."""

    backend: str
    server: str
    parameters: str
    """What follows the name in a ``server`` line."""


@dataclass(frozen=True)
class MoveServer:
    """Tell the running worker that a container has another address: it was restarted."""

    backend: str
    server: str
    address: str
    port: int


@dataclass(frozen=True)
class RemoveServer:
    """Have the running worker send nothing new to a container, and forget it once it is idle."""

    backend: str
    server: str


ServerAction = AddServer | MoveServer | RemoveServer


def server_changes(
    desired: Iterable[Backend], actual: Mapping[str, Mapping[str, tuple[str, int]]]
) -> Iterator[ServerAction]:
    """What gives the *desired* backends their servers, where *actual* are the addresses and ports that each has now.

    New ones come first: a backend is never emptied in between.
    """
    for backend in desired:
        there = actual.get(backend.name, {})
        for server in backend.servers:
            place = str(server.address), server.port
            if server.name not in there:
                yield AddServer(backend.name, server.name, server.parameters)
            elif there[server.name] != place:
                yield MoveServer(backend.name, server.name, *place)
        for name in sorted(there.keys() - {server.name for server in backend.servers}):
            yield RemoveServer(backend.name, name)
