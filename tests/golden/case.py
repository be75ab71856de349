"""One golden case: a file with a world in JSON, a line of dashes, and what HAProxy is given to read in that world.

``python -m tests.golden.case`` writes the second halves anew; the difference in the commit is what a reviewer reads.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from proxy_agent.certificates import Found
from proxy_agent.decision import Decision, World, decide
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.render import Inserts, Templates
from proxy_agent.runtime import Verdict
from proxy_agent.settings import load
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import parse_identifier
from proxy_agent.tls.ticket_keys import LENGTH, TicketKey
from proxy_agent.trials import Trials

CASES = Path(__file__).parent / "cases"
TEMPLATES = Path(__file__).resolve().parents[2] / "haproxy"
STATE = "/var/lib/companion"
SEPARATOR = "----------\n"
NOW = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """The two halves of a file."""

    path: Path
    world: Mapping[str, Any]
    expected: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of the proxy, as its container gets them."""
        return {"ENABLE_IPV6": "yes", **self.world.get("environment", {})}

    def decision(self) -> Decision:
        """What is decided in this world."""
        settings = load(self.environment)
        services = tuple(_service(name, of) for name, of in self.world.get("services", {}).items())
        bundles = tuple(_bundle(name, names) for name, names in self.world.get("certificates", {}).items())
        world = World(
            services=services,
            found=Found({"issued": bundles}, None, (), frozenset()),
            self_signed=_bundle("self-signed", ["localhost"]),
            kept={},
            refused={},
            now=NOW,
            inserts=Inserts(
                pages={int(status): page.encode() for status, page in self.world.get("pages", {}).items()},
                client_ca=self.world.get("client_ca", {}).get("pem", "").encode(),
                ticket_keys=tuple(
                    TicketKey(NOW, bytes([n]) * LENGTH) for n in range(self.world.get("tickets", {}).get("keys", 0))
                ),
            ),
            extra=Trials(settings, Path(gettempdir()), lambda _: Verdict(True, "")).extra(services),
        )
        return decide(world, Templates(TEMPLATES, settings), path_of, f"{STATE}/default.pem", settings)

    def actual(self) -> str:
        """The second half, as the code has it now."""
        decision = self.decision()
        files = decision.desired.configuration.files
        parts = [f"### {name}\n{content.decode()}" for name, content in sorted(files.items())]
        skipped = "".join(f"{item}\n" for item in decision.skipped)
        return "\n".join([*parts, f"### skipped\n{skipped}"])


def path_of(name: str) -> str:
    """Where a bundle is kept."""
    return f"{STATE}/certificates/{name}.pem"


def cases() -> Iterator[Case]:
    """All cases, by name."""
    for path in sorted(CASES.glob("*.golden")):
        world, _, expected = path.read_text().partition(SEPARATOR)
        yield Case(path, json.loads(world), expected.removeprefix("\n"))


def _service(name: str, containers: Mapping[str, Mapping[str, Any]]) -> Service:
    return Service(name, tuple(_container(of, told) for of, told in containers.items()))


def _container(name: str, told: Mapping[str, Any]) -> Container:
    address = told.get("address")
    return Container(
        name=name,
        settings=told["settings"],
        exposed_ports=tuple(told.get("exposed", [80])),
        address=ip_address(address) if address else None,
        unreachable="" if address else "no network in common: it is in lonely, HAProxy in proxy",
        health=told.get("health", "none"),
        leaving=told.get("leaving", False),
        paused=told.get("paused", False),
        gone_at=NOW if told.get("gone") else None,
        created=told.get("created", 0),
    )


def _bundle(name: str, names: list[str]) -> Bundle:
    return Bundle(
        name=f"issued/{name}",
        pem=b"",
        identifiers=frozenset(map(parse_identifier, names)),
        serial=1,
        fingerprint=name,
        issuer="CN=Golden CA",
        not_before=NOW,
        not_after=NOW + timedelta(days=90),
        chain_length=1,
    )


if __name__ == "__main__":
    for case in cases():
        world, _, _ = case.path.read_text().partition(SEPARATOR)
        case.path.write_text(f"{world}{SEPARATOR}\n{case.actual()}")
