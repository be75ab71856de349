"""The part of a plan that concerns servers: containers come, go and move without a new worker."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy_agent.routing.model import Backend, Server, ServerState
from proxy_agent.server_states import RunningServer


@dataclass(frozen=True)
class AddServer:
    """Have the running worker send requests to one more container."""

    backend: str
    server: str
    parameters: str
    """What follows the name in a ``server`` line."""
    state: ServerState = "ready"


@dataclass(frozen=True)
class MoveServer:
    """Tell the running worker that a container has another address: it was restarted."""

    backend: str
    server: str
    address: str
    port: int


@dataclass(frozen=True)
class SetServerState:
    """Have the running worker send requests to a server, or leave it to those it has."""

    backend: str
    server: str
    state: ServerState


@dataclass(frozen=True)
class RemoveServer:
    """Have the running worker send nothing new to a container, and forget it once it is idle."""

    backend: str
    server: str


ServerAction = AddServer | MoveServer | SetServerState | RemoveServer


def server_changes(
    desired: Iterable[Backend], actual: Mapping[str, Mapping[str, RunningServer]]
) -> Iterator[ServerAction]:
    """What gives the *desired* backends their servers, where *actual* are those that each has now.

    Those that take requests come first: a backend is never emptied in between.
    """
    for backend in desired:
        there = actual.get(backend.name, {})
        for server in sorted(backend.servers, key=lambda server: server.state != "ready"):
            yield from _changes(backend.name, server, there.get(server.name))
        for name in sorted(there.keys() - {server.name for server in backend.servers}):
            yield RemoveServer(backend.name, name)


def _changes(backend: str, server: Server, there: RunningServer | None) -> Iterator[ServerAction]:
    if there is None:
        yield AddServer(backend, server.name, server.parameters, server.state)
        return
    if (there.address, there.port) != (str(server.address), server.port):
        yield MoveServer(backend, server.name, str(server.address), server.port)
    if there.state != server.state:
        yield SetServerState(backend, server.name, server.state)
