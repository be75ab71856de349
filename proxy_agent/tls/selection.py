"""Which certificate answers for which name, when several could."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import DnsName, Identifier, covers, parse_dns_name


@dataclass(frozen=True)
class Selection:
    """Each name given to exactly one certificate, so that the order HAProxy loads them in decides nothing."""

    entries: tuple[tuple[Bundle, tuple[DnsName, ...]], ...]
    """Certificates that won at least one name, sorted by their own, with the names they won."""
    default: Bundle
    """What a client gets that asks for no name or for an unknown one."""
    names: frozenset[DnsName]
    """All names of the entries."""
    trusted: frozenset[DnsName]
    """Those whose certificate is no rehearsal."""


def select(
    sources: Sequence[Sequence[Bundle]],
    custom_default: Bundle | None,
    self_signed: Bundle,
    now: datetime,
    chosen: Mapping[DnsName, str] = MappingProxyType({}),
) -> Selection:
    """Give each name to one bundle of *sources*, which come in order of precedence.

    What is *chosen* for a name, by the name of the bundle, comes first, whatever names it carries. A valid
    certificate beats an expired one whatever its source, then the earlier source wins, then the later expiry. Clients
    that connect to an IP address send no server name (RFC 6066 section 3), so where the operator gave no default of
    their own, a certificate for an address serves as the default before *self_signed* does.
    """

    def rank(candidate: tuple[int, Bundle]) -> tuple[bool, int, float, str]:
        precedence, bundle = candidate
        return bundle.not_after <= now, precedence, -bundle.not_after.timestamp(), bundle.name

    candidates = [(precedence, bundle) for precedence, source in enumerate(sources) for bundle in source]
    winners: dict[Identifier, Bundle] = {}
    for _, bundle in sorted(candidates, key=rank):
        for identifier in bundle.identifiers:
            winners.setdefault(identifier, bundle)
    bundles = {bundle.name: bundle for _, bundle in candidates}
    winners |= {name: bundles[of] for name, of in chosen.items() if of in bundles}
    for name, bundle in _called_like(sources, winners):
        winners[name] = bundle
    won: dict[str, list[DnsName]] = defaultdict(list)
    for identifier, bundle in winners.items():
        if isinstance(identifier, str):
            won[bundle.name].append(identifier)
    for_addresses = sorted(
        (str(identifier), bundle.name) for identifier, bundle in winners.items() if not isinstance(identifier, str)
    )
    return Selection(
        entries=tuple((bundles[name], tuple(sorted(names))) for name, names in sorted(won.items())),
        default=custom_default or (bundles[for_addresses[0][1]] if for_addresses else self_signed),
        names=frozenset(name for names in won.values() for name in names),
        trusted=frozenset(name for bundle, names in won.items() if not bundles[bundle].rehearsal for name in names),
    )


def _called_like(
    sources: Sequence[Sequence[Bundle]], winners: Mapping[Identifier, Bundle]
) -> Iterator[tuple[DnsName, Bundle]]:
    """The operator's files that are called like a host which no certificate covers, as nginx-proxy takes them."""
    for bundle in (bundle for source in sources for bundle in source):
        source, _, stem = bundle.name.partition("/")
        if source != "custom":
            continue
        try:
            name = parse_dns_name(stem)
        except ValueError:
            continue
        if "." in name and not any(covers(identifier, name) for identifier in winners):
            yield name, bundle
