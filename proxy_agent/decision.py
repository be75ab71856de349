"""From one look at the world to what HAProxy should read: the pure middle of the agent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from proxy_agent.certificates import Found
from proxy_agent.daemon.errors import Skipped
from proxy_agent.given_certificates import DEFAULT_STEM
from proxy_agent.proxy_settings import further_ports, proxy_of, unmet
from proxy_agent.reconcile import Desired
from proxy_agent.routing.admission import admitted
from proxy_agent.routing.build import EVERY_NAME, build
from proxy_agent.routing.cert_name import SOURCE, certificates_by_name
from proxy_agent.routing.extra import Extra
from proxy_agent.routing.host_policies import host_policies, lines
from proxy_agent.routing.model import Routing, Service
from proxy_agent.routing.own_certificates import certificates_of
from proxy_agent.routing.render import CrtList, Inserts, Templates
from proxy_agent.routing.wanted import Request, find_wanted
from proxy_agent.settings import Settings
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import DnsName, Identifier
from proxy_agent.tls.selection import Selection, select

_NEVER = datetime.max.replace(tzinfo=UTC)
_DEFAULT = "default"
"""The default certificate among those that are kept; all others are called ``SOURCE/STEM``."""
_CUSTOM_DEFAULT = f"custom/{DEFAULT_STEM}"


@dataclass(frozen=True)
class World:
    """All that a decision rests on, seen in one look."""

    services: tuple[Service, ...]
    found: Found
    self_signed: Bundle
    kept: Mapping[str, bytes]
    """The bundles that HAProxy was given before, by name."""
    refused: Mapping[str, str]
    """Why HAProxy would not take a bundle, by fingerprint."""
    now: datetime = field(compare=False)
    inserts: Inserts = field(default_factory=Inserts)
    not_inserted: tuple[Skipped, ...] = ()
    extra: Extra = field(default_factory=Extra)
    """The raw lines that HAProxy takes."""


@dataclass(frozen=True)
class Decision:
    """What should be, and what had to be left out of it."""

    world: World
    """What it rests on."""
    desired: Desired
    routing: Routing
    selection: Selection
    skipped: tuple[Skipped, ...]
    good_until: datetime
    """When the next certificate expires, which may give its names to another one."""
    ports: frozenset[int]
    """What is to be listened on beside the ports of HTTP and HTTPS."""
    wanted: tuple[Request, ...] = ()
    """The certificates to ask letsencrypt for."""

    def holds(self, now: datetime) -> bool:
        """Whether the same world makes the same decision *now*; a clock that went back may have undone an expiry."""
        return self.world.now <= now < self.good_until


def decide(
    world: World, templates: Templates, path_of: Callable[[str], str], default_path: str, settings: Settings
) -> Decision:
    """What HAProxy should serve in *world*; *path_of* tells where the bundle of a name is kept."""
    sources, refusals = _usable(world)
    proxy = proxy_of(settings, world.inserts)
    services, _ = admitted(world.services)
    brought, unusable = certificates_of(services, proxy)
    sources.append(tuple(bundle for bundle in brought if bundle.fingerprint not in world.refused))
    custom_default = _custom_default(world, sources)
    custom = {bundle.name for bundle in _everything(sources) if bundle.name.startswith(SOURCE)}
    chosen, unknown = certificates_by_name(services, custom, proxy)
    selection = select(sources, custom_default, world.self_signed, world.now, chosen)
    every_name = {EVERY_NAME} if custom_default and settings.trust_default_cert else set()
    routing = build(world.services, selection.names | every_name, replace(proxy, extra=world.extra), selection.trusted)
    wanted, unasked = find_wanted(services, proxy, _covered_by_others(sources, selection, world.now))
    tls_options, unspoken = host_policies(services, proxy, settings.tls)
    crt_list = _crt_list(selection, tls_options, path_of)
    certificates = {path_of(bundle.name): bundle for bundle, _ in selection.entries}
    return Decision(
        world=world,
        desired=Desired(
            configuration=templates.render(
                routing, crt_list, default_path, world.extra, replace(world.inserts, tls_options=tls_options)
            ),
            certificates=certificates | {default_path: selection.default},
            default_certificate=default_path,
            shows_default=settings.trust_default_cert is not False,
        ),
        routing=routing,
        selection=selection,
        good_until=min((b.not_after for b in _everything(sources) if b.not_after > world.now), default=_NEVER),
        skipped=(
            *routing.skipped,
            *unknown,
            *unusable,
            *unspoken,
            *unasked,
            *world.extra.skipped,
            *world.found.skipped,
            *refusals,
            *_expired(selection, world.now),
            *world.not_inserted,
            *settings.doubts,
            *unmet(settings, routing, world.services, world.inserts.taken_ports),
        ),
        ports=further_ports(settings, routing)
        | frozenset(world.extra.ports) - {settings.http_port, settings.https_port},
        wanted=wanted,
    )


def _crt_list(selection: Selection, options: Mapping[DnsName, str], path_of: Callable[[str], str]) -> CrtList:
    return tuple(
        (path_of(bundle.name), line)
        for bundle, names in selection.entries
        for line in lines(names, selection.names, options)
    )


def _everything(sources: Sequence[Sequence[Bundle]]) -> Iterator[Bundle]:
    return (bundle for source in sources for bundle in source)


def _expired(selection: Selection, now: datetime) -> Iterator[Skipped]:
    for bundle, _ in selection.entries:
        if bundle.not_after <= now:
            reason = f"expired on {bundle.not_after:%Y-%m-%d %H:%M} UTC, and nothing newer covers its names"
            yield Skipped(bundle.name, reason)


def _covered_by_others(
    sources: Sequence[Sequence[Bundle]], selection: Selection, now: datetime
) -> Callable[[DnsName], bool]:
    """Tells whether a name has a certificate that letsencrypt did not obtain, and that has not expired."""
    others = [(bundle, bundle.identifiers) for bundle in _everything(sources)]
    # It may have one that does not carry it, by the choice of its container.
    others += [(bundle, frozenset(names)) for bundle, names in selection.entries]
    covered: set[Identifier] = set()
    for bundle, names in others:
        if not bundle.name.startswith("issued/") and bundle.not_after > now:
            covered |= names
    return lambda name: name in covered or DnsName(f"*.{name.partition('.')[2]}") in covered


def _usable(world: World) -> tuple[list[tuple[Bundle, ...]], list[Skipped]]:
    """The bundles to choose from: what was found, less what HAProxy refused, with the last good one in its place."""
    refusals: list[Skipped] = []
    sources: list[tuple[Bundle, ...]] = []
    for source, bundles in world.found.sources.items():
        refused = [bundle for bundle in bundles if bundle.fingerprint in world.refused]
        refusals += [Skipped(bundle.name, world.refused[bundle.fingerprint]) for bundle in refused]
        doubtful = world.found.doubtful | {bundle.name for bundle in refused}
        last_good = _last_good(world, source, doubtful)
        sources.append((*(bundle for bundle in bundles if bundle not in refused), *last_good))
    return sources, refusals


def _last_good(world: World, source: str, doubtful: frozenset[str]) -> Iterator[Bundle]:
    """A file that turned bad changes nothing: what was installed from it before goes on."""
    whole_source = f"{source}/"
    if not any(name.startswith(whole_source) for name in doubtful):
        return
    for name, pem in sorted(world.kept.items()):
        if name.startswith(whole_source) and (name in doubtful or whole_source in doubtful):
            try:
                bundle = parse_bundle(name, pem)
            except ValueError:
                continue
            if bundle.fingerprint not in world.refused:
                yield bundle


def _custom_default(world: World, sources: Sequence[Sequence[Bundle]]) -> Bundle | None:
    """The user's own default certificate; where its file turned bad, what was installed from it before."""
    default = world.found.custom_default
    if default is not None and default.fingerprint not in world.refused:
        return default
    turned_bad = default is not None or not world.found.doubtful.isdisjoint({_CUSTOM_DEFAULT, "custom/"})
    if not turned_bad or _DEFAULT not in world.kept:
        return None
    try:
        kept = parse_bundle(_CUSTOM_DEFAULT, world.kept[_DEFAULT])
    except ValueError:
        return None
    # It may have come from elsewhere: what select() would choose by itself is not the user's.
    others = {bundle.fingerprint for bundle in _everything(sources) if bundle.name != _CUSTOM_DEFAULT}
    unfit = {world.self_signed.fingerprint, *others, *world.refused}
    return None if kept.fingerprint in unfit else kept
