"""What a container says of its certificate: ``ACME_HOST`` and its family, as nginx-proxy's acme-companion has them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from proxy_agent.routing.model import Container
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.values import parse_switch, quoted
from proxy_agent.tls.names import Identifier, is_wildcard, parse_identifier

MOST_NAMES = 100
"""In one certificate (https://letsencrypt.org/docs/rate-limits/)."""
_LONGEST_VALUE = 8192
_LONGEST_NAME = 253
_T = TypeVar("_T")

_WILDCARD = "a wildcard is validated over DNS only, and here names are validated over HTTP; list its names one by one"
_IN_THE_STACK = "a container may not have commands run in the stack, nor others restarted"
_REFUSED = {
    "ACME_RENEW_AFTER": "not used: certificates are renewed when the CA advises",
    "ACME_OCSP": "not used: Let's Encrypt ended OCSP in 2025",
    "ACMESH_DNS_API_CONFIG": "not used: names are validated over HTTP; bring a certificate of your own",
    "ZEROSSL_API_KEY": "not used: give ACME_EAB_KID and ACME_EAB_HMAC_KEY instead",
    "ACME_PRE_HOOK": f"refused: {_IN_THE_STACK}",
    "ACME_POST_HOOK": f"refused: {_IN_THE_STACK}",
    "ACME_RESTART_CONTAINER": f"refused: {_IN_THE_STACK}",
    "LETSENCRYPT_RESTART_CONTAINER": f"refused: {_IN_THE_STACK}",
}
"""Settings that do nothing here, with the way out; their values are never shown, as some are secrets."""
_NO = frozenset({"", "false", "no", "off", "0"})
_OF_THE_FAMILY = re.compile(r"acme|letsencrypt|zerossl", re.IGNORECASE)
_KEYS = {
    **{size: f"rsa-{size}" for size in ("2048", "3072", "4096")},
    **{curve: curve for curve in ("ec-256", "ec-384")},
}
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_URL = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]{0,200})?")
_KID = re.compile(r"[A-Za-z0-9_.:~-]{1,200}")
_HMAC_KEY = re.compile(r"[A-Za-z0-9_+/=-]{1,500}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CHAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 .,()'&_-]{0,98}[A-Za-z0-9.)])?")


@dataclass(frozen=True)
class AcmeOptions:
    """How a certificate is to be obtained; empty or None leaves it to the settings of letsencrypt."""

    email: str = ""
    staging: bool = False
    server: str = ""
    """A directory URL (RFC 8555 section 7.1.1)."""
    eab_kid: str = ""
    eab_hmac_key: str = field(default="", repr=False)
    profile: str = ""
    preferred_chain: str = ""
    key: str = ""
    """``rsa-4096`` or ``ec-256``, say."""
    reuse_key: bool | None = None
    one_each: bool = False
    """Whether each name is to get a certificate of its own."""


def parse_names(text: str) -> tuple[tuple[Identifier, ...], tuple[str, ...]]:
    """Read ``ACME_HOST``: the names for one certificate, each once, and a reason for each that cannot be used.

    >>> parse_names("Example.com., www.example.com,")[0]
    ('example.com', 'www.example.com')
    """
    if len(text) > _LONGEST_VALUE:
        return (), (f"longer than {_LONGEST_VALUE} characters",)
    names: dict[Identifier, None] = {}
    doubts: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            names[_parse_name(item)] = None
        except ValueError as error:
            doubts.append(str(error))
    if len(names) > MOST_NAMES:
        doubts.append(f"only the first {MOST_NAMES} names are asked for: no certificate holds more")
    return tuple(names)[:MOST_NAMES], tuple(doubts)


def _parse_name(item: str) -> Identifier:
    if len(item) > _LONGEST_NAME + 1:
        raise ValueError(f"{item[:40]!r}… is longer than {_LONGEST_NAME} characters")
    identifier = parse_identifier(item.removesuffix("."))
    if is_wildcard(identifier):
        raise ValueError(f"{item!r} is left out: {_WILDCARD}")
    return identifier


def explicit_hosts(container: Container) -> str:
    """``ACME_HOST``, or what stands in for it."""
    return _first(Reader(container), "ACME_HOST", "LETSENCRYPT_HOST")[1]


def read_acme_options(container: Container) -> tuple[AcmeOptions, tuple[str, ...]]:
    """How *container* wants its certificates, and a reason for each setting that is not used as it was written."""
    if not any(map(_OF_THE_FAMILY.search, container.settings)):
        return AcmeOptions(), ()
    reader = Reader(container)
    staging = reader.value("LETSENCRYPT_TEST", parse_switch, False)
    server = reader.value("ACME_CA_URI", _matching(_URL, "the https:// address of an ACME directory"), "")
    kid, hmac_key = _external_account(reader)
    renew = reader.value("ACME_RENEW_PRIVATE_KEYS", _parse_switch, None)
    if staging and server:
        reader.doubt("ACME_CA_URI", "not used, because LETSENCRYPT_TEST is set")
    chain = "the common name of a CA's certificate, like ISRG Root X1"
    options = AcmeOptions(
        email=_value(reader, _matching(_EMAIL, "one e-mail address"), "", "ACME_EMAIL", "LETSENCRYPT_EMAIL"),
        staging=staging,
        server="" if staging else server,
        eab_kid=kid,
        eab_hmac_key=hmac_key,
        profile=reader.value("ACME_CERT_PROFILE", _matching(_WORD, "the name of a profile, like shortlived"), ""),
        preferred_chain=reader.value("ACME_PREFERRED_CHAIN", _matching(_CHAIN, chain), ""),
        key=_value(reader, _parse_key, "", "ACME_KEYSIZE", "LETSENCRYPT_KEYSIZE"),
        reuse_key=None if renew is None else not renew,
        one_each=_value(reader, parse_switch, False, "ACME_SINGLE_DOMAIN_CERTS", "LETSENCRYPT_SINGLE_DOMAIN_CERTS"),
    )
    return options, (*reader.doubts, *_refusals(reader))


def _external_account(reader: Reader) -> tuple[str, str]:
    """The key identifier and the key of an account that the CA knows already (RFC 8555 section 7.3.4)."""
    kid = reader.value("ACME_EAB_KID", _secret(_KID), "")
    hmac_key = reader.value("ACME_EAB_HMAC_KEY", _secret(_HMAC_KEY), "")
    if kid and hmac_key:
        return kid, hmac_key
    if kid or hmac_key:
        reader.doubt("ACME_EAB_KID and ACME_EAB_HMAC_KEY", "not used, because they belong together")
    return "", ""


def _first(reader: Reader, *names: str) -> tuple[str, str]:
    """The first of *names* that is set, and what is written there."""
    return next(((name, text) for name in names if (text := reader.text(name))), (names[0], ""))


def _value(reader: Reader, parse: Callable[[str], _T], default: _T, *names: str) -> _T:
    return reader.value(_first(reader, *names)[0], parse, default)


def _parse_switch(text: str) -> bool | None:
    return parse_switch(text)


def _refusals(reader: Reader) -> Iterator[str]:
    for name, reason in _REFUSED.items():
        if reader.text(name).lower() not in _NO:
            yield f"{name}: {reason}"
    if reader.text("ACME_CHALLENGE").lower() not in {"", "http-01"}:
        yield "ACME_CHALLENGE: names are validated over HTTP all the same; otherwise bring a certificate of your own"


def _parse_key(text: str) -> str:
    if text.lower() not in _KEYS:
        raise ValueError(f"{quoted(text)} is not used: write one of {', '.join(_KEYS)}")
    return _KEYS[text.lower()]


def _matching(pattern: re.Pattern[str], form: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{quoted(text)} is not {form}")
        return text

    return parse


def _secret(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError("it holds a character that no such key has")
        return text

    return parse
