"""CAA records: whom the owner of a domain lets issue certificates for it (RFC 8659, RFC 8657)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_CRITICAL = 0x80
_UNDERSTOOD = frozenset({"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"})
_METHOD = "http-01"


@dataclass(frozen=True)
class Property:
    """One record."""

    critical: bool
    tag: str
    value: str


def parse_property(content: bytes) -> Property:
    r"""Read the content of a record (RFC 8659 section 4.1); raises ValueError quoting it.

    >>> parse_property(b"\x00\x05issueletsencrypt.org")
    Property(critical=False, tag='issue', value='letsencrypt.org')
    """
    length = content[1] if len(content) > 1 else 0
    tag = content[2 : 2 + length]
    if not length or len(tag) < length or not tag.isalnum() or not tag.isascii():
        raise ValueError(f"{content[:40]!r} is no CAA record: flags, the length of a tag, a tag of letters, a value")
    return Property(bool(content[0] & _CRITICAL), tag.decode("ascii").lower(), content[2 + length :].decode("latin-1"))


def parents(name: str) -> Iterator[str]:
    """Where records for *name* may stand, the nearest first: the first that has any decides (RFC 8659 section 3).

    >>> list(parents("www.example.com"))
    ['www.example.com', 'example.com', 'com']
    """
    labels = name.split(".")
    return (".".join(labels[position:]) for position in range(len(labels)))


def objection(records: Iterable[bytes], identities: Iterable[str]) -> str | None:
    """Why *records*, all those that decide, keep a CA known by *identities* from issuing by HTTP; None if nothing does.

    Which account is allowed (``accounturi``) is not judged: only the CA and certbot know ours.
    """
    properties: list[Property] = []
    for record in records:
        try:
            properties.append(parse_property(record))
        except ValueError:
            # What a CA makes of a broken record is its own affair.
            continue
    strange = sorted({entry.tag for entry in properties if entry.critical and entry.tag not in _UNDERSTOOD})
    if strange:
        return f"it has the critical property {strange[0][:20]!r}, which no CA may overlook"
    allowed = [_parse_issuer(entry.value) for entry in properties if entry.tag == "issue"]
    ours = [parameters for issuer, parameters in allowed if issuer in set(identities)]
    if allowed and not ours:
        names = ", ".join(sorted({issuer[:60] for issuer, _ in allowed if issuer})) or "nobody"
        return f"it lets {names} issue and nobody else"
    if ours and not any(_allows_http(parameters) for parameters in ours):
        return f"its validationmethods leave out {_METHOD}"
    return None


def _parse_issuer(value: str) -> tuple[str, dict[str, str]]:
    """The domain and the parameters of an issue property; one that cannot be read names nobody (section 4.2)."""
    issuer, *rest = (part.strip(" \t") for part in value.split(";"))
    parameters = {}
    for parameter in filter(None, rest):
        tag, equals, text = parameter.partition("=")
        if not equals:
            return "", {}
        parameters[tag.strip().lower()] = text.strip()
    return (issuer.lower().removesuffix("."), parameters) if issuer.isprintable() else ("", {})


def _allows_http(parameters: dict[str, str]) -> bool:
    methods = parameters.get("validationmethods")
    return methods is None or _METHOD in [method.strip() for method in methods.split(",")]
