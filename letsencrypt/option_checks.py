"""What of the options for certbot no CA would take, found out before anything is ordered."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from letsencrypt.lineages import Lineage

_CHOICES: Mapping[str, tuple[frozenset[str], str]] = {
    "--key-type": (frozenset({"rsa", "ecdsa"}), "write rsa or ecdsa"),
    "--rsa-key-size": (frozenset({"2048", "3072", "4096"}), "CAs take RSA keys of 2048, 3072 or 4096 bits"),
    "--elliptic-curve": (
        frozenset({"secp256r1", "secp384r1"}),
        "CAs take the curves secp256r1 (P-256) and secp384r1 (P-384)",
    ),
}
_SHORTEST = {"--key-type": "--key", "--rsa-key-size": "--rs", "--elliptic-curve": "--el"}
"""certbot takes an option's beginning for the option; shorter ones are ambiguous or somebody else's."""
_ACCOUNT = ("--eab-kid", "--eab-hmac-key")
_SHORT_LIVED = "shortlived"
_PROFILES = ("--preferred-p", "--required-p")


def objections(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options among *words* that cannot be used as they are, each with its reason.

    >>> list(objections(["--rsa-key-size=1024"]))
    [('--rsa-key-size', 'CAs take RSA keys of 2048, 3072 or 4096 bits')]
    """
    given = dict(_given(words))
    for option, (accepted, reason) in _CHOICES.items():
        if any(value not in accepted for name, value in _given(words) if _is(name, option)):
            yield option, reason
    one, other = (any(name.startswith(option) for name in given) for option in _ACCOUNT)
    if one != other:
        yield (_ACCOUNT[0] if one else _ACCOUNT[1]), f"{' and '.join(_ACCOUNT)} belong together; give both or neither"


def objection_to(lineage: Lineage, words: Sequence[str]) -> str:
    """Why Let's Encrypt would not issue *lineage* with the options *words*; empty if nothing speaks against it.

    Only of this CA is it known which profile holds addresses (https://letsencrypt.org/docs/profiles/).
    """
    addresses = [str(name) for name in lineage.identifiers if isinstance(name, IPv4Address | IPv6Address)]
    profile = next((value for name, value in reversed(_given(words)) if name.startswith(_PROFILES)), _SHORT_LIVED)
    if not addresses or profile == _SHORT_LIVED:
        return ""
    return (
        f"Let's Encrypt's profile {profile[:64]} holds no addresses such as {addresses[0]}: "
        f"leave the profile out, then {_SHORT_LIVED} is used, or give the address a certificate of its own"
    )


def _given(words: Sequence[str]) -> list[tuple[str, str]]:
    """The long options among *words* with their values, wherever those stand."""
    return [
        (word.partition("=")[0], word.partition("=")[2] if "=" in word else after)
        for word, after in pairwise((*words, ""))
        if word.startswith("--")
    ]


def _is(name: str, option: str) -> bool:
    return option.startswith(name) and name.startswith(_SHORTEST[option])
