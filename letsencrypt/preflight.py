"""What a CA would see of a name, judged before it looks: whatever fails here would have cost an attempt there.

A verdict is definite only where we see what the CA sees: a CA without a public address of its own asks other DNS
servers from another network, so all that speaks against a name there is a doubt. So is an address that cannot be
reached: from inside many a network, its own public address cannot (hairpin NAT).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from letsencrypt.caa import objection
from letsencrypt.schedule import in_words
from proxy_agent.tls.names import Identifier, is_wildcard

Address = IPv4Address | IPv6Address
Mode = Literal["strict", "warn", "off"]

LARGEST_SKEW = timedelta(minutes=5)
OVERRIDE = "PREFLIGHT=warn orders all the same"
DNS, CA, CLOCK, LOAD_BALANCER = "DNS", "the CA", "the clock", "the load balancer"
"""What all names need; no name is spelt so."""
_NOT_PUBLIC = (
    # Special-use names (RFC 6761, 6762, 7686, 8375, 9476; ICANN for .internal), and what routers make up.
    *("localhost", "local", "internal", "home.arpa", "onion", "alt", "test", "invalid", "example"),
    *("example.com", "example.net", "example.org", "lan", "home", "corp", "localdomain", "intranet", "private"),
)


class Kind(IntEnum):
    """How much a verdict says, the worst last; also what a command exits with."""

    FINE = 0
    DOUBTFUL = 1
    DEFINITE = 2


@dataclass(frozen=True, order=True)
class Verdict:
    """What was found out about one name, or about what all names need."""

    name: str
    """The name, or DNS, CA, CLOCK or LOAD_BALANCER for what all names need."""
    kind: Kind
    sentence: str
    """What, where, and what to do; made of printable characters, as some of it was written by strangers."""

    def __post_init__(self) -> None:
        clean = "".join(c if c.isprintable() else "?" for c in self.sentence)
        object.__setattr__(self, "sentence", clean)


@dataclass(frozen=True)
class Authority:
    """What is known of a CA before it is asked for anything."""

    host: str
    dns_problem: str = ""
    """Why its name could not be looked up; nothing is known of other names then."""
    is_public: bool = False
    """Whether DNS gives it a public address, so that it sees the world as we do."""
    problem: str = ""
    """Why its directory cannot be read."""
    skew: timedelta = timedelta()
    """How far our clock is ahead of its own."""
    caa_identities: tuple[str, ...] = ()
    """By which names CAA records mean it (RFC 8555 section 7.1.1)."""

    @property
    def at_worst(self) -> Kind:
        """What speaks against a name is worth so much."""
        return Kind.DEFINITE if self.is_public else Kind.DOUBTFUL


class Reply(StrEnum):
    """What a probe ends with."""

    TOKEN = "token"
    """Ours came back."""
    UNKNOWN_HERE = "unknown here"
    """A challenge server like ours answered, which does not know our token."""
    OTHER = "other"
    """Something else came back."""
    ASTRAY = "astray"
    """It was led where no CA follows."""
    UNREACHED = "unreached"
    """Refused, silent, or hung up on."""
    NO_WAY = "no way"
    """This container has no network of the address's family."""


@dataclass(frozen=True)
class Probe:
    """How one address of a name answered for the token."""

    address: Address
    reply: Reply
    what: str = ""
    """What came instead of the token."""


def judge_authority(authority: Authority) -> list[Verdict]:
    """On what all names need: DNS, the CA and the clock. Never definite: certbot meets these at no cost."""
    if authority.dns_problem:
        lookup = f"DNS does not work here: {authority.dns_problem}, asked for {authority.host}"
        return [Verdict(DNS, Kind.DOUBTFUL, f"{lookup}. Check the DNS servers of this host.")]
    if authority.problem:
        return [Verdict(CA, Kind.DOUBTFUL, f"The ACME server {authority.host} cannot be used: {authority.problem}.")]
    if abs(authority.skew) > LARGEST_SKEW:
        where = "ahead of" if authority.skew > timedelta() else "behind"
        clock = f"The clock of this host is {in_words(abs(authority.skew))} {where} that of {authority.host}"
        return [Verdict(CLOCK, Kind.DOUBTFUL, f"{clock}. Set it, or certificates look expired or not yet valid.")]
    return []


def judge_name(name: Identifier, authority: Authority) -> Verdict | None:
    """Whether a CA would take *name* at all; None if so. A private CA decides about its names alone."""
    reason = _not_eligible(name) if authority.is_public else ""
    if not reason:
        return None
    return Verdict(str(name), Kind.DEFINITE, f"{name} {reason}, so {authority.host} issues nothing for it.")


def judge_addresses(name: Identifier, addresses: Sequence[Address] | None, authority: Authority) -> list[Verdict]:
    """Whether DNS leads to *name*; None stands for a name that DNS does not know."""
    if not addresses:
        missing = "is not in DNS" if addresses is None else "has no address in DNS"
        advice = "Add an A or AAAA record that leads to this host"
        return [Verdict(str(name), authority.at_worst, f"{name} {missing}. {advice}; {OVERRIDE}.")]
    if not authority.is_public:
        return []
    private = [str(address) for address in addresses if not address.is_global]
    if not private:
        return []
    leads = f"{name} leads to {', '.join(private)} here, where no CA can come"
    advice = "Unless DNS says something else outside, give it a public A or AAAA record"
    return [Verdict(str(name), Kind.DOUBTFUL, f"{leads}. {advice}.")]


def judge_failed_lookup(name: Identifier, reason: str, failed: bool, authority: Authority) -> Verdict:
    """No address could be looked up, though DNS works: *failed* if a server said so, else there was silence."""
    kind = authority.at_worst if failed else Kind.DOUBTFUL
    advice = f"Check the name servers of its domain, and DNSSEC; {OVERRIDE}"
    return Verdict(str(name), kind, f"{name} cannot be looked up: {reason}. {advice}.")


def judge_caa(name: Identifier, where: str, records: Iterable[bytes], authority: Authority) -> Verdict | None:
    """Whether the CAA records at *where*, which decide for *name*, allow the CA; None if they do."""
    reason = objection(records, authority.caa_identities) if authority.caa_identities else None
    if reason is None:
        return None
    advice = f'Add the CAA record 0 issue "{authority.caa_identities[0]}" there'
    sentence = f"{name} may not get a certificate from {authority.host}: the CAA record of {where} forbids it, {reason}"
    return Verdict(str(name), authority.at_worst, f"{sentence}. {advice}.")


def judge_unknown_caa(name: Identifier, where: str, reason: str) -> Verdict:
    """CAA records could not be looked up: the CA may have more luck, as it asks without resolvers in between."""
    advice = "A CA that finds the same issues nothing; check the name servers of the domain"
    return Verdict(str(name), Kind.DOUBTFUL, f"The CAA record of {where} cannot be looked up: {reason}. {advice}.")


def judge_probe(name: Identifier, probe: Probe, authority: Authority) -> Verdict:
    """Whether a challenge would come through at one address of *name*."""
    where = f"{name} at {probe.address}"
    seen_alike = authority.is_public and probe.address.is_global
    kind = Kind.DEFINITE if seen_alike else Kind.DOUBTFUL
    match probe.reply:
        case Reply.TOKEN:
            return Verdict(str(name), Kind.FINE, f"{where} passes challenges on.")
        case Reply.NO_WAY:
            return Verdict(str(name), Kind.FINE, f"{where} cannot be checked from here: {probe.what}.")
        case Reply.UNREACHED:
            advice = (
                f"The CA needs {_open(probe.address)}; if this host only cannot reach itself from inside, all is well"
            )
            return Verdict(str(name), Kind.DOUBTFUL, f"{where} cannot be reached from here: {probe.what}. {advice}.")
        case Reply.UNKNOWN_HERE | Reply.ASTRAY | Reply.OTHER:
            return Verdict(str(name), kind, f"{_wrong_answer(where, probe)}; {OVERRIDE}.")


def _wrong_answer(where: str, probe: Probe) -> str:
    if probe.reply is Reply.UNKNOWN_HERE:
        says = f"Another letsencrypt container answers for {where}, which does not know our challenges"
        return f"{says}. Let the name lead to one stack only"
    if probe.reply is Reply.ASTRAY:
        advice = "Let /.well-known/acme-challenge/ through without a redirect"
        return f"{where} leads challenges astray: {probe.what}. {advice}"
    return (
        f"Another server answers for {where}: {probe.what}. Let its {_record(probe.address)} record lead to this host"
    )


def worst(verdicts: Iterable[Verdict]) -> Kind:
    """The worst kind among *verdicts*."""
    return max((verdict.kind for verdict in verdicts), default=Kind.FINE)


def failing(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """The names that no CA would validate now."""
    return frozenset(verdict.name for verdict in verdicts if verdict.kind is Kind.DEFINITE)


def _not_eligible(name: Identifier) -> str:
    """Why no public CA issues for *name*; empty if one may."""
    if not isinstance(name, str):
        return "" if name.is_global else "is no public address"
    if is_wildcard(name):
        return "is a wildcard, which is validated over DNS only"
    if "." not in name:
        return "is no public name"
    below = next((suffix for suffix in _NOT_PUBLIC if name == suffix or name.endswith(f".{suffix}")), "")
    return f"is no public name, as nothing below {below} is" if below else ""


def _open(address: Address) -> str:
    return "port 80 to be open to the internet" if address.version == 4 else "port 80 to be open by IPv6, too"  # noqa: PLR2004


def _record(address: Address) -> str:
    return "A" if address.version == 4 else "AAAA"  # noqa: PLR2004 - the version of IP
