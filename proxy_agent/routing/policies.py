"""What services want done with their requests, once they are their own: balancing, limits, access, headers."""

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import partial

from proxy_agent.routing.access import Credential, parse_credentials
from proxy_agent.routing.balance import parse_balance, parse_cookie
from proxy_agent.routing.checks import parse_http_check, parse_keepalive, parse_options
from proxy_agent.routing.extra import EXTRA_SETTINGS
from proxy_agent.routing.metadata import VIRTUAL_ROOT, setting
from proxy_agent.routing.model import Container
from proxy_agent.routing.policy import HSTS_OFF, Policy
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.values import parse_duration, parse_size, parse_switch, parse_word, quoted

_TIMEOUTS = ("connect", "queue", "server", "tunnel")
_MIME_TYPE = re.compile(r"[a-z]+/[A-Za-z0-9.+*-]+")
_MOST_TYPES = 50
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{0,200}")
_AS_STRICT_AS_ANY = frozenset({"internal", "protected", "credentials"})
"""What the newest container may not loosen for another one."""
_HSTS = re.compile(r"max-age=[0-9]{1,10}(?:\s*;\s*(?:includeSubDomains|preload))*", re.IGNORECASE)


def read_policy(container: Container, proxy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """The settings of *container*, those of the *proxy* where it has none, and a reason for each that is not used."""
    reader = Reader(container)
    keepalive = reader.value("KEEPALIVE", parse_keepalive, None)
    options = {*reader.items("OPTION", parse_options), *(["http-server-close"] if keepalive == 0 else [])}
    protected, credentials = _access(reader, proxy)
    policy = Policy(
        balance=reader.value("BALANCE", parse_balance, proxy.balance),
        cookie=reader.value("COOKIE", parse_cookie, ""),
        options=tuple(sorted(options)),
        http_check=reader.value("HTTP_CHECK", parse_http_check, None),
        timeouts=tuple(_timeouts(reader)),
        client_timeout=reader.value("TIMEOUT_CLIENT", parse_duration, ""),
        compression=reader.value("GZIP_COMPRESSION_TYPE", _parse_types, ()),
        hsts=_hsts(reader, proxy),
        max_body_size=_body_size(reader, proxy),
        # Who writes something here wants a closed door: a misspelt word does not leave it open.
        internal=reader.value("NETWORK_ACCESS", parse_word("internal", "external"), "external", "internal")
        == "internal",
        protected=protected,
        credentials=credentials,
        scripts=reader.value(VIRTUAL_ROOT, _parse_folder, proxy.scripts),
        extra_settings=setting(container, EXTRA_SETTINGS),
    )
    return policy, tuple(reader.doubts)


def policy_of(containers: Iterable[Container], proxy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """What containers that share a backend ask for together, with reasons for what is not used.

    Where they disagree, the newest one decides: while a new version replaces an old one, the new one's settings hold.
    Access is as strict as the strictest of them.
    """
    read = [(container, *read_policy(container, proxy)) for container in containers]
    if not read:
        return proxy, ()
    read.sort(key=lambda each: (-each[0].created, each[0].name))
    newest, policy, _ = read[0]
    doubts = [doubt for _, _, found in read for doubt in found]
    others = [other for _, other, _ in read[1:]]
    if differing := ", ".join(_differences(policy, others)):
        doubts.append(f"its containers disagree on {differing}: what the newest, {newest.name}, says counts")
    guarded = next((each for each in (policy, *others) if each.protected), policy)
    return (
        replace(
            policy,
            internal=any(each.internal for each in (policy, *others)),
            protected=guarded.protected,
            credentials=guarded.credentials,
        ),
        tuple(dict.fromkeys(doubts)),
    )


def _differences(policy: Policy, others: Iterable[Policy]) -> list[str]:
    names = [field.name for field in fields(Policy) if field.name not in _AS_STRICT_AS_ANY]
    others = list(others)
    return [name.replace("_", " ") for name in names if any(getattr(o, name) != getattr(policy, name) for o in others)]


def _timeouts(reader: Reader) -> Iterable[tuple[str, str]]:
    for name in _TIMEOUTS:
        if duration := reader.value(f"TIMEOUT_{name.upper()}", parse_duration, ""):
            yield name, duration


def _body_size(reader: Reader, proxy: Policy) -> int:
    size = reader.value("CLIENT_MAX_BODY_SIZE", parse_size, proxy.max_body_size)
    return reader.value("MAX_BODY_SIZE", parse_size, size)


def _access(reader: Reader, proxy: Policy) -> tuple[bool, tuple[Credential, ...]]:
    """Whether one must sign in, and who can: the proxy's users and the service's own."""
    if reader.value("EXCLUDE_BASIC_AUTH", parse_switch, default=False):
        return False, ()
    parsers: dict[str, Callable[[str], tuple[tuple[Credential, ...], tuple[str, ...]]]] = {
        "HTTP_BASIC_AUTH_SECURE": partial(parse_credentials, hashed=True),
        "HTTP_BASIC_AUTH": partial(parse_credentials, hashed=False),
    }
    users = {credential.user: credential for credential in proxy.credentials}
    asked = proxy.protected
    for name, parse in parsers.items():
        asked = asked or bool(reader.text(name))
        users |= {credential.user: credential for credential in reader.items(name, parse)}
    if asked and not users:
        reader.doubt("HTTP_BASIC_AUTH", "none of its users can be used, so nobody can sign in")
    return asked, tuple(sorted(users.values()))


def _hsts(reader: Reader, proxy: Policy) -> str:
    age = reader.value("HSTS_MAX_AGE", _parse_age, proxy.hsts)
    return reader.value("HSTS", parse_hsts, age)


def parse_hsts(text: str) -> str:
    """The value of Strict-Transport-Security (RFC 6797 section 6.1), or "off"; raises ValueError.

    >>> parse_hsts("max-age=86400;includeSubDomains")
    'max-age=86400; includeSubDomains'
    """
    if text.lower() == HSTS_OFF:
        return HSTS_OFF
    if not _HSTS.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not used: write max-age=31536000; includeSubDomains, or off")
    return "; ".join(part.strip() for part in text.split(";"))


def _parse_age(text: str) -> str:
    return parse_hsts(f"max-age={text}")


def _parse_folder(text: str) -> str:
    if not _FOLDER.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a folder: write an absolute path without blanks")
    return text


def _parse_types(text: str) -> tuple[str, ...]:
    types = text.replace(",", " ").split()
    for item in types:
        if not _MIME_TYPE.fullmatch(item):
            raise ValueError(f"{quoted(item)} is not a MIME type such as text/html")
    if len(types) > _MOST_TYPES:
        raise ValueError(f"more than {_MOST_TYPES} MIME types")
    return tuple(dict.fromkeys(types))
