"""The agent: look at containers, certificates and HAProxy; decide; act; sleep until rung."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from proxy_agent import perform, status
from proxy_agent.actions import Verify
from proxy_agent.arrivals import Arrivals
from proxy_agent.certificates import Found
from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.daemon.liveness import LONGEST_LOOK
from proxy_agent.daemon.log import Notices
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.decision import Decision, World, decide
from proxy_agent.edges import Certificates, Containers, Deployment, Runtime, Surroundings
from proxy_agent.reconcile import Actual, plan
from proxy_agent.refusals import Refusals
from proxy_agent.routing.extra import Extra
from proxy_agent.routing.lingering import followed, grace_ends
from proxy_agent.routing.model import Routing, Service
from proxy_agent.routing.render import Templates
from proxy_agent.runtime import Running
from proxy_agent.settings import Settings
from proxy_agent.tls.ticket_keys import TicketKey

log = logging.getLogger(__name__)

_SHORTEST_RETRY = 0.25
_LONGEST_RETRY = 30.0
_PATIENCE = 5
"""Looks in a row without HAProxy or Docker before that is worth a line: containers start in any order."""


def _no_extra(_: tuple[Service, ...]) -> Extra:
    return Extra()


def _no_tickets(_: datetime) -> tuple[tuple[TicketKey, ...], tuple[Skipped, ...]]:
    return (), ()


class Agent:
    """Keeps HAProxy true to the world: each cycle looks at everything, and events only say when."""

    def __init__(  # noqa: PLR0913, PLR0917 - one for each thing outside
        self,
        settings: Settings,
        templates: Templates,
        containers: Containers,
        certificates: Certificates,
        deployment: Deployment,
        runtime: Runtime,
        performer: perform.Performer,
        clock: Callable[[], datetime],
        surroundings: Surroundings,
        extra: Callable[[tuple[Service, ...]], Extra] = _no_extra,
        ticket_keys: Callable[[datetime], tuple[tuple[TicketKey, ...], tuple[Skipped, ...]]] = _no_tickets,
    ) -> None:
        self._settings = settings
        self._templates = templates
        self._containers = containers
        self._certificates = certificates
        self._deployment = deployment
        self._runtime = runtime
        self._performer = performer
        self._clock = clock
        self._surroundings = surroundings
        self._extra = extra
        self._ticket_keys = ticket_keys if settings.ssl_bind_options.tickets else _no_tickets
        self._notices = Notices(log)
        self._services: tuple[Service, ...] | None = None
        self._services_as_of: datetime | None = None
        self._decision: Decision | None = None
        """What was decided in the world that was seen last: most looks find the same one."""
        self._routing = Routing()
        self._lines = Extra()
        self._refusals = Refusals(settings.resync_interval)
        self._arrivals = Arrivals()
        self._unfinished = False
        """Whether a look left something for the next, to see to containers in between."""
        self._failures = 0
        self._without_docker = 0

    def prepare(self) -> None:
        """Put right what HAProxy reads when it starts, from what is remembered: no Docker, no HAProxy, no network.

        Falls back to what was current before, then to a configuration without any service; raises OperationalError
        if not even that can be written.
        """
        self._services = self._deployment.remembered()
        now, stored = self._clock(), self._deployment.certificates()
        try:
            self._act(self._decide(now, stored), stored, None)
        except OperationalError as error:
            log.error("%s", error)
            if self._refusals.blame(error, self._lines, now):
                self.prepare()
            elif not self._performer.accepts_current():
                self._services = ()
                self._act(self._decide(now, stored, Found({}, None, (), frozenset())), stored, None)

    def run(
        self, wakeup: Wakeup, publish: Callable[[status.Status], None], due: Callable[[float], None] = lambda _: None
    ) -> None:
        """Look, act and sleep until *wakeup* is stopped; every cycle ends in a status.

        *due* is told again and again within how many seconds it is called the next time, unless something hangs.
        """
        while not wakeup.stopping:
            due(LONGEST_LOOK)
            current = self.cycle()
            try:
                publish(current)
            except OperationalError as error:
                self._notices.update("the status", [str(error)], logging.ERROR)
            else:
                self._notices.update("the status", [])
            delay = self._delay()
            due(delay + LONGEST_LOOK)
            wakeup.wait(delay)

    def cycle(self) -> status.Status:
        """One look and what follows from it; trouble that the operator can act on is logged once and in the status."""
        now = self._clock()
        self._refusals.forget_passing(now)
        troubles = self._ask_docker(now)
        decision, running, finished = None, None, False
        try:
            running = self._runtime.running()
            stored = self._deployment.certificates()
            decision = self._decide(now, stored)
            troubles += self._ask_letsencrypt(decision)
            decision, left = self._arrivals.of_this_look(decision, stored, running, self._decided)
            self._act(decision, stored, running, left)
            self._arrivals.took(self._performer.seconds)
            finished, self._unfinished = True, left or self._performer.unfinished
        except OperationalError as error:
            self._refusals.blame(error, self._lines, now)
            known = len(self._refusals.certificates)
            if not self._refusals.learn(error, now):
                troubles.append(str(error))
            # One that turns out to be of no use is no reason to have the others wait.
            self._unfinished = len(self._refusals.certificates) > known
        self._failures = 0 if running and (finished or self._unfinished) else self._failures + 1
        if decision:
            troubles += self._refusals.of(decision.desired.configuration.identity)
        if running is None and self._failures > _PATIENCE:
            troubles.append("HAProxy does not answer on its runtime socket.")
        return self._report(now, decision, running, troubles, finished)

    def _ask_docker(self, now: datetime) -> list[str]:
        """Renew what is known of the services; without an answer, what was known last goes on."""
        if self._services is None:
            self._services = self._deployment.remembered()
        try:
            found = self._containers.services()
        except OperationalError as error:
            self._without_docker += 1
            return [f"{error} Routing stays as it was."] if self._without_docker > _PATIENCE else []
        self._services = followed(self._services, found, now, self._settings.route_grace)
        self._services_as_of = now
        unknown = [f"{c.name}: {c.unreachable}." for service in found for c in service.containers if not c.inspected]
        self._without_docker = self._without_docker + 1 if unknown else 0
        troubles = unknown if self._without_docker > _PATIENCE else []
        try:
            self._deployment.remember(self._services)
        except OperationalError as error:
            troubles.append(str(error))
        return troubles

    def _ask_letsencrypt(self, decision: Decision) -> list[str]:
        """Tell letsencrypt what is wanted: not before Docker has answered, nor before all that is there is read."""
        if self._services_as_of is None or decision.world.found.own_unread:
            return []
        try:
            self._certificates.ask_for(decision.wanted)
        except OperationalError as error:
            return [str(error)]
        return []

    def _decide(self, now: datetime, stored: Mapping[str, bytes], found: Found | None = None) -> Decision:
        inserts, not_inserted = self._surroundings.inserts()
        ticket_keys, not_kept = self._ticket_keys(now)
        self._lines = self._extra(self._services or ())
        world = World(
            services=self._services or (),
            found=found or self._certificates.found(),
            self_signed=self._certificates.self_signed(self._settings.default_cert_sans, now),
            kept={self._deployment.certificate_name(path): pem for path, pem in stored.items()},
            refused=dict(self._refusals.certificates),
            now=now,
            inserts=replace(inserts, ticket_keys=ticket_keys),
            not_inserted=(*not_inserted, *not_kept),
            extra=self._refusals.of_extra(self._lines),
        )
        if self._decision is None or self._decision.world != world or not self._decision.holds(now):
            self._decision = self._decided(world)
        if taken := self._surroundings.taken_ports(self._decision.ports):
            # "haproxy -c" does not see it, and a reload that cannot bind stops everybody for two seconds.
            return self._decided(replace(world, inserts=replace(world.inserts, taken_ports=taken)))
        return self._decision

    def _decided(self, world: World) -> Decision:
        default_path = str(self._deployment.default_certificate)
        return decide(world, self._templates, self._deployment.certificate_path, default_path, self._settings)

    def _act(
        self, decision: Decision, stored: Mapping[str, bytes], running: Running | None, left: bool = False
    ) -> None:
        refused = self._refusals.configuration
        actual = Actual(self._deployment.files(), stored, running, self._performer.seen, refused)
        actions = plan(decision.desired, actual)
        self._performer.perform(actions, stored, running is not None, left)
        if decision.desired.configuration.identity != refused:
            if any(not isinstance(action, Verify) for action in actions):
                self._say_what_changed(decision.routing)
            self._routing = decision.routing

    def _say_what_changed(self, routing: Routing) -> None:
        before, after = self._routing.lines(), routing.lines()
        for host, line in after.items():
            if before.get(host) != line:
                log.info("%s", line)
        for host in sorted(before.keys() - after.keys()):
            log.info("%s is no longer served.", host)

    def _report(
        self, now: datetime, decision: Decision | None, running: Running | None, troubles: list[str], finished: bool
    ) -> status.Status:
        skipped = [str(item) for item in decision.skipped] if decision else []
        certificates = status.of_certificates(decision.selection, self._performer.seen) if decision else ()
        unserved = [
            f"A handshake for {certificate.name} showed another certificate, and a reload did not help."
            for certificate in certificates
            if finished and certificate.served is False
        ]
        self._notices.update("the agent's own work", troubles, logging.ERROR)
        self._notices.update("what clients get", unserved, logging.ERROR)
        if decision:
            self._notices.update("what containers and files ask for", skipped)
        return status.Status(
            cycle_at=now,
            stale_after=now + 2 * self._settings.resync_interval,
            haproxy_running=running is not None,
            containers_as_of=self._services_as_of,
            certificates=certificates,
            routes=status.of_routes(self._routing),
            problems=(*troubles, *unserved, *skipped),
        )

    def _delay(self) -> float:
        """Until the next look without a ring: soon after a failure, and doubling, but never later than a resync."""
        longest = self._settings.resync_interval.total_seconds()
        if ends := grace_ends(self._services or (), self._settings.route_grace):
            longest = min(longest, max((ends - self._clock()).total_seconds(), _SHORTEST_RETRY))
        if failures := max(self._failures, self._without_docker):
            return float(min(_SHORTEST_RETRY * 2 ** min(failures - 1, 10), _LONGEST_RETRY, longest))
        return 0.0 if self._unfinished else longest
