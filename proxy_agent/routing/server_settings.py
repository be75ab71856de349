"""How HAProxy treats one container among the servers of a backend: its check, its share, whether it stands by."""

from dataclasses import dataclass, replace

from proxy_agent.routing.checks import parse_keepalive
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.server_words import read_server_words
from proxy_agent.routing.values import parse_switch_or_yes

OFF = "off"


@dataclass(frozen=True)
class ServerSettings:
    """What follows a server's address."""

    check: tuple[str, ...] = ("check", "inter 2s", "rise 2", "fall 3")
    """None means that it is taken to be up always."""
    extra: tuple[str, ...] = ()
    backup: bool = False
    """Whether it gets requests only while all others are down."""
    idle_connections: int | None = None
    """The most that are kept; None for as many as it likes."""

    @property
    def words(self) -> tuple[str, ...]:
        """Each with its value."""
        pool = () if self.idle_connections is None else (f"pool-max-conn {self.idle_connections}",)
        return (*self.check, *self.extra, *(("backup",) if self.backup else ()), *pool)


DEFAULT_SERVER = ServerSettings()


def read_server_settings(reader: Reader, proxy: ServerSettings) -> ServerSettings:
    """What a container says of itself, and what the *proxy* says where it is silent."""
    return replace(
        proxy,
        check=reader.items("HEALTH_CHECK", parse_health_check, proxy.check),
        extra=reader.items("EXTRA_ROUTE_SETTINGS", read_server_words, proxy.extra),
        backup=reader.value("FAILOVER", parse_switch_or_yes, default=False, otherwise=True),
        idle_connections=reader.value("KEEPALIVE", parse_keepalive, None),
    )


def parse_health_check(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """HEALTH_CHECK: the words of a check, or "off" for none; and a reason for each word that is not used.

    >>> parse_health_check("inter 5s")
    (('check', 'inter 5s'), ())
    """
    if text.lower() == OFF:
        return (), ()
    words, reasons = read_server_words(text)
    return tuple(dict.fromkeys(("check", *words))), reasons
