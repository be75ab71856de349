"""The settings of the HAProxy container."""

import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from proxy_agent import settings_remarks
from proxy_agent.daemon import settings as environment
from proxy_agent.daemon.errors import Skipped
from proxy_agent.daemon.log import LogFormat
from proxy_agent.settings_answers import AnswerSettings
from proxy_agent.settings_discovery import DiscoverySettings
from proxy_agent.settings_extra import ExtraSettings
from proxy_agent.settings_services import ServiceSettings
from proxy_agent.settings_tls import TlsSettings
from proxy_agent.settings_traffic import YES_OR_NO, TrafficSettings
from proxy_agent.tls.names import Identifier, parse_identifier


def _parse_sans(text: object) -> tuple[Identifier, ...]:
    """The DNS names and IP addresses of *text*, comma separated, blanks and empty items allowed."""
    items = [item.strip() for item in str(text).split(",") if item.strip()]
    if not items:
        raise ValueError("it names nothing")
    return tuple(dict.fromkeys(map(parse_identifier, items)))


def _parse_service_name(text: object) -> str:
    identifier = parse_identifier(str(text).replace("_", "-"))
    if not isinstance(identifier, str):
        raise ValueError("a service is named, not addressed")
    return str(text)


Sans = Annotated[tuple[Identifier, ...], BeforeValidator(_parse_sans)]
ServiceName = Annotated[str, BeforeValidator(_parse_service_name)]


class ProxySettings(TlsSettings, AnswerSettings, TrafficSettings, DiscoverySettings, ServiceSettings):
    """What the HAProxy container is told besides raw lines; one field for each variable."""

    default_cert_sans: Sans = Field(
        alias="DEFAULT_CERT_SANS",
        default_factory=lambda: _parse_sans(f"localhost,{socket.gethostname()}"),
        description="Names and addresses in the self-signed certificate that answers where no other does.",
        json_schema_extra={
            "accepts": "host names and IP addresses, separated by commas",
            "default_text": "localhost,haproxy",
        },
    )
    force_ssl: bool | None = Field(
        alias="FORCE_SSL",
        default=None,
        description=(
            "Redirect plain HTTP to HTTPS: `yes` always, `no` never; unset: each host from the moment it has a "
            "certificate. Challenges of the CA are never redirected."
        ),
        json_schema_extra={"accepts": YES_OR_NO},
    )
    access_log: bool = Field(
        alias="ACCESS_LOG",
        default=False,
        description="Log every request, not only failed ones.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    letsencrypt_service_name: ServiceName = Field(
        alias="LETSENCRYPT_SERVICE_NAME",
        default="letsencrypt",
        description="The service that answers challenges, as Docker's DNS knows it.",
    )
    resync_interval: environment.Duration = Field(
        alias="RESYNC_INTERVAL",
        default=environment.parse_duration("60s"),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        description="How often the agent looks at everything again without being rung: the most a lost event costs.",
        json_schema_extra={"accepts": "a length of time such as 90s or 5m", "default_text": "60s"},
    )
    log_format: LogFormat = Field(
        alias="LOG_FORMAT",
        default="text",
        description="Sentences, or one JSON object a line.",
        json_schema_extra={"accepts": "text or json; the form of lines about requests is ACCESS_LOG_FORMAT"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        alias="LOG_LEVEL",
        default="info",
        description="The least important lines to log.",
        json_schema_extra={"accepts": "debug, info, warning or error"},
    )

    # Fixed by the image and compose.yaml; tests move them.
    docker_host: str = Field(alias="DOCKER_HOST", default="tcp://docker-gate:2375", exclude=True)
    state_folder: Path = Field(alias="STATE_FOLDER", default=Path("/var/lib/companion"), exclude=True)
    run_folder: Path = Field(alias="RUN_FOLDER", default=Path("/run/companion"), exclude=True)
    issued_folder: Path = Field(alias="CERTS_FOLDER", default=Path("/certs"), exclude=True)
    custom_folder: Path = Field(alias="CERT_FOLDER", default=Path("/custom-certs"), exclude=True)
    wanted_folder: Path = Field(alias="WANTED_FOLDER", default=Path("/wanted"), exclude=True)
    live_folder: Path = Field(alias="LIVE_FOLDER", default=Path("/host-certbot/live"), exclude=True)
    htpasswd_folder: Path = Field(alias="HTPASSWD_FOLDER", default=Path("/htpasswd"), exclude=True)
    errors_folder: Path = Field(alias="ERRORS_FOLDER", default=Path("/errors"), exclude=True)

    # What of the environment has no effect; found when it is read.
    without_effect: tuple[Skipped, ...] = Field(alias="(without effect)", default=(), exclude=True)

    @property
    def status_file(self) -> Path:
        """Where the agent tells what it sees."""
        return self.run_folder / "status.json"

    @property
    def logs_requests(self) -> bool:
        """Whether a request that went well is worth a line."""
        return self.access_log and not self.disable_access_logs

    @property
    def offers_http3(self) -> bool:
        """Whether UDP is listened on too."""
        return self.enable_http3 and not self.enable_proxy_protocol and self.tls.highest == "TLSv1.3"

    @property
    def doubts(self) -> tuple[Skipped, ...]:
        """What can be used, but not as it was written."""
        return (
            *self.without_effect,
            *settings_remarks.traffic_doubts(self),
            *settings_remarks.tls_doubts(self),
            *settings_remarks.http3_doubts(self, self),
            *settings_remarks.answer_doubts(self, self.force_ssl),
        )


class Settings(ExtraSettings, ProxySettings):
    """All that the HAProxy container is told."""


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises SettingsError with a line for each variable that cannot be used."""
    settings = environment.load(Settings, environ)
    known = frozenset(name for name, _ in environment.fields(Settings)) | settings_remarks.SILENT
    without_effect = (*settings_remarks.dropped(environ), *settings_remarks.questions(environ, known))
    return settings.model_copy(update={"without_effect": tuple(sorted(without_effect))})
