"""The settings of the letsencrypt container."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from letsencrypt import admission, certonly, lineages
from letsencrypt.admission import Admission, Allowed, parse_allowed, parse_servers
from letsencrypt.certonly import Directory, Options, parse_options
from letsencrypt.lineages import Wanted, parse_domains
from letsencrypt.preflight import Mode
from letsencrypt.settings_notify import NotifySettings
from letsencrypt.watch import Listeners
from proxy_agent.daemon import settings as environment
from proxy_agent.daemon.log import LogFormat


def _parse_email(text: object) -> str:
    """One or more addresses; only their shape is checked, the CA knows better."""
    address = r"[A-Za-z0-9][^\s,@]*@[^\s,@]+"
    if not re.fullmatch(rf"{address}(?:,{address})*", str(text)):
        raise ValueError("it is not an e-mail address")
    return str(text)


def _parse_service(text: object) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]{1,5})?", str(text)):
        raise ValueError("it is not the name of a service")
    return str(text)


def _parse_domains(text: object) -> Wanted:
    return parse_domains(str(text))


def _parse_options(text: object) -> Options:
    return parse_options(str(text))


def _parse_allowed(text: object) -> Allowed:
    return parse_allowed(str(text))


def _parse_servers(text: object) -> tuple[Directory, ...]:
    return parse_servers(str(text))


class Settings(NotifySettings):
    """What the letsencrypt container is told; one field for each variable, in the order of the manual."""

    domains: Annotated[Wanted, PlainValidator(_parse_domains)] = Field(
        alias="DOMAINS",
        default=Wanted(),
        description="The names to get certificates for. The first name of each certificate names its files.",
        json_schema_extra={"accepts": lineages.ACCEPTS, "default_text": ""},
    )
    auto_domains: bool = Field(
        alias="AUTO_DOMAINS",
        default=True,
        description=(
            "Obtain certificates for what discovered containers want, too: the host names of `VIRTUAL_HOST` that are "
            "served through TLS, or `ACME_HOST`."
        ),
        json_schema_extra={"accepts": "yes or no", "default_text": "yes"},
    )
    allowed_domains: Annotated[Allowed, PlainValidator(_parse_allowed)] = Field(
        alias="ALLOWED_DOMAINS",
        default=Allowed(),
        description="For which names containers may want certificates; unset: for all. `DOMAINS` is not bound by it.",
        json_schema_extra={"accepts": admission.ACCEPTS_DOMAINS, "default_text": ""},
    )
    allowed_servers: Annotated[tuple[Directory, ...], PlainValidator(_parse_servers)] = Field(
        alias="ALLOWED_ACME_SERVERS",
        default=(),
        description="ACME servers that containers may choose with `ACME_CA_URI`, besides the one of `OPTIONS`.",
        json_schema_extra={"accepts": admission.ACCEPTS_SERVERS, "default_text": ""},
    )
    email: Annotated[str, BeforeValidator(_parse_email)] | None = Field(
        alias="EMAIL",
        default=None,
        description="Whom the CA may write to about the account. Let's Encrypt does not warn about expiry any more.",
        json_schema_extra={"accepts": "an e-mail address"},
    )
    options: Annotated[Options, PlainValidator(_parse_options)] = Field(
        alias="OPTIONS",
        default=Options(),
        description=(
            "More options for certbot. `--staging` or `--server URL` choose another ACME server, whose certificates "
            "are kept apart from those of Let's Encrypt's production server."
        ),
        json_schema_extra={"accepts": certonly.ACCEPTS, "default_text": ""},
    )
    load_balancer: Annotated[str, BeforeValidator(_parse_service)] = Field(
        alias="LOAD_BALANCER_SERVICE_NAME",
        default="haproxy",
        description="The service on whose port 80 challenges arrive; nothing is ordered until it passes them on.",
        json_schema_extra={"accepts": "a service name, or name:port"},
    )
    renewal_interval: Annotated[environment.Duration, Field(ge=timedelta(minutes=1))] = Field(
        alias="RENEWAL_INTERVAL",
        default=environment.parse_duration("12h"),
        description="How often certbot looks whether the CA advises to renew; a little less each time, at random.",
        json_schema_extra={"accepts": "a length of time such as 12h, at least 1m", "default_text": "12h"},
    )
    concurrency: Annotated[int, Field(ge=1, le=32)] = Field(
        alias="CONCURRENCY",
        default=4,
        description=(
            "How many certificates of one CA are worked on at a time, so that one that hangs holds up no other. "
            "More only helps to get many new ones at once; each takes 20 MB of memory meanwhile."
        ),
        json_schema_extra={"accepts": "1 to 32", "default_text": "4"},
    )
    preflight: Mode = Field(
        alias="PREFLIGHT",
        default="strict",
        description=(
            "Look at each name as the CA would before it is asked: DNS, CAA, and a token fetched from port 80. "
            "`strict`: a name that must fail is not ordered, so no attempt is spent; `warn`: it is only said; `off`."
        ),
        json_schema_extra={"accepts": "strict, warn or off"},
    )
    allow_subset: bool | None = Field(
        alias="ALLOW_SUBSET",
        default=None,
        description=(
            "Leave names that fail the preflight out of a new certificate until they heal; a certificate that is held "
            "keeps its names. Unset: for what containers want, but not for `DOMAINS`."
        ),
        json_schema_extra={"accepts": "yes or no"},
    )
    log_format: LogFormat = Field(
        alias="LOG_FORMAT",
        default="text",
        description="Sentences, or one JSON object a line.",
        json_schema_extra={"accepts": "text or json"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        alias="LOG_LEVEL",
        default="info",
        description="The least important lines to log; `debug` includes what certbot says.",
        json_schema_extra={"accepts": "debug, info, warning or error"},
    )

    # Fixed by the image; tests move them.
    challenge_port: Annotated[int, Field(ge=1, le=65535)] = Field(alias="CHALLENGE_PORT", default=80, exclude=True)
    probe_port: Annotated[int, Field(ge=1, le=65535)] = Field(alias="PROBE_PORT", default=80, exclude=True)
    resolver_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        alias="RESOLVER_PORT", default=None, exclude=True
    )
    letsencrypt_folder: Path = Field(alias="LETSENCRYPT_FOLDER", default=Path("/etc/letsencrypt"), exclude=True)
    certs_folder: Path = Field(alias="CERTS_FOLDER", default=Path("/certs"), exclude=True)
    wanted_file: Path = Field(alias="WANTED_FILE", default=Path("/wanted/wanted.json"), exclude=True)
    run_folder: Path = Field(alias="RUN_FOLDER", default=Path("/run/letsencrypt"), exclude=True)

    @property
    def admission(self) -> Admission:
        """What decides about the wishes of containers."""
        servers = frozenset(self.allowed_servers)
        return Admission(self.domains.lineages, self.options.directory, self.allowed_domains, servers)

    @property
    def listeners(self) -> Listeners:
        """Who is told of events."""
        return Listeners(
            urls=tuple(url.get_secret_value() for url in self.notify_urls),
            url_file=self.notify_url_file,
            kinds=self.notify_events,
            program=self.notify_exec or "",
            log_format=self.log_format,
            log_level=self.log_level,
        )

    @property
    def webroot(self) -> Path:
        """Where challenges are written; in memory, as none outlives its run."""
        return self.run_folder / "webroot"

    @property
    def control_folder(self) -> Path:
        """Where commands leave what the operator asks of the loop."""
        return self.run_folder / "control"

    @property
    def heartbeat(self) -> Path:
        """Where the loop says until when it may be silent."""
        return self.run_folder / "heartbeat"


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises SettingsError with a line for each variable that cannot be used."""
    return environment.load(Settings, environ)
