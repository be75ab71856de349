"""What the agent last saw and did, as one file: for ``companion status`` and the health check."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ValidationError

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.routing.model import SCHEMES, Routing
from proxy_agent.tls.selection import Selection


class CertificateStatus(BaseModel):
    """One certificate that HAProxy chooses from."""

    name: str
    names: tuple[str, ...]
    """The names it answers for; none for the default certificate, which answers for all others."""
    not_after: AwareDatetime
    served: bool | None
    """Whether the last handshake that asked for it showed it; None if none has asked yet."""


class RouteStatus(BaseModel):
    """One host on one listener."""

    listener: str
    host: str
    backend: str
    servers: tuple[str, ...]
    redirect: bool


class Status(BaseModel):
    """The end of one cycle."""

    cycle_at: AwareDatetime
    stale_after: AwareDatetime
    """A cycle is overdue from then on: the agent hangs, or is gone."""
    haproxy_running: bool
    containers_as_of: AwareDatetime | None
    """When Docker last answered in full; None if it has not since the agent started."""
    certificates: tuple[CertificateStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()
    problems: tuple[str, ...] = ()

    def text(self, now: datetime) -> str:
        """The same for people, as of *now*."""
        agent = "keeps up" if now <= self.stale_after else "is overdue: it hangs or is gone"
        lines = [
            f"HAProxy {'answers' if self.haproxy_running else 'does not answer'}; the agent {agent} "
            f"(last look {self.cycle_at:%Y-%m-%d %H:%M:%S} UTC).",
            _docker_line(self.containers_as_of),
            "",
            "certificates:",
            *(_certificate_line(certificate) for certificate in self.certificates),
            "routes:",
            *(_route_line(route) for route in self.routes),
            "problems:",
            *(f"  {problem}" for problem in self.problems),
        ]
        return "\n".join(_none_where_empty(lines))

    def write(self, path: Path) -> None:
        """Publish it; raises OperationalError."""
        write_whole(path, self.model_dump_json(indent=2).encode())


def read_status(path: Path) -> Status:
    """The last published status; raises OperationalError where there is none."""
    try:
        return Status.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise OperationalError("The agent has not finished a cycle yet.") from None
    except (OSError, ValidationError) as error:
        raise OperationalError(f"{path} cannot be read: {error}.") from error


def of_certificates(selection: Selection, seen: Mapping[str, int]) -> tuple[CertificateStatus, ...]:
    """The certificates of *selection*, the default one last; *seen*: the serials that handshakes showed, by name."""
    return tuple(
        CertificateStatus(
            name=bundle.name,
            names=names,
            not_after=bundle.not_after,
            served=seen[bundle.name] == bundle.serial if bundle.name in seen else None,
        )
        for bundle, names in (*selection.entries, (selection.default, ()))
    )


def of_routes(routing: Routing) -> tuple[RouteStatus, ...]:
    """The routes that HAProxy has, each with the servers behind it."""
    servers = {
        backend.name: tuple(
            f"{server.name} {server.place}{f' on {server.network}' if server.network else ''}"
            for server in backend.servers
        )
        for backend in routing.backends
    }
    return tuple(
        RouteStatus(
            listener=route.listener,
            host=route.host,
            backend=route.backend,
            servers=servers.get(route.backend, ()),
            redirect=route.redirect,
        )
        for route in routing.routes
    )


def _docker_line(as_of: datetime | None) -> str:
    if as_of is None:
        return "Docker has not answered since the agent started: routes are the last ones known."
    return f"Docker last answered {as_of:%Y-%m-%d %H:%M:%S} UTC."


def _certificate_line(certificate: CertificateStatus) -> str:
    verified = {True: "", False: "  NOT what clients get", None: "  not yet seen by a client"}[certificate.served]
    until = f"until {certificate.not_after:%Y-%m-%d %H:%M} UTC"
    return f"  {certificate.name}  {until}  {', '.join(certificate.names) or 'any other name'}{verified}"


def _route_line(route: RouteStatus) -> str:
    scheme = SCHEMES[route.listener]
    destination = "redirected to https" if route.redirect else ", ".join(route.servers) or "no server: 503"
    return f"  {scheme}://{route.host}  {destination}"


def _none_where_empty(lines: list[str]) -> Iterator[str]:
    """A heading with nothing below it says so."""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        yield f"{line} none" if line.endswith(":") and not following.startswith("  ") else line
