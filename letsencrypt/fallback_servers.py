"""The ACME servers that come in when the first one fails, and what of the first one's options they are given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from letsencrypt.certonly import Directory, Options
from letsencrypt.lineages import Lineage

_OF_ONE_SERVER = ("--eab-", "--acc")
"""Options, or their beginnings, that only the server they were meant for can use; each takes a value."""
_DEMANDED, _PREFERRED = "--required-profile", "--preferred-profile"


@dataclass(frozen=True)
class FallbackServer:
    """One of them."""

    directory: Directory
    hmac_key: str = field(default="", repr=False)
    """The key of the external account that the directory names (RFC 8555 section 7.3.4)."""
    email: str | None = None
    """Whom the CA may write to; None: whom the first one may."""

    def lent(self, lineage: Lineage) -> Lineage:
        """*lineage* as it is asked for here, although it was meant for another server."""
        own = (f"--eab-kid={self.directory.account}", f"--eab-hmac-key={self.hmac_key}") if self.hmac_key else ()
        return replace(lineage, words=(*portable(lineage.words), *own), email=self.email or lineage.email)


def options_at(options: Options, directory: Directory) -> Options:
    """*options* as they are meant at *directory*, which may be another server than they name.

    >>> options_at(Options(("--eab-kid=1", "--key-type=rsa")), Directory("https://ca.example/dir")).words
    ('--key-type=rsa',)
    """
    if directory.url == options.directory.url:
        return replace(options, directory=directory)
    return replace(options, words=tuple(portable(options.words)), directory=directory)


def portable(words: Iterable[str]) -> Iterator[str]:
    """Those options of *words* that mean the same to every server; a profile that was demanded is only preferred.

    Each CA has profiles of its own, and a certificate without one is better than none.

    >>> list(portable(["--eab-kid", "1", "--required-profile=short", "--account=2", "--reuse-key"]))
    ['--preferred-profile=short', '--reuse-key']
    """
    remaining = iter(words)
    for word in remaining:
        name, equals, value = word.partition("=")
        if name.startswith(_OF_ONE_SERVER):
            if not equals:
                next(remaining, None)
        elif len(name) > len("--req") and _DEMANDED.startswith(name):
            yield f"{_PREFERRED}{equals}{value}"
        else:
            yield word
