"""What TLS is spoken: the policies of Mozilla and of AWS's load balancers by name, without 3DES, DSS or static DH."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

Version = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
VERSIONS: Final[tuple[Version, ...]] = ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")

_SPOKEN_BY_ALL = VERSIONS.index("TLSv1.2")

_AEAD = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_FORWARD_SECRET_CBC = (
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"
)
_FORWARD_SECRET_SHA1 = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
_STATIC_RSA = "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA"
_STRICT = _AEAD
_FORWARD_SECRET = f"{_AEAD}:{_FORWARD_SECRET_CBC}"
_FORWARD_SECRET_LEGACY = f"{_FORWARD_SECRET}:{_FORWARD_SECRET_SHA1}"
_LEGACY = f"{_FORWARD_SECRET_LEGACY}:{_STATIC_RSA}"

SUITES: Final = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""Of TLS 1.3, whatever the policy."""


@dataclass(frozen=True)
class Policy:
    """The versions of TLS that are spoken, and with which ciphers below 1.3."""

    lowest: Version
    highest: Version
    ciphers: str

    @property
    def openssl_ciphers(self) -> str:
        """The list for OpenSSL 3, which speaks TLS 1.0 and 1.1 at security level 0 only."""
        old = VERSIONS.index(self.lowest) < _SPOKEN_BY_ALL
        return f"{self.ciphers}:@SECLEVEL=0" if old and "@SECLEVEL" not in self.ciphers else self.ciphers

    @property
    def crt_list_options(self) -> str:
        """The same for one line of a crt-list, in the words and the order in which HAProxy shows it."""
        return f"ciphers {self.openssl_ciphers} ssl-min-ver {self.lowest} ssl-max-ver {self.highest}"


INTERMEDIATE: Final = Policy("TLSv1.2", "TLSv1.3", _STRICT)
_POLICIES: Mapping[str, Policy] = {
    "Mozilla-Modern": Policy("TLSv1.3", "TLSv1.3", _STRICT),
    "Mozilla-Intermediate": INTERMEDIATE,
    "Mozilla-Old": Policy("TLSv1.0", "TLSv1.3", _LEGACY),
    "AWS-TLS13-1-3-2021-06": Policy("TLSv1.3", "TLSv1.3", _STRICT),
    "AWS-TLS13-1-2-2021-06": Policy("TLSv1.2", "TLSv1.3", _FORWARD_SECRET),
    "AWS-TLS13-1-2-Res-2021-06": Policy("TLSv1.2", "TLSv1.3", _STRICT),
    "AWS-TLS13-1-2-Ext1-2021-06": Policy("TLSv1.2", "TLSv1.3", f"{_FORWARD_SECRET}:{_STATIC_RSA}"),
    "AWS-TLS13-1-2-Ext2-2021-06": Policy("TLSv1.2", "TLSv1.3", _LEGACY),
    "AWS-TLS13-1-1-2021-06": Policy("TLSv1.1", "TLSv1.3", _LEGACY),
    "AWS-TLS13-1-0-2021-06": Policy("TLSv1.0", "TLSv1.3", _LEGACY),
    "AWS-FS-1-2-2019-08": Policy("TLSv1.2", "TLSv1.2", _FORWARD_SECRET_LEGACY),
    "AWS-FS-1-2-Res-2019-08": Policy("TLSv1.2", "TLSv1.2", _FORWARD_SECRET),
    "AWS-FS-1-2-Res-2020-10": Policy("TLSv1.2", "TLSv1.2", _STRICT),
    "AWS-TLS-1-2-2017-01": Policy("TLSv1.2", "TLSv1.2", f"{_FORWARD_SECRET}:{_STATIC_RSA}"),
    "AWS-TLS-1-2-Ext-2018-06": Policy("TLSv1.2", "TLSv1.2", _LEGACY),
    "AWS-FS-1-1-2019-08": Policy("TLSv1.1", "TLSv1.2", _FORWARD_SECRET_LEGACY),
    "AWS-TLS-1-1-2017-01": Policy("TLSv1.1", "TLSv1.2", _LEGACY),
    "AWS-FS-2018-06": Policy("TLSv1.0", "TLSv1.2", _FORWARD_SECRET_LEGACY),
    "AWS-2016-08": Policy("TLSv1.0", "TLSv1.2", _LEGACY),
    "AWS-2015-02": Policy("TLSv1.0", "TLSv1.2", _LEGACY),
    "AWS-2015-03": Policy("TLSv1.0", "TLSv1.2", _LEGACY),
    "AWS-2015-05": Policy("TLSv1.0", "TLSv1.2", _LEGACY),
}
POLICIES: Final[Mapping[str, Policy]] = {name.lower(): policy for name, policy in _POLICIES.items()}
NAMES: Final = tuple(_POLICIES)


def parse_policy(text: str) -> Policy:
    """The policy of that name, in any case; raises ValueError quoting it.

    >>> parse_policy("Mozilla-Modern").lowest
    'TLSv1.3'
    """
    if text.lower() not in POLICIES:
        raise ValueError(f"{text[:40]!r} is no TLS policy: write one of {', '.join(NAMES[:3])} or a name of AWS's")
    return POLICIES[text.lower()]


def parse_ciphers(text: str) -> str:
    """A cipher list in OpenSSL's syntax; raises ValueError quoting it."""
    try:
        if re.fullmatch(r"[A-Za-z0-9_:+!@=.-]{1,4000}", text):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
            return text
    except ssl.SSLError:
        pass
    raise ValueError(f"{text[:40]!r} is no cipher list: write names that OpenSSL has, separated by ':'")


@dataclass(frozen=True)
class BindOptions:
    """What SSL_BIND_OPTIONS says: bounds in place of the policy's, and versions that are not to be spoken."""

    lowest: Version | None = None
    highest: Version | None = None
    without: frozenset[Version] = frozenset()
    tickets: bool = True
    """Whether sessions may be resumed by tickets."""


_DONE = frozenset({"no-sslv3", "prefer-client-ciphers"})
_OUT: Mapping[str, Version] = {
    "no-tlsv10": "TLSv1.0",
    "no-tlsv11": "TLSv1.1",
    "no-tlsv12": "TLSv1.2",
    "no-tlsv13": "TLSv1.3",
}
_BOUNDS: Mapping[str, Version] = {version.lower(): version for version in VERSIONS}


def parse_bind_options(text: str) -> BindOptions:
    """Words of ``ssl-default-bind-options``; raises ValueError quoting the one that is none.

    >>> parse_bind_options("no-sslv3 ssl-min-ver TLSv1.3").lowest
    'TLSv1.3'
    """
    options = BindOptions()
    words = iter(text.lower().split())
    for word in words:
        if word == "no-tls-tickets":
            options = replace(options, tickets=False)
        elif word in _OUT:
            options = replace(options, without=options.without | {_OUT[word]})
        elif word in {"ssl-min-ver", "ssl-max-ver"} and (bound := _BOUNDS.get(next(words, ""))):
            options = replace(options, lowest=bound) if word == "ssl-min-ver" else replace(options, highest=bound)
        elif word not in _DONE:
            raise ValueError(f"{word[:40]!r} is no such option: write ssl-min-ver TLSv1.2 or no-tlsv12")
    return options


def applied(policy: Policy, options: BindOptions, ciphers: str) -> tuple[Policy, tuple[str, ...]]:
    """*policy* with what the two older settings put in its place, and a doubt for each that does not count.

    They raise what a policy allows, or lower it to TLS 1.2: what is older needs a policy that says so, and somebody
    has to be able to speak what remains.
    """
    doubts = []
    policy = replace(policy, ciphers=ciphers or policy.ciphers)
    first = VERSIONS.index(options.lowest or policy.lowest)
    last = VERSIONS.index(options.highest or policy.highest)
    floor = min(VERSIONS.index(policy.lowest), _SPOKEN_BY_ALL)
    if first < floor:
        doubts.append(f"{VERSIONS[first]} is left out: set SSL_POLICY=Mozilla-Old to speak it")
    spoken = [version for version in VERSIONS[max(first, floor) : last + 1] if version not in options.without]
    if not spoken or VERSIONS.index(spoken[-1]) < _SPOKEN_BY_ALL:
        return policy, (*doubts, "neither TLS 1.2 nor 1.3 is left: the policy's versions are spoken")
    return replace(policy, lowest=spoken[0], highest=spoken[-1]), tuple(doubts)
