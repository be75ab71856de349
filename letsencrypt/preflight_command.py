"""``python -m letsencrypt preflight``: what a CA would see now, as one sentence each; orders nothing."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from letsencrypt.certonly import Directory
from letsencrypt.directory import read_directory
from letsencrypt.discovery import by_directory
from letsencrypt.loadbalancer import LoadBalancer, NotThrough
from letsencrypt.manual import commissions_of
from letsencrypt.preflight import LOAD_BALANCER, Address, Kind, Verdict
from letsencrypt.preflight_run import Preflight
from letsencrypt.probe import Prober
from letsencrypt.resolver import Resolver, Unanswered
from letsencrypt.settings import Settings
from letsencrypt.wanted import WantedFile
from letsencrypt.webroot import ChallengeFolder
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.tls.names import Identifier, parse_identifier

_WORDS = {Kind.FINE: "ok", Kind.DOUBTFUL: "doubtful", Kind.DEFINITE: "fails"}


def resolver_of(settings: Settings) -> Resolver:
    """Whom to ask for names: as everything else here, unless a test says otherwise."""
    if settings.resolver_port is not None:
        return Resolver((("127.0.0.1", settings.resolver_port),))
    return Resolver.of_system()


def preflight_of(settings: Settings, directory: Directory, now: Callable[[], datetime]) -> Preflight:
    """A preflight on behalf of *directory*; the challenge server of this container has to run."""
    resolver = resolver_of(settings)

    def addresses_of(name: str) -> Sequence[Address]:
        try:
            identifier = parse_identifier(name)
            return (resolver.addresses(identifier) or ()) if isinstance(identifier, str) else (identifier,)
        except (Unanswered, ValueError) as error:
            raise OSError(f"it redirects to {name[:60]}, which cannot be looked up: {error}") from None

    return Preflight(
        host=directory.host,
        read_directory=lambda: read_directory(directory.url, now),
        lookup=resolver,
        probing=Prober(addresses_of, {80: settings.probe_port}),
        tokens=ChallengeFolder(settings.webroot),
        now=now,
    )


def run_preflight(settings: Settings, names: Iterable[str], now: Callable[[], datetime]) -> Iterator[Verdict]:
    """The verdicts on our load balancer, then on *names*, or on all that is wanted if there are none.

    Safe beside the loop: only a token of its own is written, for a moment. Raises ValueError for what is no name.
    """
    asked = [parse_identifier(name) for name in names]
    yield _on_load_balancer(settings)
    for directory, identifiers in _wanted(settings, asked).items():
        yield from preflight_of(settings, directory, now).look(identifiers)


def shown(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One line for each of *verdicts*: how bad it is, and why."""
    width = max((len(_WORDS[verdict.kind]) for verdict in verdicts), default=0)
    return (f"{_WORDS[verdict.kind]:{width}}  {verdict.sentence}" for verdict in verdicts)


def _wanted(settings: Settings, asked: Sequence[Identifier]) -> Mapping[Directory, Sequence[Identifier]]:
    """The names to look at, by the server they are to come from; names that nobody wants would come from ours."""
    requests = WantedFile(settings.wanted_file).read() if settings.auto_domains else ()
    admission = replace(settings.admission, commanded=commissions_of(settings).wishes())
    wishes, _refused = admission.admit(requests)
    wanted: dict[Directory, list[Identifier]] = {}
    for directory, lineages in by_directory(admission, wishes).items():
        wanted[directory] = [name for lineage in lineages for name in lineage.identifiers]
    if asked:
        known = {name for names in wanted.values() for name in names}
        wanted = {directory: [name for name in names if name in asked] for directory, names in wanted.items()}
        wanted.setdefault(settings.options.directory, []).extend(name for name in asked if name not in known)
    return {directory: names for directory, names in wanted.items() if names}


def _on_load_balancer(settings: Settings) -> Verdict:
    folder = ChallengeFolder(settings.webroot)
    token, content = f"probe-{secrets.token_urlsafe(16)}", secrets.token_urlsafe(32).encode()
    service = settings.load_balancer
    try:
        with folder.offering(token, content):
            LoadBalancer(service, folder, Wakeup()).probe(token, content)
    except NotThrough as reason:
        return Verdict(
            LOAD_BALANCER, Kind.DEFINITE, f"The load balancer {service} does not pass challenges on: {reason}."
        )
    return Verdict(LOAD_BALANCER, Kind.FINE, f"The load balancer {service} passes challenges on.")
