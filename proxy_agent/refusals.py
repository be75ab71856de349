"""What HAProxy would not take, so that it is not offered again at every look."""

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
        self._extra: tuple[Extra, str] | None = None

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
        """*extra* itself, or without its lines while they are what HAProxy may have refused a configuration for."""
        return extra.left_out(self._extra[1]) if self._extra and self._extra[0].same_lines(extra) else extra

    def blame(self, error: OperationalError, extra: Extra, now: datetime) -> bool:
        """Suspect the lines of *extra*, if there are any and *error* refuses a configuration for its text."""
        if not (isinstance(error, ConfigurationRefused) and error.by_check and extra.has_lines):
            return False
        self._extra, self._since = (extra, error.gist), now
        return True

    def learn(self, error: OperationalError, now: datetime) -> bool:
        """Remember what *error* says HAProxy refuses; whether it was such an error."""
        match error:
            case CertificateRefused():
                self._certificates[error.bundle.fingerprint] = error.reason
                # It may have been the reason for the other refusal too.
                self._configuration = self._since = None
            case ConfigurationRefused():
                self._configuration, self._since = error, now
            case _:
                return False
        return True

    def forget_passing(self, now: datetime) -> None:
        """Let a refused configuration be tried again, once its time is over."""
        if self._since and now >= self._since + self._patience:
            self._configuration = self._since = self._extra = None
