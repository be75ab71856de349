"""What HAProxy's ``show servers state`` says (management guide, 9.3): where each server is and how it stands."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from proxy_agent.routing.model import ServerState

_NAMES = frozenset({"be_name", "srv_name", "srv_addr"})
_NUMBERS = ("srv_port", "srv_admin_state")
_NUMBER = re.compile(r"[0-9]{1,9}")
_MAINTENANCE, _DRAINING = 0x01, 0x08
"""In ``srv_admin_state``: as set by a command, or by "disabled" in the configuration."""


class RunningServer(NamedTuple):
    """A server as the worker has it."""

    address: str
    port: int
    state: ServerState = "ready"
    """By our own word; whether its check finds it up is another matter."""


def parse_server_states(text: str) -> Mapping[str, Mapping[str, RunningServer]]:
    """The servers by backend and name; a line that was cut off is none."""
    lines = text.splitlines()
    servers: dict[str, dict[str, RunningServer]] = {}
    for entry in _entries(lines):
        seen = RunningServer(entry["srv_addr"], int(entry["srv_port"]), _state(entry))
        servers.setdefault(entry["be_name"], {})[entry["srv_name"]] = seen
    return servers


def without_those_set_aside(text: str) -> str:
    """*text* less the servers that get no requests by our own word."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if _state(_entry(lines, line)) == "ready")


def _entries(lines: Sequence[str]) -> Iterator[Mapping[str, str]]:
    return filter(None, (_entry(lines, line) for line in lines))


def _entry(lines: Sequence[str], line: str) -> Mapping[str, str]:
    """One *line*, where the second names the columns; empty for a line that is no server."""
    columns = "".join(lines[1:2]).removeprefix("# ").split()
    words = line.split()
    entry = dict(zip(columns, words, strict=True)) if len(words) == len(columns) else {}
    return (
        entry if all(_NUMBER.fullmatch(entry.get(column, "")) for column in _NUMBERS) and entry.keys() >= _NAMES else {}
    )


def _state(entry: Mapping[str, str]) -> ServerState:
    flags = int(entry.get("srv_admin_state", "0"))
    if flags & _MAINTENANCE:
        return "maint"
    return "drain" if flags & _DRAINING else "ready"
