"""The settings of the HAProxy container."""

import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from proxy_agent.daemon import settings as environment
from proxy_agent.daemon.log import LogFormat
from proxy_agent.settings_discovery import DiscoverySettings
from proxy_agent.settings_services import ServiceSettings
from proxy_agent.tls.names import Identifier, parse_identifier

YES_OR_NO = "yes or no"


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


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 at all; a container without an IPv6 address still binds."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


Sans = Annotated[tuple[Identifier, ...], BeforeValidator(_parse_sans)]
ServiceName = Annotated[str, BeforeValidator(_parse_service_name)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(DiscoverySettings, ServiceSettings):
    """What the HAProxy container is told; one field for each variable, in the order of the manual."""

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
        json_schema_extra={"accepts": "text or json"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        alias="LOG_LEVEL",
        default="info",
        description="The least important lines to log.",
        json_schema_extra={"accepts": "debug, info, warning or error"},
    )

    # Fixed by the image and compose.yaml; tests move them.
    docker_host: str = Field(alias="DOCKER_HOST", default="tcp://docker-gate:2375", exclude=True)
    http_port: Port = Field(alias="HTTP_PORT", default=80, exclude=True)
    https_port: Port = Field(alias="HTTPS_PORT", default=443, exclude=True)
    state_folder: Path = Field(alias="STATE_FOLDER", default=Path("/var/lib/companion"), exclude=True)
    run_folder: Path = Field(alias="RUN_FOLDER", default=Path("/run/companion"), exclude=True)
    issued_folder: Path = Field(alias="CERTS_FOLDER", default=Path("/certs"), exclude=True)
    custom_folder: Path = Field(alias="CERT_FOLDER", default=Path("/custom-certs"), exclude=True)
    live_folder: Path = Field(alias="LIVE_FOLDER", default=Path("/host-certbot/live"), exclude=True)
    enable_ipv6: bool = Field(alias="ENABLE_IPV6", default_factory=has_ipv6, exclude=True)

    @property
    def status_file(self) -> Path:
        """Where the agent tells what it sees."""
        return self.run_folder / "status.json"


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises SettingsError with a line for each variable that cannot be used."""
    return environment.load(Settings, environ)
