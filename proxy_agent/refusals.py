"""What HAProxy would not take, so that it is not offered again at every look."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.perform import CertificateRefused, ConfigurationRefused
from proxy_agent.routing.extra import Extra


class Refusals:
    """A bundle is refused for good; a configuration for *patience*: its reason may pass, as a full disk does."""

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience
        self._certificates: dict[str, str] = {}
        self._configuration: ConfigurationRefused | None = None
        self._since: datetime | None = None
        self._suspect: Extra | None = None
        self._suspect_lines: frozenset[tuple[str, ...]] = frozenset()
        self._suspect_for = ""

    @property
    def certificates(self) -> Mapping[str, str]:
        """The reason for each refused bundle, by its fingerprint."""
        return self._certificates

    @property
    def configuration(self) -> str | None:
        """The identity of the refused configuration."""
        return self._configuration.configuration.identity if self._configuration else None

    def of(self, identity: str) -> list[str]:
        """What to say while the configuration *identity* is the one to have."""
        return [str(self._configuration)] if identity == self.configuration else []

    def of_extra(self, extra: Extra) -> Extra:
        """*extra* itself, or without those of its lines that HAProxy may have refused a configuration for."""
        if self._suspect and self._suspect.same_lines(extra):
            return extra.left_out(self._suspect_for, self._suspect_lines)
        return extra

    def blame(self, error: OperationalError, extra: Extra, now: datetime) -> bool:
        """Suspect lines of *extra*, if there are any left and *error* refuses a configuration for its text.

        Those of the backends that HAProxy complains of; all, where it names none that has lines.
        """
        if not (isinstance(error, ConfigurationRefused) and error.by_check and self.of_extra(extra).has_lines):
            return False
        before = self._suspect_lines if self._suspect and self._suspect.same_lines(extra) else frozenset()
        found = _lines_named(error) - before
        self._suspect, self._suspect_lines = extra, before | found if found else frozenset()
        self._suspect_for, self._since = error.gist, now
        return True

    def learn(self, error: OperationalError, now: datetime) -> bool:
        """Remember what *error* says HAProxy refuses; whether it was such an error."""
        match error:
            case CertificateRefused():
                self._certificates[error.bundle.fingerprint] = error.reason
                # It may have been the reason for the other refusal too.
                self._configuration = self._since = self._suspect = None
            case ConfigurationRefused():
                self._configuration, self._since = error, now
            case _:
                return False
        return True

    def forget_passing(self, now: datetime) -> None:
        """Let a refused configuration be tried again, once its time is over."""
        if self._since is None:
            return
        # A clock that went back would prolong it.
        self._since = min(self._since, now)
        if now >= self._since + self._patience:
            self._configuration = self._since = self._suspect = None


def _lines_named(error: ConfigurationRefused) -> frozenset[tuple[str, ...]]:
    """The raw lines of the backends that HAProxy complains of, by name or by the number of a line."""
    alerts = [line for line in error.reasons.splitlines() if "[ALERT]" in line]
    text = error.configuration.text.decode().splitlines()
    named = {name.partition("/")[0] for alert in alerts for name in re.findall(r"'([^']+)'", alert)}
    for number in (int(found) for alert in alerts for found in re.findall(r"\.cfg:([0-9]+)\]", alert)):
        above = [line.removeprefix("backend ") for line in text[:number] if not line.startswith((" ", "#")) and line]
        named |= set(above[-1:])
    return frozenset(pool.extra for pool in error.configuration.backends if pool.extra and pool.name in named)
