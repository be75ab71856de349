"""What of that which containers want is obtained: DOMAINS comes first, and the operator's white lists decide."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from letsencrypt.certonly import PRODUCTION, STAGING, Directory, parse_directory
from letsencrypt.lineages import Lineage, lineage_name
from letsencrypt.wanted import Request
from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.names import Identifier, is_wildcard, parse_identifier

ACCEPTS_DOMAINS = "names separated by commas; *.example.com is all below example.com, .example.com that name too"
ACCEPTS_SERVERS = "addresses of ACME directories, separated by commas"

_LETS_ENCRYPT = frozenset({PRODUCTION, STAGING})
_SECOND_LINEAGE = re.compile(r".*-\d{4}")
_KEY_OPTIONS = {
    "ec-256": ("--key-type", "ecdsa", "--elliptic-curve", "secp256r1"),
    "ec-384": ("--key-type", "ecdsa", "--elliptic-curve", "secp384r1"),
    **{f"rsa-{size}": ("--key-type", "rsa", "--rsa-key-size", size) for size in ("2048", "3072", "4096")},
}


@dataclass(frozen=True)
class Allowed:
    """ALLOWED_DOMAINS: for which names containers may want certificates; for all, if nothing is said."""

    exact: frozenset[Identifier] = frozenset()
    below: frozenset[str] = frozenset()
    """Names below which all are allowed, with a dot before each."""

    def __contains__(self, name: Identifier) -> bool:
        """Whether *name* may have a certificate."""
        if not self.exact and not self.below:
            return True
        parents = (str(name)[position:] for position, letter in enumerate(str(name)) if letter == ".")
        return name in self.exact or (isinstance(name, str) and not self.below.isdisjoint(parents))


def parse_allowed(text: str) -> Allowed:
    """Read ALLOWED_DOMAINS; raises ValueError for the first item that is none: a white list with a hole is none.

    >>> allowed = parse_allowed("example.com, *.example.org")
    >>> [name in allowed for name in ("example.com", "a.example.com", "a.b.example.org", "example.org")]
    [True, False, True, False]
    """
    exact: set[Identifier] = set()
    below: set[str] = set()
    for item in _items(text):
        prefix = next((prefix for prefix in ("*.", ".") if item.startswith(prefix)), "")
        name = parse_identifier(item.removeprefix(prefix))
        if is_wildcard(name) or (prefix and not isinstance(name, str)):
            raise ValueError(f"{item[:40]!r} is no domain: write {ACCEPTS_DOMAINS}")
        if prefix:
            below.add(f".{name}")
        if prefix != "*.":
            exact.add(name)
    if text and not exact and not below:
        raise ValueError("it names nothing")
    return Allowed(frozenset(exact), frozenset(below))


def parse_servers(text: str) -> tuple[Directory, ...]:
    """Read ALLOWED_ACME_SERVERS; raises ValueError for the first item that is no directory."""
    return tuple(parse_directory(item) for item in _items(text))


@dataclass(frozen=True)
class Wish:
    """A lineage, and where it is to come from."""

    directory: Directory
    lineage: Lineage


@dataclass(frozen=True)
class Admission:
    """The rules, made of the settings."""

    domains: tuple[Lineage, ...]
    """What DOMAINS asks for, which no container needs to ask for again."""
    directory: Directory
    """Where certificates come from unless a container says otherwise."""
    allowed: Allowed = Allowed()
    servers: frozenset[Directory] = frozenset()
    commanded: tuple[Wish, ...] = ()
    """What the operator asked for by a command, which no container needs to ask for either."""

    @property
    def ours(self) -> frozenset[Identifier]:
        """The names that are looked after whatever containers want."""
        lineages = (*self.domains, *(wish.lineage for wish in self.commanded))
        return frozenset(name for lineage in lineages for name in lineage.identifiers)

    def admit(self, requests: Iterable[Request]) -> tuple[Mapping[str, Wish], tuple[Skipped, ...]]:
        """The wishes that are granted, by the name of their lineage, and what is refused, for the operator to see.

        A refused name costs itself; the rest of its list goes on. Names that DOMAINS has are left to that without a
        word, as are, where lists begin alike, those that the first of them has.
        """
        wishes: dict[str, Wish] = {}
        refused: set[Skipped] = set()
        for request in requests:
            who = ", ".join(request.services) or "a container"
            names = []
            for name in self._left_to_us(request):
                if reason := self._refusal(name):
                    refused.add(Skipped(who, f"{name} {reason}"))
                else:
                    names.append(name)
            while names and lineage_name(names[0]) in wishes:
                earlier = wishes[lineage_name(names[0])].lineage.identifiers
                names = [name for name in names if name not in earlier]
            try:
                wishes |= self._wish(request, tuple(names))
            except ValueError as error:
                refused.add(Skipped(who, str(error)))
        return wishes, tuple(sorted(refused))

    def _wish(self, request: Request, names: tuple[Identifier, ...]) -> dict[str, Wish]:
        """Nothing where no names are left to obtain; raises ValueError where the server may not be asked."""
        if not names:
            return {}
        directory = self._directory_of(request)
        lineage = Lineage(
            name=lineage_name(names[0]),
            identifiers=names,
            words=tuple(_words(request, directory)),
            email=request.email,
            services=request.services,
        )
        return {lineage.name: Wish(directory, lineage)}

    def _left_to_us(self, request: Request) -> Iterator[Identifier]:
        ours = self.ours
        return (name for name in dict.fromkeys(map(parse_identifier, request.names)) if name not in ours)

    def _refusal(self, name: Identifier) -> str:
        if is_wildcard(name):
            return "is a wildcard, which is validated over DNS only; list its names one by one"
        if _SECOND_LINEAGE.fullmatch(str(name)):
            return "ends as certbot names the second certificate of another host"
        return "" if name in self.allowed else "is outside ALLOWED_DOMAINS"

    def _directory_of(self, request: Request) -> Directory:
        url = STAGING if request.staging else request.server or self.directory.url
        allowed = {directory.url for directory in (self.directory, *self.servers)}
        if not _LETS_ENCRYPT.isdisjoint(allowed):
            # Who trusts Let's Encrypt may rehearse there.
            allowed.add(STAGING)
        if url not in allowed:
            names = ", ".join(request.names)
            raise ValueError(f"{names}: the ACME server {url} is neither this stack's nor in ALLOWED_ACME_SERVERS")
        # Let's Encrypt knows no external accounts, and each further one of ours there counts against its limits.
        brings_account = request.eab_hmac_key and url not in _LETS_ENCRYPT
        return Directory(url, request.eab_kid or "" if brings_account else "")


def _words(request: Request, directory: Directory) -> Iterator[str]:
    """The request as options of certbot, each value bound to its option by '=', so that it can be nothing else."""
    yield from _KEY_OPTIONS[request.key] if request.key else ()
    if request.reuse_key is not None:
        yield "--reuse-key" if request.reuse_key else "--no-reuse-key"
    if request.profile:
        yield f"--required-profile={request.profile}"
    if request.preferred_chain:
        yield f"--preferred-chain={request.preferred_chain}"
    if directory.account:
        yield f"--eab-kid={directory.account}"
        yield f"--eab-hmac-key={request.eab_hmac_key}"


def _items(text: str) -> Iterator[str]:
    return (item.strip() for item in text.split(",") if item.strip())
