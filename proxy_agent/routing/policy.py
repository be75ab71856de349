"""What HAProxy does with the requests of one backend, apart from passing them on."""

import hashlib
import re
from dataclasses import dataclass

from proxy_agent.routing.access import Credential
from proxy_agent.routing.balance import is_hash
from proxy_agent.routing.checks import HttpCheck

HSTS_OFF = "off"
_TCP_BALANCE = re.compile(r"roundrobin|leastconn|first|source|random(\(\d+\))?|hash src")
_TCP_OPTIONS = frozenset(
    {"allbackups", "log-health-checks", "nolinger", "persist", "redispatch", "srvtcpka", "tcp-smart-connect"}
)


@dataclass(frozen=True)
class Policy:
    """The settings of a backend, each with its default where unset or unusable."""

    balance: str = ""
    """'' leaves it to HAProxy: round robin."""
    cookie: str = ""
    options: tuple[str, ...] = ()
    http_check: HttpCheck | None = None
    timeouts: tuple[tuple[str, str], ...] = ()
    client_timeout: str = ""
    compression: tuple[str, ...] = ()
    """MIME types; none means no compression, because of BREACH (https://breachattack.com)."""
    hsts: str = ""
    """The value of the header; '' leaves it to the proxy."""
    max_body_size: int = 0
    """In bytes; 0 means any."""
    internal: bool = False
    """Whether only private networks may use it."""
    protected: bool = False
    """Whether one must sign in; without a usable credential nobody can."""
    credentials: tuple[Credential, ...] = ()
    scripts: str = "/var/www/public"
    """The folder that FastCGI servers have their scripts in."""
    extra_settings: str = ""
    """Raw lines as they were written; those that HAProxy takes stand elsewhere."""

    @property
    def userlist(self) -> str:
        """The name of the list of those who may sign in."""
        text = "\n".join(credential.line for credential in self.credentials)
        return f"users-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def consistent(self) -> bool:
        """Whether servers are chosen by a hash, whose map must bear that servers come and go."""
        return is_hash(self.balance)

    def for_tcp(self) -> "Policy":
        """The part that means something where there are bytes, not requests."""
        return Policy(
            balance=self.balance if _TCP_BALANCE.fullmatch(self.balance) else "",
            options=tuple(option for option in self.options if option.removeprefix("no ") in _TCP_OPTIONS),
            timeouts=self.timeouts,
            internal=self.internal,
            extra_settings=self.extra_settings,
        )

    @property
    def hidden(self) -> bool:
        """Whether browsers are never told to insist on https."""
        return self.hsts == HSTS_OFF


DEFAULT_POLICY = Policy()
