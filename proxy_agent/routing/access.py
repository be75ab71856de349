"""Who may use a service: ``NETWORK_ACCESS``, ``HTTP_BASIC_AUTH`` and its kin (RFC 7617)."""

import re
from dataclasses import dataclass

from proxy_agent.routing.values import haproxy_word, parse_list, quoted

_LONGEST = 256
_MOST_ROUNDS = 10_000
_MOST_BCRYPT = 8
_HASHES = (
    re.compile(r"\$1\$[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{22}"),
    re.compile(r"\$[56]\$(?:rounds=(?P<rounds>[0-9]{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43,86}"),
    re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./0-9A-Za-z]{53}"),
    # yescrypt with at most the cost that Debian gives its own accounts.
    re.compile(r"\$y\$j[1-9]T\$[./0-9A-Za-z]{1,64}\$[./0-9A-Za-z]{43}"),
)


@dataclass(frozen=True, order=True)
class Credential:
    """One user who may sign in."""

    user: str
    password: str
    hashed: bool

    def __repr__(self) -> str:
        """Without the password: values end up in messages."""
        return f"Credential({self.user!r})"

    @property
    def line(self) -> str:
        """As a line of a ``userlist`` (configuration manual, 12.2)."""
        kind = "password" if self.hashed else "insecure-password"
        return f"user {haproxy_word(self.user)} {kind} {haproxy_word(self.password)}"


def parse_credentials(text: str, *, hashed: bool) -> tuple[tuple[Credential, ...], tuple[str, ...]]:
    """The users of HTTP_BASIC_AUTH, or *hashed* of HTTP_BASIC_AUTH_SECURE; and a reason for each item that is none.

    Reasons quote neither passwords nor hashes.

    >>> parse_credentials("ann:secret, bob:", hashed=False)
    ((Credential('ann'),), ("'bob' has no password: write user:password",))
    """
    users: dict[str, Credential] = {}
    doubts: list[str] = []
    for item in parse_list(text):
        user, colon, password = item.partition(":")
        try:
            if not colon:
                # Perhaps a password alone: it is not quoted.
                raise ValueError("an item without ':' is no user: write user:password")
            _check(user, password, hashed=hashed)
            users.setdefault(user, Credential(user, password, hashed))
        except ValueError as error:
            doubts.append(str(error))
    return tuple(users.values()), tuple(doubts)


def parse_htpasswd(text: str) -> tuple[tuple[Credential, ...], tuple[str, ...]]:
    r"""The users of a file as Apache's htpasswd writes it, a ``user:hash`` on each line; and why lines are not used.

    >>> parse_htpasswd("# people\nann:$apr1$x$y\n")[1]  # doctest: +ELLIPSIS
    ("the hash of 'ann' is of no kind that works: make one with 'openssl passwd -6' ...",)
    """
    users: dict[str, Credential] = {}
    doubts: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = line.strip().partition(":")
        try:
            _check(user, password, hashed=True)
            users[user] = Credential(user, password, hashed=True)
        except ValueError as error:
            doubts.append(str(error))
    return tuple(sorted(users.values())), tuple(dict.fromkeys(doubts))


def _check(user: str, password: str, *, hashed: bool) -> None:
    if not user or not all(c.isprintable() for c in user) or len(user) > _LONGEST:
        raise ValueError("a user has no name, or one that cannot be shown: write user:password")
    if not password or not all(c.isprintable() for c in password) or len(password) > _LONGEST:
        raise ValueError(f"{quoted(user)} has no password: write user:password")
    if hashed:
        _check_hash(user, password)


def _check_hash(user: str, text: str) -> None:
    """crypt(5): each answer costs one computation in the thread that serves everybody, so dear ones are refused."""
    match = next((found for shape in _HASHES if (found := shape.fullmatch(text))), None)
    if match is None:
        raise ValueError(
            f"the hash of {quoted(user)} is of no kind that works: make one with 'openssl passwd -6' "
            "(Apache's $apr1$ and {SHA} do not work)"
        )
    values = match.groupdict()
    if int(values.get("cost") or 0) > _MOST_BCRYPT or int(values.get("rounds") or 0) > _MOST_ROUNDS:
        raise ValueError(
            f"the hash of {quoted(user)} takes so long to check that it would hold up all requests: "
            f"make one with 'openssl passwd -6', or bcrypt with a cost of at most {_MOST_BCRYPT}"
        )
