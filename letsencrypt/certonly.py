"""The command line of one ``certbot certonly`` run, made of the settings and a lineage.

The whole set is passed every time: certonly restores nothing from the lineage's renewal file and rewrites that
file from its flags (certbot/_internal/main.py, certbot/_internal/storage.py).
"""

import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import urlsplit

from letsencrypt.lineages import Lineage
from letsencrypt.option_checks import objections
from proxy_agent.daemon.errors import Skipped

ACCEPTS = "further options of 'certbot certonly' as in a shell: --staging --key-type rsa"

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
"""Let's Encrypt's directories (https://letsencrypt.org/docs/acme-protocol-updates/)."""
LETS_ENCRYPT = frozenset({PRODUCTION, STAGING})
SERVERS_OF_OLD = {
    "https://acme-v01.api.letsencrypt.org/directory": PRODUCTION,
    "https://acme-staging.api.letsencrypt.org/directory": STAGING,
}
"""Where Let's Encrypt had the same servers until 2021; renewal files may still name them."""

_STAGING_OPTIONS = frozenset({"--staging", "--test-cert"})
_BY_HTTP = "names are always validated over HTTP through the load balancer; leave it out"
_BY_DOMAINS = "list the names in DOMAINS instead"
_BY_FOLDER = "the folders are the container's own; mount a volume there instead"
_BY_RENEWAL = "it would spend the CA's rate limit at every look; certificates are renewed when the CA advises"
_BY_KEY = "certbot makes the private key itself, because the load balancer needs both; leave it out"
_BY_HAND = "nobody can answer questions here; leave it out"
_NO_OCSP = (
    "Let's Encrypt ended OCSP in 2025, so nothing could be stapled, and browsers would reject the certificate; "
    "leave it out"
)
_PRINTS = "it prints and orders nothing; run it with: docker compose exec letsencrypt certbot"

_OURS = {
    **dict.fromkeys(("-d", "--domain", "--domains", "--ip-address"), _BY_DOMAINS),
    "--cert-name": "a certificate is named by the first of its names in DOMAINS",
    **dict.fromkeys(("--config-dir", "--work-dir", "--logs-dir", "--max-log-backups"), _BY_FOLDER),
    **dict.fromkeys(("-c", "--config"), "write the options themselves into OPTIONS"),
    **dict.fromkeys(("-m", "--email"), "set EMAIL instead"),
    **dict.fromkeys(("-a", "--authenticator", "-i", "--installer", "--configurator"), _BY_HTTP),
    **dict.fromkeys(("-w", "--webroot", "--preferred-challenges"), _BY_HTTP),
    **dict.fromkeys(("--csr", "--key-path", "--cert-path", "--fullchain-path", "--chain-path"), _BY_KEY),
    "--dry-run": "it saves no certificate; to try without spending rate limits use --staging",
    **dict.fromkeys(("--force-renewal", "--renew-by-default", "--duplicate"), _BY_RENEWAL),
    **dict.fromkeys(("--must-staple", "--staple-ocsp"), _NO_OCSP),
    "--allow-subset-of-names": "certbot would order anew at every look; give such names a certificate of their own",
    "--no-autorenew": "the certificate would expire; leave it out",
    **dict.fromkeys(("--force-interactive", "--debug-challenges"), _BY_HAND),
    **dict.fromkeys(("-h", "--help", "--version"), _PRINTS),
    "--": "it hides the options behind it; leave it out",
}
"""Options that are not the operator's to give, with what to do instead."""
_OUR_FAMILIES = ("--apache", "--dns-", "--http-01-", "--manual", "--nginx", "--standalone", "--webroot-")
_READ_HERE = frozenset({*_STAGING_OPTIONS, "--server"})
_LONG_ENOUGH = frozenset({"--debug"})
"""Whole options of certbot that are also the beginning of one of ours."""
_SHORT_SWITCHES = "nqvt"
"""One-letter options without a value, which may stand before others in one word."""


@dataclass(frozen=True)
class Directory:
    """An ACME server, known by its directory URL (RFC 8555 section 7.1.1)."""

    url: str
    account: str = ""
    """The key identifier of an external account (RFC 8555 section 7.3.4) that a container brought along."""

    @property
    def host(self) -> str:
        """How the log names it."""
        return urlsplit(self.url).netloc

    def config_folder(self, root: Path) -> Path:
        """Where certbot keeps accounts and lineages of this directory below *root*.

        Production owns the classic place, so that a volume certbot filled before is taken over. Every other
        directory has a folder of its own: certbot takes a staging certificate for a good production one until
        it is due (certbot/_internal/renewal.py should_renew), so the two must never share a lineage.
        """
        if self == Directory(PRODUCTION):
            return root
        _, _, rest = self.url.partition("://")
        # certbot binds an account to an external one only when it makes it, so each of those has a folder, too.
        known_by = f"{self.url}\n{self.account}" if self.account else self.url
        digest = hashlib.sha256(known_by.encode()).hexdigest()[:8]
        return root / "directories" / f"{re.sub('[^A-Za-z0-9.-]+', '_', rest)[:100]}-{digest}"


@dataclass(frozen=True)
class Options:
    """OPTIONS, taken apart."""

    words: tuple[str, ...] = ()
    """What is handed to certbot as it stands; only certbot knows whether it exists."""
    directory: Directory = Directory(PRODUCTION)
    refused: tuple[Skipped, ...] = ()
    """While there is any, nothing may be ordered: the operator meant something else than we would do."""


@dataclass(frozen=True)
class Folders:
    """The folders that certbot is given for one directory."""

    config: Path
    work: Path
    logs: Path
    webroot: Path


def parse_options(text: str) -> Options:
    """Read OPTIONS; never fails: what we own or cannot read comes back as refused, with what to do instead.

    >>> parse_options("--staging --key-type=rsa").words
    ('--key-type=rsa',)
    >>> print(*parse_options("--csr my.csr").refused)
    OPTIONS --csr: certbot makes the private key itself, because the load balancer needs both; leave it out
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Options(refused=(Skipped("OPTIONS", f"it cannot be read as shell words: {str(error).lower()}"),))
    refused = [Skipped(f"OPTIONS {name}", reason) for name, reason in _refusals(words)]
    rest, servers, staging = _without_server(words)
    refused += [Skipped(f"OPTIONS {name}", reason) for name, reason in objections(rest)]
    if staging and servers:
        refused.append(Skipped("OPTIONS --staging", "--server is given too, and they name two servers; keep one"))
    url = servers[-1] if servers else STAGING if staging else PRODUCTION
    if not _is_directory(url):
        refused.append(Skipped("OPTIONS --server", f"it takes an address without a password, like {PRODUCTION}"))
        return Options(tuple(rest), refused=tuple(refused))
    return Options(tuple(rest), Directory(url), tuple(refused))


def parse_directory(text: str) -> Directory:
    """Read the URL of an ACME directory; raises ValueError quoting it and naming the accepted form."""
    if not _is_directory(text):
        raise ValueError(f"{text[:40]!r} is not an ACME server: write an address without a password, like {PRODUCTION}")
    return Directory(text)


def arguments(lineage: Lineage, options: Options, folders: Folders, email: str | None) -> list[str]:
    """The arguments of the run that issues or renews *lineage*, or finds that nothing is due.

    Ours come after the operator's, as the last one counts. The webroot stands before the names it is for.
    """
    return [
        *("certonly", "--non-interactive", "--agree-tos", "--keep-until-expiring"),
        *options.words,
        *lineage.words,
        *("--server", options.directory.url),
        *("--config-dir", str(folders.config), "--work-dir", str(folders.work)),
        *("--logs-dir", str(folders.logs), "--max-log-backups", "10"),
        *(("--email", contact) if (contact := lineage.email or email) else ()),
        *_profile(lineage, options),
        *("--cert-name", lineage.name, "--webroot", "--webroot-path", str(folders.webroot)),
        *_names(lineage),
    ]


def rehearsal_folders(root: Path, run_folder: Path, webroot: Path) -> Folders:
    """Apart from those of the staging server itself: nothing that is rehearsed is ever served."""
    config = root / "directories" / "rehearsal"
    return Folders(config, run_folder / "work" / "rehearsal", config / "logs", webroot)


def rehearsal(lineage: Lineage, options: Options, folders: Folders, email: str | None) -> list[str]:
    """The arguments of a run that has the names of *lineage* validated, and keeps no certificate."""
    return [*arguments(lineage, options, folders, email), "--dry-run"]


def _names(lineage: Lineage) -> Iterator[str]:
    for identifier in lineage.identifiers:
        yield from ("-d" if isinstance(identifier, str) else "--ip-address", str(identifier))


def _profile(lineage: Lineage, options: Options) -> tuple[str, ...]:
    """Let's Encrypt issues for IP addresses under this profile only (https://letsencrypt.org/docs/profiles/)."""
    has_address = any(isinstance(name, IPv4Address | IPv6Address) for name in lineage.identifiers)
    chosen = any(word.startswith(("--preferred-p", "--required-p")) for word in (*options.words, *lineage.words))
    return ("--preferred-profile", "shortlived") if has_address and not chosen else ()


def _refusals(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        for name in _option_names(word):
            if reason := _refusal(name):
                yield name, reason


def _option_names(word: str) -> Iterator[str]:
    """The options that argparse finds in one word: ``--name=value``, ``-x``, ``-nqx`` or ``-xVALUE``."""
    if word.startswith("--"):
        yield word.partition("=")[0]
    elif word.startswith("-"):
        for letter in word[1:]:
            yield f"-{letter}"
            if letter not in _SHORT_SWITCHES:
                return


def _refusal(name: str) -> str | None:
    if reason := _OURS.get(name):
        return reason
    if name.startswith(_OUR_FAMILIES):
        return _BY_HTTP
    whole = sorted(known for known in (*_OURS, *_OUR_FAMILIES, *_READ_HERE) if known.startswith(name))
    if name.startswith("--") and name not in (*_READ_HERE, *_LONG_ENOUGH) and whole:
        return f"it is short for {whole[0]}; write options in full"
    return None


def _without_server(words: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """*words* without what chooses the server, the URLs of each --server, and whether staging is asked for."""
    rest: list[str] = []
    servers: list[str] = []
    remaining = iter(words)
    for word in remaining:
        name, equals, value = word.partition("=")
        if name == "--server":
            servers.append(value if equals else next(remaining, ""))
        elif word not in _STAGING_OPTIONS:
            rest.append(word)
    return rest, servers, not _STAGING_OPTIONS.isdisjoint(words)


def _is_directory(url: str) -> bool:
    """ACME is spoken over HTTPS only (RFC 8555 section 6.1), and clients sign: a password would be of no use."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = "@" not in parts.netloc and url.isprintable() and " " not in url
    return parts.scheme == "https" and bool(parts.hostname) and is_plain
